"""What published tools were trained on, by their own account, so that leaks are found for files they wrote.

Sources: the READMEs of marl/crepe, facebookresearch/demucs and sigsep/open-unmix-pytorch; SonyCSLParis/pesto for its
checkpoint ``mir-1k``;
for the ``rmvpe.pt`` of RVC the README of the fork it comes from. Of a tool that is not here nothing is known.
"""

from __future__ import annotations

PUBLISHED_TRAINING: dict[str, tuple[str, ...]] = {
    "crepe": ("MIR-1K", "Bach10", "RWC-Synth", "MedleyDB", "MDB-STEM-Synth", "NSynth"),
    "rmvpe": ("MIR-1K", "PTDB-TUG", "M4Singer"),
    "pesto": ("MIR-1K",),
    "demucs": ("MUSDB18/train", "MUSDB18/validation"),
    "mdx_extra": ("MUSDB18",),
    "mdx": ("MUSDB18/train", "MUSDB18/validation"),
    "umx": ("MUSDB18/train", "MUSDB18/validation"),
    "open-unmix": ("MUSDB18/train", "MUSDB18/validation"),
}


def published_training(name: str) -> tuple[str, ...]:
    """The corpora of the tool whose name is part of ``name``; empty if none is."""
    known = [tool for tool in PUBLISHED_TRAINING if tool in name.casefold()]
    return PUBLISHED_TRAINING[max(known, key=len)] if known else ()
