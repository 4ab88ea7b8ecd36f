"""Audio inside a page: MP3, which every browser plays, or FLAC for the rates and channels that MP3 does not know."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
import soundfile
from numpy.typing import NDArray

_MIME = {"MP3": "audio/mpeg", "FLAC": "audio/flac", "WAV": "audio/wav"}


def audio_uris(audio: Mapping[str, NDArray[np.float32]], sample_rate: int) -> dict[str, str]:
    """Each of ``audio`` (samples, channels) as a data URI, all by the same gain: the loudest just does not clip."""
    peak = max((float(np.abs(np.nan_to_num(each)).max(initial=0.0)) for each in audio.values()), default=0.0)
    gain = min(1.0, 0.98 / peak) if peak > 0 else 1.0
    return {name: _data_uri(np.nan_to_num(each) * gain, sample_rate) for name, each in audio.items()}


def _data_uri(audio: NDArray[np.float32], sample_rate: int) -> str:
    for form, mime in _MIME.items():
        target = io.BytesIO()
        try:
            soundfile.write(target, audio, sample_rate, format=form)
        except (soundfile.LibsndfileError, ValueError):
            continue  # a rate or a number of channels, or a whole format, that this libsndfile cannot write
        return f"data:{mime};base64,{base64.b64encode(target.getvalue()).decode('ascii')}"
    return ""
