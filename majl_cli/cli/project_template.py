"""What ``majl init`` writes: a project file whose comments explain it.

A line ``# key = value`` is a setting with its default, ready to be uncommented; all other comments are words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import tomli_w

from majl_cli.errors import ConfigError

HEAD = """\
# A majl project. Every command that is started in this folder or below it reads this file.
# Relative paths are relative to it. A line "# key = value" shows a default (a preset may have another one): remove the
# "# " to change it. Settings on the command line (--config, --data, --set) go on top of those here.

# Where runs and results are written: stage1/, pseudolabels/, stage2/ and experiments/ in this folder.
"""

DATA = """\

# The recordings. Tracks fall into three buckets: "full" (stems and pitch) for Stage I and the choice of a model,
# "mss" (stems only) and "pe" (pitch only) for Stage II, once majl pseudolabel has added what they lack.
[data]
# Manifests (JSON Lines, one track a line) list tracks that are in no corpus known to majl.
"""

FOLDERS = """\

# One line a corpus: its name and its folder, or a list of folders, such as ["songs", "more songs"].
[data.folders]
"""

TRAIN = """\

# Settings of both stages. A preset comes first, the tables below go on top of it.
[train]
"""

SETTINGS = """\
# seed = 0
# device = "auto"  # cuda, mps or cpu
# tensorboard = false
# Licence words that are written into the checkpoints.
# licence = "not stated"

[train.data]
# segment_seconds = 3.0
# keep_true_labels = true  # of tracks or frames whose pseudo-label the filter dropped; false: leave them out whole
# A table [train.data.weights] multiplies the chance of a corpus to be drawn, by the name that majl init prints.

[train.model]
# Names of modules, or "package.module:Class"; options of theirs go into tables [train.model.separation_options] and
# [train.model.pitch_options].
# separation = "unet"
# pitch = "salience-cnn"
# target = "vocals"
# cascade = "joint"  # detached: the pitch loss stops at the estimate; independent: two modules trained as if apart

[train.loss]
# Weights of the two tasks.
# omega_mss = 1.0
# omega_pe = 0.02
# How much the pitch module also learns from the true source, which the cascade alone never lets it hear.
# clean_pitch = 0.0

# Weights on hard samples: uniform, fixed, dwhs (the tables below) or dwm (learned).
[train.weighting]
# variant = "dwhs"
# For the cases 1 to 4: pitch right in the estimate and in the true source; only in the true one; only in the estimate;
# in neither.
# mss = [1.0, 1.0, 2.0, 1.0]
# pe = [1.0, 0.5, 1.0, 1.5]
# granularity = "segment"  # one weight of separation for a segment, or for each "frame"
# soft = true  # cases with soft edges, from 50 to 100 cents
# lowest = 0.1
# highest = 4.0

# Warnings of runs that go wrong; every limit of theirs is a key here.
[train.monitor]
# enabled = true

[train.loop]
# steps = 3000
# batch_size = 8
# accumulate = 1  # batches per step
# learning_rate = 0.002
# precision = "auto"  # bf16 where the device computes in it, or "no" for float32
# compile = false
# workers = 1  # processes that load data
# validate_every = 250  # steps

[train.validation]
# tracks = 16
# snr_db = 0.0  # vocals over accompaniment

# Stage I alone: the same tables as under train, such as [stage1.loop], and they go on top of those.
# They train on the bucket "full"; shares of other buckets would go into a table [stage1.data.buckets].
[stage1]

[stage1.loop]
# steps = 3000

# Stage II alone, likewise. A third of its segments comes from each bucket, unless a table [stage2.data.buckets] gives
# other shares to full, mss and pe.
[stage2]
# init = ""  # a run folder or checkpoint to fine-tune, or "stage1", this project's; empty: from scratch

[stage2.loop]
# steps = 3000

# majl pseudolabel: the Stage-I model adds stems to the bucket pe and pitch to the bucket mss.
[pseudolabel]
# jobs = 1  # tracks side by side
# npz = false  # pitch.npz beside the labels: f0, frequency, voicing and confidence of each frame

# majl filter: keeps pseudo-labels of at least this confidence (0 to 1). "auto" takes the smallest threshold whose
# labels reach the precision, the share of right frames, on held-out tracks of the bucket full.
[filter]
# threshold = 0.7
# precision = 0.95

# Comparisons of methods: runs with different seeds, and how long each is against the steps above.
[experiment]
# seeds = 1
# budget = 1.0
"""


def project_text(
    *,
    runs: str,
    folders: Mapping[str, Sequence[str]],
    manifests: Sequence[str],
    preset: str | None,
    corpora: Iterable[str],
) -> str:
    """The file; each of ``corpora`` without a folder is there as a commented example."""
    used = [_line(name, given[0] if len(given) == 1 else list(given)) for name, given in folders.items()]
    examples = [f"# {_line(name, f'data/{name}')}" for name in corpora if name not in folders]
    return "".join(
        [
            HEAD,
            _line("runs", runs),
            DATA,
            _line("manifests", list(manifests)) if manifests else '# manifests = ["tracks.jsonl"]\n',
            FOLDERS,
            *used,
            *examples,
            TRAIN,
            _line("preset", preset) if preset else '# preset = "tiny"  # seconds instead of hours: to try everything\n',
            SETTINGS,
        ]
    )


def relative_to_file(path: str | Path, file: Path) -> str:
    """``path`` as the project file says it: relative where it is below the file's folder, else absolute."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{path}: the name is not valid UTF-8", "rename it, or give a link to it") from error
    if str(path).startswith("~/"):
        return str(path)  # the shell left it as it is, and so do we: it is understood in the file
    folder, absolute = (Path(os.path.normpath(Path(item).absolute())) for item in (file.parent, path))
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else str(absolute)


def _line(key: str, value: str | list[str]) -> str:
    return tomli_w.dumps({key: value})
