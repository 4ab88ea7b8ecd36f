"""Run the arms of a plan, each once: training in a process of its own, then scores per track.

What is finished is not done again: an arm has ``scores.json`` when it is. A training that was interrupted goes on where
it stopped. Everything lies below one folder for each budget, so experiments share their arms.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

from majl_cli.config import build, merge, read_toml, to_dict
from majl_cli.data.manifest import Track, read_manifest
from majl_cli.data.sources import load_tracks
from majl_cli.device import make_runtime
from majl_cli.errors import Cancelled, ConfigError, DataError, TrainingError
from majl_cli.evaluation.model_scores import TrackScores, evaluate_tracks
from majl_cli.experiments.plans import STAGE1, Arm, Plan
from majl_cli.experiments.tasks import Task, run_tasks
from majl_cli.files import write_text
from majl_cli.inference.session import Model
from majl_cli.inference.track_log import read_json
from majl_cli.models.checkpoint import load_checkpoint
from majl_cli.project import Project
from majl_cli.pseudolabel.calibrate import calibrate
from majl_cli.pseudolabel.filter_report import FILTER_FILE, KEPT_FILE, filter_folder
from majl_cli.pseudolabel.folder import KIND_OF_LABELS, MANIFEST_FILE
from majl_cli.pseudolabel.generate import pseudolabel
from majl_cli.training.presets import resolve_config
from majl_cli.training.stage1 import Stage1Config
from majl_cli.training.stage2 import Stage2Config
from majl_cli.training.stage_config import StageConfig, without_paths

ARM_FILE, SCORES_FILE, NOTHING_FILE = "arm.toml", "scores.json", "nothing-kept.txt"
SCALED = ("steps", "warmup_steps", "validate_every", "save_every")


@dataclass(frozen=True, kw_only=True)
class Effort:
    """``seeds`` runs of each arm on ``budget`` times the steps; ``jobs`` at a time with ``threads`` CPU threads each
    (None: torch's choice)."""

    seeds: int = 1
    budget: float = 1.0
    jobs: int = 1
    threads: int | None = None
    device: str = "auto"


class Runner:
    """Runs plans of a ``project``; ``tell`` gets a line whenever something begins or ends."""

    def __init__(self, project: Project, effort: Effort, *, tell: Callable[[str], None] = lambda line: None) -> None:
        self.project, self.effort, self.tell = project, effort, tell
        self.folder = project.experiments / f"budget-{effort.budget:g}"
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock, self._stopped = threading.Lock(), False

    def run(self, plan: Plan) -> None:
        """Bring every arm of the plan, and what it needs, to its scores. Raises MajlError."""
        tasks: list[Task] = []
        for seed in range(self.effort.seeds):
            arms = list(plan.arms)
            if any(arm.th is not None for arm in arms) and STAGE1 not in arms:
                arms.insert(0, STAGE1)
            for arm in arms:
                self._check_same(arm, seed)
            tasks += self._tasks(arms, seed)
        run_tasks(tasks, jobs=self.effort.jobs, stop=self._stop)

    def arm_folder(self, arm: Arm, seed: int) -> Path:
        return self.folder / arm.name / f"seed-{seed}"

    def pseudolabels(self, seed: int) -> Path:
        return self.folder / "pseudolabels" / f"seed-{seed}"

    def _tasks(self, arms: Sequence[Arm], seed: int) -> list[Task]:
        labels = f"pseudolabels/{seed}"
        tasks = []
        # Stage I first: the others wait for its labels.
        for arm in sorted(arms, key=lambda arm: arm is not STAGE1):
            needs = (labels,) if arm.th is not None else ()
            tasks.append(Task(name=f"{arm.name}/{seed}", do=partial(self._run_arm, arm, seed), needs=needs))
        if any(arm.th is not None for arm in arms):
            tasks.insert(1, Task(name=labels, do=partial(self._label, seed), needs=(f"{STAGE1.name}/{seed}",)))
        return tasks

    def _run_arm(self, arm: Arm, seed: int) -> None:
        folder, config = self.arm_folder(arm, seed), self.config(arm, seed)
        if (folder / SCORES_FILE).exists() or (folder / NOTHING_FILE).exists():
            self.tell(f"{arm.name}, seed {seed}: done before")
            return
        start = time.monotonic()
        if arm.th is not None and not self._filter(arm, seed):
            return
        write_text(folder / ARM_FILE, tomli_w.dumps(config))
        self._train(arm, config, folder)
        rows = self._evaluate(folder / "run" / "best", load_data(config), config["model"]["target"])
        write_text(folder / SCORES_FILE, json.dumps([row_of(row, track) for row, track in rows], indent=1) + "\n")
        gained = [row.sdr - row.mixture_sdr for row, _ in rows if row.sdr is not None and row.mixture_sdr is not None]
        rpa = [row.melody.rpa for row, _ in rows if row.melody is not None and math.isfinite(row.melody.rpa)]
        self.tell(
            f"{arm.name}, seed {seed}: SDR {sum(gained) / max(1, len(gained)):+.2f} dB, "
            f"RPA {100 * sum(rpa) / max(1, len(rpa)):.1f} %, {(time.monotonic() - start) / 60:.1f} min"
        )

    def _filter(self, arm: Arm, seed: int) -> bool:
        """Keep the arm's pseudo-labels. An arm that would keep none is done with: that is its result."""
        folder, th = self.arm_folder(arm, seed), None if arm.th == "auto" else float(arm.th or 0.0)
        try:
            kept = filter_folder(self.pseudolabels(seed), th=th, precision=self.project.filter.precision, out=folder)
        except DataError as error:
            write_text(folder / NOTHING_FILE, error.message + "\n")
            self.tell(f"{arm.name}, seed {seed}: {error.message}")
            return False
        self.tell(f"{arm.name}, seed {seed}: th {kept.result.th:g} keeps {kept.result.kept.hours:.2f} h")
        return True

    def _check_same(self, arm: Arm, seed: int) -> None:
        """Raise ConfigError where the arm was run, or begun, with settings that are not those of now."""
        folder = self.arm_folder(arm, seed)
        changed = []
        if (folder / ARM_FILE).exists():
            before, now = _comparable(arm, read_toml(folder / ARM_FILE)), _comparable(arm, self.config(arm, seed))
            changed = [table for table in {**before, **now} if before.get(table) != now.get(table)]
        if arm.th == "auto" and (folder / FILTER_FILE).exists():
            wanted = read_json(folder / FILTER_FILE).get("precision_wanted")
            changed += ["filter"] if wanted != self.project.filter.precision else []
        if changed:
            raise ConfigError(
                f"{folder}: was run with other settings in: {', '.join(changed)}",
                f"remove {self.folder} to run everything again, or go back to the old settings",
            )

    def config(self, arm: Arm, seed: int) -> dict[str, Any]:
        """The fully resolved settings of an arm."""
        cls = _config_class(arm)
        base = to_dict(
            resolve_config(
                cls,
                None,
                [f"seed={seed}", f"device={self.effort.device}"],
                project=self.project,
                stage=arm.stage,
            )
        )
        loop = base["loop"]
        scaled = {key: max(1, round(loop[key] * self.effort.budget)) for key in SCALED}
        config = merge(merge(base, {"loop": scaled}), arm.settings, cls)
        if arm.th is not None:
            kept = str((self.arm_folder(arm, seed) / KEPT_FILE).resolve())
            config["data"]["manifests"] = [*config["data"].get("manifests", []), kept]
        return config

    def _train(self, arm: Arm, config: dict[str, Any], folder: Path) -> None:
        command = [sys.executable, "-m", "majl_cli", f"train-stage{arm.stage}", "--quiet"]
        command += ["--project", str(self.project.file)]
        command += ["--config", str(folder / ARM_FILE), "--out", str(folder / "run")]
        command += ["--threads", str(self.effort.threads)] if self.effort.threads else []
        with (folder / "train.log").open("ab") as log:
            before = log.tell()
            with self._lock:
                if self._stopped:
                    raise Cancelled("stopped")
                # A session of its own: Ctrl-C in the terminal would reach it too, and the second signal, of _stop,
                # would kill it before its state is saved.
                process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
                self._processes.add(process)
            code = process.wait()
            with self._lock:
                self._processes.discard(process)
        if code:
            text = (folder / "train.log").read_bytes()[before:].decode("utf-8", errors="replace")
            reason = next((line for line in reversed(text.splitlines()) if "error" in line.lower()), "no message")
            raise TrainingError(
                f"{arm.name}: training ended with code {code}: {reason.removeprefix('error: ')}",
                f"see {folder / 'train.log'}; started again, the experiment goes on from here",
            )

    def _label(self, seed: int) -> None:
        """The pseudo-labels of the Stage I arm of this seed."""
        out, start = self.pseudolabels(seed), time.monotonic()
        tracks = load_data(self.config(STAGE1, seed))
        single = [track for track in tracks if track.split == "train" and track.labels in KIND_OF_LABELS]
        if not single:
            raise DataError("no mss or pe track to label", "give tracks that have stems alone, or pitch alone")
        manifest = out / MANIFEST_FILE
        if manifest.exists() and {track.id for track in single} <= {track.id for track in read_manifest(manifest)}:
            return
        model = self._model(self.arm_folder(STAGE1, seed) / "run" / "best")
        validation = [track for track in tracks if track.split == "validation"]
        calibration = calibrate(model, validation, out, listener=self._go_on)
        result = pseudolabel(model, single, out, calibration=calibration, listener=self._go_on)
        if result.failed:
            first = result.failed[0]
            raise TrainingError(f"{first.track.id}: {first.error}", "mend the track, or take it out of the data")
        self.tell(f"pseudo-labels, seed {seed}: {len(single)} tracks, {(time.monotonic() - start) / 60:.1f} min")

    def _model(self, checkpoint: Path) -> Model:
        joint, info = load_checkpoint(checkpoint)
        runtime = make_runtime(self.effort.device, "float32", self.effort.threads, joint)
        return Model(joint, info, runtime)

    def _evaluate(self, checkpoint: Path, tracks: Sequence[Track], target: str) -> list[tuple[TrackScores, Track]]:
        chosen = held_out(tracks, target)
        rows = evaluate_tracks(self._model(checkpoint), chosen, target=target, on_row=self._go_on)
        return list(zip(rows, chosen, strict=True))

    def _go_on(self, *_: Any) -> None:
        """Called between the parts of the work. Raises Cancelled once it is to end."""
        if self._stopped:
            raise Cancelled("interrupted")

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.terminate()  # it saves its state first


def _comparable(arm: Arm, values: dict[str, Any]) -> dict[str, Any]:
    """The settings that scores depend on: not where they are computed, nor where the project lies."""
    settings = without_paths(to_dict(build(_config_class(arm), values)))
    return {key: value for key, value in settings.items() if key not in ("device", "licence", "tensorboard")}


def _config_class(arm: Arm) -> type[StageConfig]:
    return Stage1Config if arm.stage == 1 else Stage2Config


def load_data(config: dict[str, Any]) -> list[Track]:
    """The tracks of resolved settings."""
    data = config["data"]
    return load_tracks(manifests=data.get("manifests", []), folders=data.get("folders", []))


def held_out(tracks: Sequence[Track], target: str = "vocals") -> list[Track]:
    """What the arms are compared on: the test tracks with stems and pitch, or the validation tracks if there are none.
    Raises DataError if there are neither."""
    for split in ("test", "validation"):
        chosen = [
            track for track in tracks if track.split == split and track.labels == "full" and target in track.stems
        ]
        if chosen:
            return chosen
    raise DataError("no test or validation track with stems and pitch", "add some: the arms are compared on them")


def row_of(scores: TrackScores, track: Track) -> dict[str, Any]:
    """One track's scores as plain values; what is not known is left out."""
    row: dict[str, Any] = {"id": scores.id, "artist": track.artist, "seconds": round(scores.seconds, 3)}
    if scores.sdr is not None and scores.mixture_sdr is not None:
        row |= {"sdr": scores.sdr, "sdr_gain": scores.sdr - scores.mixture_sdr}
    for suffix, melody in (("", scores.melody), ("_clean", scores.melody_clean)):
        if melody is not None:
            row |= {f"{key}{suffix}": getattr(melody, key) for key in ("rpa", "rca", "oa", "vr", "vfa")}
    return row
