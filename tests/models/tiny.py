"""Tiny options for every registered module, so that contract tests take milliseconds."""

from __future__ import annotations

from typing import Any

_UNET_MONO: dict[str, Any] = {
    "sample_rate": 16000,
    "channels": 1,
    "n_fft": 256,
    "hop_length": 64,
    "low_bins": 128,
    "patch": 4,
    "widths": (8, 12),
    "blocks": (1, 1),
    "high_bands": 0,
    "segment": 1.0,
}
SEPARATION: dict[str, dict[str, dict[str, Any]]] = {
    "unet": {
        "16 kHz mono": _UNET_MONO,
        "16 kHz mono, two shifts": {**_UNET_MONO, "shifts": 2},
        "44.1 kHz stereo": {
            "sample_rate": 44100,
            "channels": 2,
            "n_fft": 512,
            "hop_length": 128,
            "low_bins": 64,
            "patch": 4,
            "widths": (8, 12),
            "blocks": (1, 1),
            "high_bands": 8,
            "segment": 1.0,
        },
    },
    "resunet-decouple-plus": {
        "16 kHz mono": {
            "sample_rate": 16000,
            "channels": 1,
            "n_fft": 256,
            "hop_length": 64,
            "width": 3,
            "segment": 1.0,
        },
        "44.1 kHz stereo, subbands": {
            "stems": ("vocals", "accompaniment"),
            "n_fft": 512,
            "hop_length": 128,
            "subbands": 4,
            "width": 2,
            "segment": 1.0,
        },
    },
    "open-unmix": {
        "16 kHz mono": {
            "sample_rate": 16000,
            "channels": 1,
            "stems": ("vocals",),
            "n_fft": 256,
            "hop_length": 64,
            "bandwidth": 6000.0,
            "hidden": 8,
            "segment": 1.0,
        },
        "44.1 kHz stereo, filtered": {
            "stems": ("vocals", "drums", "other"),
            "n_fft": 512,
            "hop_length": 128,
            "hidden": 8,
            "layers": 2,
            "filter_frames": 100,
            "segment": 1.0,
        },
    },
}
PITCH: dict[str, dict[str, dict[str, Any]]] = {
    "salience-cnn": {"tiny": {"width": 8, "blocks": 1, "segment": 1.0}},
    "crepe": {"tiny": {"size": "tiny", "dropout": 0.0, "segment": 1.0}},
}
SEPARATION_CASES = [(name, kind) for name, kinds in SEPARATION.items() for kind in kinds]
PITCH_CASES = [(name, kind) for name, kinds in PITCH.items() for kind in kinds]
