"""Tiny options for every registered module, so that contract tests take milliseconds."""

from __future__ import annotations

from typing import Any

import torch

from majl_cli.models.contracts import PitchModule, SeparationModule
from majl_cli.models.registry import build_pitch, build_separation

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
_ROFORMER: dict[str, Any] = {"dim": 8, "depth": 1, "heads": 2, "dim_head": 4, "ff_mult": 1, "mlp_expansion": 1}
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
    "band-split-conv": {
        "44.1 kHz stereo": {
            "n_fft": 512,
            "hop_length": 128,
            "bands": ((8, 2), (4, 8), (4, 32)),
            "features": 8,
            "hidden": 12,
            "dilations": (1, 2),
            "bottleneck": 4,
            "mask_hidden": 8,
            "segment": 1.0,
        },
    },
    "hdemucs": {
        "16 kHz stereo": {"sample_rate": 16000, "stems": ("vocals", "other"), "n_fft": 64, "width": 16, "segment": 1.0},
    },
    "htdemucs": {
        "16 kHz stereo": {
            "sample_rate": 16000,
            "stems": ("vocals", "other"),
            "n_fft": 256,
            "depth": 2,
            "width": 16,
            "transformer_width": 16,
            "transformer_layers": 2,
            "heads": 2,
            "segment": 0.25,
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
    "bs-roformer": {
        "16 kHz mono, two stems": {
            **_ROFORMER,
            "sample_rate": 16000,
            "channels": 1,
            "stems": ("vocals", "accompaniment"),
            "n_fft": 256,
            "hop_length": 64,
            "bands": (16,) * 7 + (17,),
            "segment": 1.0,
        },
    },
    "mel-band-roformer": {
        "44.1 kHz stereo": {**_ROFORMER, "n_fft": 512, "hop_length": 128, "num_bands": 8, "segment": 1.0},
    },
}
PITCH: dict[str, dict[str, dict[str, Any]]] = {
    "salience-cnn": {"tiny": {"width": 8, "blocks": 1, "segment": 1.0}},
    "crepe": {"tiny": {"size": "tiny", "dropout": 0.0, "segment": 0.25}},
    "rmvpe": {
        "tiny": {
            "mel_bands": 32,
            "base_channels": 4,
            "levels": 2,
            "blocks": 1,
            "middle_stages": 1,
            "hidden": 8,
            "dropout": 0.0,
            "segment": 1.0,
        },
    },
    "fcnf0": {"tiny": {"widths": (8, 4, 4, 4, 8, 8), "segment": 1.0}},
    "streaming-tcn": {"tiny": {"width": 8, "dilations": (1, 2), "segment": 1.0}},
}
# Registered modules that answer silence with something else than zeros, and why: that has to be below -60 dB.
NOT_SILENT: dict[str, str] = {}

# Beside those registered, modules of which an output depends on the whole input (context None).
WHOLE_SEPARATION: dict[str, dict[str, dict[str, Any]]] = {"whole_modules:AttentiveSeparation": {"attention": {}}}
WHOLE_PITCH: dict[str, dict[str, dict[str, Any]]] = {"whole_modules:RecurrentPitch": {"recurrence": {}}}

Case = tuple[str, str]
SEPARATION_CASES: list[Case] = [
    (name, kind) for name, kinds in (SEPARATION | WHOLE_SEPARATION).items() for kind in kinds
]
PITCH_CASES: list[Case] = [(name, kind) for name, kinds in (PITCH | WHOLE_PITCH).items() for kind in kinds]


def separation_of(name: str, kind: str) -> SeparationModule:
    """The module of a case, its weights the same each time."""
    torch.manual_seed(0)
    return build_separation(name, (SEPARATION | WHOLE_SEPARATION)[name][kind])


def pitch_of(name: str, kind: str) -> PitchModule:
    """The module of a case, its weights the same each time."""
    torch.manual_seed(0)
    return build_pitch(name, (PITCH | WHOLE_PITCH)[name][kind])


# A module with a context is the same function in chunks as on the whole; one without is what its chunks make of it.
LOCAL_SEPARATION = [case for case in SEPARATION_CASES if separation_of(*case).context is not None]
LOCAL_PITCH = [case for case in PITCH_CASES if pitch_of(*case).context is not None]
WHOLE_SEPARATION_CASES = [case for case in SEPARATION_CASES if case not in LOCAL_SEPARATION]
WHOLE_PITCH_CASES = [case for case in PITCH_CASES if case not in LOCAL_PITCH]
