"""The causal pitch module: streamed equals whole, nothing is heard too early, memory is bounded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pitch_golden import signal
from tiny import PITCH

from majl_cli.errors import ConfigError
from majl_cli.models.pitch.streaming_tcn import PitchStream, StreamingTCN, StreamingTCNConfig, asymmetric_window
from majl_cli.models.registry import build_pitch


def tiny() -> StreamingTCN:
    """A module with running statistics of its own, its logits spread out."""
    torch.manual_seed(0)
    module = build_pitch("streaming-tcn", PITCH["streaming-tcn"]["tiny"])
    assert isinstance(module, StreamingTCN)
    with torch.no_grad():
        for _ in range(5):
            module(signal(16000, 16000))
        module.head.weight.mul_(10.0)
        module.head.bias.zero_()
    return module.eval()


@pytest.mark.parametrize("size", (1, 37, 160, 441, 5000, 16000))
def test_streamed_salience_is_that_of_the_whole(size: int) -> None:
    module = tiny()
    audio = signal(4011, 16000)[0].numpy()
    with torch.inference_mode():
        whole = torch.sigmoid(module(torch.from_numpy(audio)[None]))[0].numpy()
    assert whole.std() > 0.05
    stream = PitchStream(module)
    parts = [stream.push(audio[start : start + size]) for start in range(0, len(audio), size)]
    streamed = np.concatenate([*parts, stream.finish()])
    assert streamed.shape == whole.shape == (4011 // 160 + 1, 360)
    assert np.abs(streamed - whole).max() < 1e-5


def test_a_frame_is_out_as_soon_as_its_latency_has_passed() -> None:
    module = tiny()
    assert module.latency == 0.02
    stream = PitchStream(module)
    out = [len(stream.push(np.zeros(160, np.float32))) for _ in range(6)]
    assert out == [0, 1, 1, 1, 1, 1]


def test_nothing_after_the_look_ahead_changes_a_frame() -> None:
    module = tiny()
    audio = signal(8000, 16000)
    changed = audio.clone()
    heard = 20 * 160 + 320  # by frame 20
    changed[:, heard:] = torch.randn(1, 8000 - heard)
    with torch.inference_mode():
        difference = (module(audio) - module(changed)).abs().amax(dim=(0, 2))
    assert difference[:21].max() < 1e-6
    assert difference[21:].min() > 1e-4


def test_what_a_stream_holds_does_not_grow() -> None:
    module = tiny()
    stream = PitchStream(module)
    audio = signal(16000, 16000)[0].numpy()
    held = []
    for _ in range(3):
        stream.push(audio)
        tensors = [stream._held, *stream._past]
        held.append(sum(t.untyped_storage().nbytes() for t in tensors))
    assert held[0] == held[1] == held[2] < 100_000


def test_the_window_peaks_at_the_frames_time() -> None:
    window = asymmetric_window(1216, 320)
    assert len(window) == 1536 and window.argmax() == 1216 and window[1216] == 1.0
    assert window[0] == 0.0 and window[-1] < 1e-3
    assert (window[:1216].diff() > -1e-6).all() and (window[1216:].diff() < 1e-6).all()


def test_the_default_is_light() -> None:
    module = StreamingTCN(StreamingTCNConfig())
    assert 100_000 < sum(p.numel() for p in module.parameters()) < 300_000


def test_a_look_ahead_beyond_the_window_is_refused() -> None:
    with pytest.raises(ConfigError, match="streaming-tcn: look_ahead 1536"):
        StreamingTCNConfig(look_ahead=1536)
