"""Two U-Nets side by side, which Hybrid Demucs and Hybrid Transformer Demucs share: spectrogram in, waveform in.

One works on the spectrogram (real and imaginary part as channels), strided along frequency; the other on the waveform,
strided along time; the stems are the sum of what both give. After Défossez, "Hybrid spectrogram and waveform source
separation" (MDX workshop at ISMIR 2021).

Letters: B batch, S stems, C channels, T samples, N frames, F bins.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from majl_cli.models.contracts import SeparationModule
from majl_cli.models.separation.demucs_layers import STRIDE, DecoderLayer, EncoderLayer, FrequencyEmbedding, LayerShape

# Below this deviation an input is taken for silence rather than brought up to full level.
SILENT_DEVIATION = 1e-5


def spectrum_of(waveform: Tensor, window: Tensor) -> Tensor:
    """(B, C, T) to (B, 2 C, F, N): F = n_fft / 2, no Nyquist bin; N = ceil(T / hop), hop = n_fft / 4.

    Frame n is centred on sample (n + 1 / 2) * hop, as a convolution of kernel n_fft and stride hop would be; the
    edges are mirrored.
    """
    n_fft, samples = len(window), waveform.shape[-1]
    hop = n_fft // 4
    side = hop // 2 * 3
    padded = _mirrored(waveform, side, side + -samples % hop)
    spectrum = torch.stft(
        padded.flatten(0, 1), n_fft, hop, window=window, center=False, normalized=True, return_complex=True
    )
    parts = torch.view_as_real(spectrum[:, :-1]).permute(0, 3, 1, 2)
    return parts.reshape(waveform.shape[0], -1, *parts.shape[2:])


def waveform_of(spectrum: Tensor, window: Tensor, samples: int) -> Tensor:
    """(..., 2, F, N) to (..., T): the inverse of ``spectrum_of``."""
    n_fft = len(window)
    hop = n_fft // 4
    complex_frames = torch.view_as_complex(spectrum.movedim(-3, -1).transpose(-2, -3).contiguous())
    # Four windows overlap everywhere, their squares sum to 3 / 2.
    frames = torch.fft.irfft(complex_frames, n_fft, norm="ortho") * (window / 1.5)
    count = frames.shape[-2]
    quarters = frames.unflatten(-1, (4, hop))
    audio = functional.pad(quarters[..., 0, :], (0, 0, 0, 3))
    for i in range(1, 4):
        audio[..., i : i + count, :] += quarters[..., i, :]
    side = hop // 2 * 3
    return audio.flatten(-2)[..., side : side + samples]


def _mirrored(x: Tensor, left: int, right: int) -> Tensor:
    """Mirror padding of any input; one that is shorter than the padding is lengthened by zeros first."""
    missing = max(left, right) + 1 - x.shape[-1]
    if missing > 0:
        zeros_right = min(right, missing)
        x = functional.pad(x, (missing - zeros_right, zeros_right))
        left, right = left - (missing - zeros_right), right - zeros_right
    return functional.pad(x, (left, right), mode="reflect")


def standardised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each example at zero mean and unit deviation, the mean and the deviation (B, 1, ...)."""
    flat = x.flatten(1)
    deviation, mean = torch.std_mean(flat, dim=1, correction=min(1, flat.shape[1] - 1))
    shape = (-1, *(1,) * (x.ndim - 1))
    mean, deviation = mean.view(shape), deviation.view(shape)
    return (x - mean) / (deviation + SILENT_DEVIATION), mean, deviation


def rescale(network: nn.Module, deviation: float = 0.1) -> None:
    """Bring the deviation of each convolution's initial weights half way (as a ratio) to ``deviation``."""
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
                factor = (deviation / layer.weight.std()).sqrt()
                for parameter in layer.parameters():
                    parameter.mul_(factor)


class HybridUNets(SeparationModule):
    """(B, C, T) to (B, S, C, T): both U-Nets; a subclass says what their levels are and what is between them.

    The input is brought to zero mean and unit deviation, waveform and spectrogram each on their own, over all that is
    passed at once: that is these models' own definition, hence chunks of ``segment`` seconds. Silence gives silence.
    """

    window: Tensor

    def _build(self, n_fft: int, levels: list[LayerShape], waveform_levels: list[LayerShape]) -> None:
        """Layers of both U-Nets; levels count from the outermost."""
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.encoder = nn.ModuleList(EncoderLayer(shape) for shape in levels)
        self.decoder = _decoder(levels)
        self.tencoder = nn.ModuleList(EncoderLayer(shape) for shape in waveform_levels)
        self.tdecoder = _decoder(waveform_levels)
        self.joining_level = len(waveform_levels) - 1 if waveform_levels[-1].bare else None
        self.freq_emb = FrequencyEmbedding(n_fft // 2 // STRIDE, levels[0].inner)
        rescale(self)

    def forward(self, mixture: Tensor) -> Tensor:
        padded = self._padded(mixture.float())
        x, mean, deviation = standardised(spectrum_of(padded, self.window))
        y, waveform_mean, waveform_deviation = standardised(padded)
        x, y = self._network(x, y)
        stems, channels = len(self.stems), self.channels
        spectrum = torch.addcmul(mean, x.float(), deviation).unflatten(1, (stems, channels, 2))
        waveform = torch.addcmul(waveform_mean, y.float(), waveform_deviation).unflatten(1, (stems, channels))
        estimates = waveform_of(spectrum, self.window, padded.shape[-1]) + waveform
        return estimates[..., : mixture.shape[-1]]

    def _padded(self, mixture: Tensor) -> Tensor:
        return mixture

    def _between(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Innermost features of the spectrogram's and the waveform's encoder to what their decoders start from."""
        raise NotImplementedError

    def _network(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised spectrogram (B, 2 C, F, N) and waveform (B, C, T) to those of the stems, channels S times."""
        skips, waveform_skips, lengths, waveform_lengths = [], [], [], []
        for level, encode in enumerate(self.encoder):
            inject = None
            if level < len(self.tencoder):
                waveform_lengths.append(y.shape[-1])
                y = self.tencoder[level](y)
                if level == self.joining_level:
                    inject = y
                else:
                    waveform_skips.append(y)
            lengths.append(x.shape[-1])
            x = encode(x, inject)
            if level == 0:
                x = self.freq_emb(x)
            skips.append(x)
        x, y = self._between(x, y)
        for level in reversed(range(len(self.decoder))):
            skip = skips.pop()
            x, inside = self.decoder[-1 - level](x.view_as(skip) + skip, lengths.pop())
            if level < len(self.tdecoder):
                y = inside[:, :, 0] if level == self.joining_level else y + waveform_skips.pop()
                y, _ = self.tdecoder[-1 - level](y, waveform_lengths.pop())
        return x, y


def _decoder(levels: list[LayerShape]) -> nn.ModuleList:
    """Layers from the innermost out, as they are passed."""
    return nn.ModuleList(DecoderLayer(shape, last=shape is levels[0]) for shape in reversed(levels))
