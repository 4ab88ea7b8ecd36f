"""A small causal convolutional salience net for live input: a frame is final 20 ms after its time.

A temporal convolutional network (Bai et al., "An empirical evaluation of generic convolutional and recurrent networks
for sequence modeling", 2018), whose dilated convolutions see frames of the past only, on the harmonically stacked
log-frequency spectrogram of Deep Salience. Instead of a symmetric window, which would have to hear half its length
ahead, frames have one that rises slowly to the frame's time and falls within ``look_ahead`` samples.

``PitchStream`` takes audio block by block and remembers what the convolutions need, so that no frame is computed
twice. No published weights exist: it is meant to be trained within the joint model.

Letters: B batch, C channels, T samples, N frames, F bins, K pitch bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.convert import PitchGrid
from majl_cli.errors import ConfigError
from majl_cli.models.contracts import PitchModule
from majl_cli.models.layers import FrequencyLinear, patchify, unpatchify
from majl_cli.models.pitch.log_frequency import filter_bands, harmonic_shifts, harmonic_stack, log_frequency_filters


@dataclass(frozen=True, kw_only=True)
class StreamingTCNConfig:
    """``window_length`` and ``look_ahead`` in samples at ``sample_rate``; ``harmonics`` are multiples of f0 stacked as
    channels; ``patch_bins`` divides the 360 pitch bins; one block per entry of ``dilations``, in frames."""

    sample_rate: int = 16000
    hop_length: int = 160
    window_length: int = 1536
    look_ahead: int = 320
    log_bins: int = 480
    harmonics: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    patch_bins: int = 5
    width: int = 40
    dilations: tuple[int, ...] = (1, 2, 4, 1, 2, 4)
    bottleneck: int = 16
    segment: float = 20.0
    voicing_threshold: float = 0.4

    def __post_init__(self) -> None:
        if not 0 < self.look_ahead < self.window_length:
            raise ConfigError(
                f"streaming-tcn: look_ahead {self.look_ahead}", f"use 1 to {self.window_length - 1} samples"
            )


def asymmetric_window(rise: int, fall: int) -> Tensor:
    """(rise + fall,): half a Hann window of twice ``rise``, then half of one of twice ``fall``; 1 at ``rise``."""
    return torch.cat((torch.hann_window(2 * rise)[:rise], torch.hann_window(2 * fall)[fall:]))


class CausalConvNorm(nn.Module):
    """3x3 convolution over the current and two past frames ``dilation`` apart, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int) -> None:
        super().__init__()
        self.memory = (in_channels, 2 * dilation)
        self.convolution = nn.Conv2d(in_channels, out_channels, 3, padding=(0, 1), dilation=(dilation, 1), bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, N, F) and the frames before it (B, C, 2 * dilation, F) to the output and what is past next time."""
        x = torch.cat((past.to(x.dtype), x), dim=2)
        return torch.relu(self.norm(self.convolution(x))), x[:, :, x.shape[2] - past.shape[2] :]


class CausalBlock(nn.Module):
    """x + a causal convolution, then + a frequency-wise linear bottleneck. Shape is kept."""

    def __init__(self, channels: int, bins: int, bottleneck: int, dilation: int) -> None:
        super().__init__()
        self.convolution = CausalConvNorm(channels, channels, dilation)
        self.across_frequency = FrequencyLinear(channels, bins, bottleneck)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        y, past = self.convolution(x, past)
        x = x + y
        return x + self.across_frequency(x), past


class StreamingTCN(PitchModule):
    """(B, T) to logits (B, N, K): 360 bins of 20 cents from 31.7 Hz, every 10 ms. Edges are zero-padded.

    ``latency`` in s is how much later than its time a frame is final.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, config: StreamingTCNConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.hop_length = config.hop_length
        self.grid = PitchGrid()
        self.voicing_threshold = config.voicing_threshold
        self.frequency_range = (50.0, 1200.0)
        self.segment = config.segment
        self.stride = config.hop_length
        self.latency = config.look_ahead / config.sample_rate
        past_frames = 2 * (1 + sum(config.dilations))
        self.context = (past_frames * config.hop_length + config.window_length) / config.sample_rate
        window = asymmetric_window(config.window_length - config.look_ahead, config.look_ahead)
        filters = log_frequency_filters(config.sample_rate, config.window_length, config.log_bins, self.grid)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", filters, persistent=False)
        self.bands = filter_bands(filters)
        self.shifts = harmonic_shifts(config.harmonics, self.grid)

        bins = self.grid.bins // config.patch_bins
        self.stem = CausalConvNorm(len(self.shifts) * config.patch_bins, config.width, 1)
        blocks = [CausalBlock(config.width, bins, config.bottleneck, dilation) for dilation in config.dilations]
        self.blocks = nn.ModuleList(blocks)
        self.memories = [self.stem.memory, *(block.convolution.memory for block in blocks)]
        self.head = nn.Conv2d(config.width, config.patch_bins, 1)
        # Salience is sparse: starting near its mean spares the first steps from learning "almost always zero".
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -4.5)

    def forward(self, audio: Tensor) -> Tensor:
        ahead = self.config.look_ahead
        padded = functional.pad(audio.float(), (self.config.window_length - ahead, ahead))
        return self.advance(padded, self.no_past(len(audio)))[0]

    def no_past(self, batch: int) -> list[Tensor]:
        """What the convolutions remember before the first frame: zeros."""
        bins = self.grid.bins // self.config.patch_bins
        return [self.window.new_zeros(batch, channels, frames, bins) for channels, frames in self.memories]

    def advance(self, audio: Tensor, past: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Audio (B, T), whole windows a hop apart, and the past of every convolution to the logits (B, N, K) of these
        windows and the past of what comes next."""
        spectrum = torch.stft(
            audio,
            self.config.window_length,
            self.hop_length,
            window=self.window,
            center=False,
            return_complex=True,
        )
        x = harmonic_stack(spectrum, self.filters, self.bands, self.shifts, self.grid.bins)
        x = patchify(x, 1, self.config.patch_bins).contiguous(memory_format=torch.channels_last)
        x, first = self.stem(x, past[0])
        remembered = [first]
        for block, before in zip(self.blocks, past[1:], strict=True):
            x, after = block(x, before)
            remembered.append(after)
        return unpatchify(self.head(x).float(), 1, self.config.patch_bins)[:, 0], remembered


class PitchStream:
    """Blocks of mono audio in, salience out as soon as it is final: the frames of the whole, none computed twice.

    Holds less than a window and a hop of samples and the convolutions' past, however long the stream. The module is
    put into evaluation mode.
    """

    def __init__(self, module: StreamingTCN) -> None:
        self.module = module.eval()
        config = module.config
        self._held = torch.zeros(1, config.window_length - config.look_ahead)
        self._past = module.no_past(1)

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next samples (n,) at the module's rate to the salience (N, K) in [0, 1] of the frames they complete."""
        config = self.module.config
        self._held = torch.cat((self._held, torch.from_numpy(np.array(block, np.float32))[None]), dim=1)
        frames = (self._held.shape[1] - config.window_length) // config.hop_length + 1
        if frames < 1:
            return np.zeros((0, self.module.grid.bins), np.float32)
        windows = self._held[:, : config.window_length + (frames - 1) * config.hop_length]
        with torch.inference_mode():
            logits, self._past = self.module.advance(windows.to(self.module.window.device), self._past)
            salience = torch.sigmoid(logits)[0].cpu().numpy()
        self._past = [past.clone() for past in self._past]  # not views that keep a whole block alive
        self._held = self._held[:, frames * config.hop_length :].clone()
        return salience

    def finish(self) -> NDArray[np.float32]:
        """The salience of the last frames, as if silence followed."""
        return self.push(np.zeros(self.module.config.look_ahead, np.float32))
