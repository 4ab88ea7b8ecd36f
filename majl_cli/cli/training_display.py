"""What a training run shows: one line of figures that stays current, one line per validation."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from majl_cli.cli.console import Console, clock


class TrainingDisplay:
    """A listener of the training loop: call it with each record."""

    def __init__(self, steps: int, console: Console) -> None:
        self.steps, self.console = steps, console
        self._bar: Any = None
        self._start: tuple[int, float] | None = None

    def __enter__(self) -> TrainingDisplay:
        if self.console.shows_progress:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
            self._bar = Progress(*columns, console=RichConsole(stderr=True), redirect_stdout=False)
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self.steps)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, record: dict[str, Any]) -> None:
        line = LINES[record["event"]](record)
        if record["event"] == "step":
            line = f"{line} · {self._remaining(record['step'])}"
            if self._bar is not None:
                self._bar.update(self._task, completed=record["step"], description=line)
                return
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            self.console.note(f"step {record['step']}/{self.steps} · {line}")

    def _remaining(self, step: int) -> str:
        now = time.monotonic()
        self._start = self._start or (step, now)
        done, elapsed = step - self._start[0], now - self._start[1]
        return f"{clock((self.steps - step) * elapsed / done)} left" if done else "time left unknown"


def step_line(record: dict[str, Any]) -> str:
    """Losses and weights of one step."""
    return (
        f"loss {record['loss']:.3f} (separation {record['loss_mss']:.3f} × ω {record.get('omega_mss', 1.0):.2f}, "
        f"pitch {record['loss_pe']:.3f} × ω {record.get('omega_pe', 1.0):.2f})"
    )


def validation_line(record: dict[str, Any]) -> str:
    """SDR gain, RPA and voicing false alarm of one validation, as far as the tracks have labels."""
    parts = []
    if "sdr" in record:
        parts.append(f"SDR {record['sdr']:.2f} dB (mixture {record['sdr'] - record['sdr_gain']:.2f})")
    if "rpa" in record:
        parts.append(f"RPA {100 * record['rpa']:.1f} %, voicing false alarm {100 * record['vfa']:.1f} %")
        parts.append(f"OA {100 * record['oa']:.1f} %; clean vocals RPA {100 * record['rpa_clean']:.1f} %")
    return "validation: " + (" · ".join(parts) or "no labelled track")


def warning_line(record: dict[str, Any]) -> str:
    """What a monitor saw, and what to do."""
    return f"warning: {record['message']}\nhint: {record['hint']}"


LINES = {"step": step_line, "validation": validation_line, "warning": warning_line}
