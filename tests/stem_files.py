"""Files with several audio streams, written with PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_streams(
    path: Path, streams: Sequence[NDArray[np.float32]], rate: int, codec: str = "aac", *, bit_rate: int = 256000
) -> Path:
    """One stream for each (samples, 2), as in ``.stem.mp4``."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        opened = [container.add_stream(codec, rate=rate, layout="stereo") for _ in streams]
        for stream in opened:
            stream.bit_rate = bit_rate
        for stream, audio in zip(opened, streams, strict=True):
            for start in range(0, len(audio), 1024):
                block = np.ascontiguousarray(audio[start : start + 1024].T)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = rate, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path
