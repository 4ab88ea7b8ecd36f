"""A soundfont of one looped sawtooth and one burst of noise, built byte by byte: SF2 version 2.01."""

from __future__ import annotations

import struct

import numpy as np

RATE = 44100
PERIOD = 100  # samples of the sawtooth: 441 Hz
NOTHING = b"\0" * 46  # 46 zero samples follow each sample
SAMPLE_MODES, INSTRUMENT, SAMPLE = 54, 41, 53


def tiny_soundfont() -> bytes:
    """Preset 0 of bank 0 is the sawtooth, of bank 128 the noise, whatever key is played at its own pitch."""
    saw = np.tile(np.linspace(-12000, 12000, PERIOD), 40).astype("<i2")
    noise = (np.random.default_rng(0).standard_normal(4000) * np.exp(-np.arange(4000) / 800) * 8000).astype("<i2")
    samples = saw.tobytes() + NOTHING * 2 + noise.tobytes() + NOTHING * 2
    second = len(saw) + 46
    headers = [
        struct.pack("<20sIIIIIBbHH", b"saw", 0, len(saw), 10 * PERIOD, 30 * PERIOD, RATE, 69, 0, 0, 1),
        struct.pack("<20sIIIIIBbHH", b"noise", second, second + len(noise), second, second + 10, RATE, 60, 0, 0, 1),
        struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0),
    ]
    presets = [(b"saw", 0, 0, 0), (b"noise", 0, 128, 1), (b"EOP", 0, 0, 2)]
    generators = [(SAMPLE_MODES, 1), (SAMPLE, 0), (SAMPLE_MODES, 0), (SAMPLE, 1), (0, 0)]
    tables = [
        _chunk(b"phdr", *(struct.pack("<20sHHHIII", name, n, bank, bag, 0, 0, 0) for name, n, bank, bag in presets)),
        _chunk(b"pbag", *(struct.pack("<HH", first, 0) for first in (0, 1, 2))),
        _chunk(b"pmod", b"\0" * 10),
        _chunk(b"pgen", *(struct.pack("<HH", *pair) for pair in ((INSTRUMENT, 0), (INSTRUMENT, 1), (0, 0)))),
        _chunk(b"inst", *(struct.pack("<20sH", name, bag) for name, bag in ((b"saw", 0), (b"noise", 1), (b"EOI", 2)))),
        _chunk(b"ibag", *(struct.pack("<HH", first, 0) for first in (0, 2, 4))),
        _chunk(b"imod", b"\0" * 10),
        _chunk(b"igen", *(struct.pack("<HH", *pair) for pair in generators)),
        _chunk(b"shdr", *headers),
    ]
    info = _chunk(b"LIST", b"INFO", _chunk(b"ifil", struct.pack("<HH", 2, 1)))
    data = _chunk(b"LIST", b"sdta", _chunk(b"smpl", samples))
    return _chunk(b"RIFF", b"sfbk", info, data, _chunk(b"LIST", b"pdta", *tables))


def _chunk(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return name + struct.pack("<I", len(body)) + body
