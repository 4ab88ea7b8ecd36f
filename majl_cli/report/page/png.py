"""A picture of few colours as PNG, and the dark colours that spectrograms are shown in.

PNG as in the W3C recommendation (third edition): signature, then chunks of length, type, data and CRC.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

# Nine colours of "magma" (van der Walt and Smith, CC0), evenly spaced; between them RGB is interpolated.
CONTROL_COLOURS = (
    "#000004", "#1d1147", "#51127c", "#822681", "#b63679", "#e65164", "#fb8861", "#fec287", "#fcfdbf",
)  # fmt: skip


def palette(colours: int) -> NDArray[np.uint8]:
    """(colours, 3) RGB from dark to light."""
    controls = np.array([tuple(bytes.fromhex(colour[1:])) for colour in CONTROL_COLOURS], dtype=np.float64)
    places = np.linspace(0, len(controls) - 1, colours)
    channels = [np.interp(places, np.arange(len(controls)), controls[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def palette_png(indices: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
    """``indices`` (rows, columns) into ``colours`` (colours, 3), the top row first."""
    rows, columns = indices.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)  # 8 bits an index, colour type 3: palette
    lines = np.zeros((rows, columns + 1), dtype=np.uint8)  # the first byte of each line: no filter
    lines[:, 1:] = indices
    chunks = (
        (b"IHDR", header),
        (b"PLTE", colours.tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
