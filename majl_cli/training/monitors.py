"""Warnings of a training run that goes wrong: the paper's failure signatures, and the collapse of voicing.

A monitor reads the records of ``log.jsonl`` in their order and nothing else, so that of a resumed run is restored by
replaying them. It sees what is logged: a weight that turns at every step looks constant where every second step is in
the log (``loop.log_every``).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from majl_cli.training.failure_signs import (
    COLLAPSE,
    PITCH_LEAKAGE,
    SIGNS,
    UNSTABLE_WEIGHTS,
    VOICING_COLLAPSE,
    MonitorConfig,
    Record,
)

HINTS = {
    UNSTABLE_WEIGHTS: "clip gradients harder (lower loop.clip_norm) and lower weighting.learning_rate of the dwm",
    COLLAPSE: "the pseudo-labels are too noisy: filter them with a higher --th; if there are none, lower "
    "loop.learning_rate",
    PITCH_LEAKAGE: "the pitch loss shapes the estimate too strongly: lower loss.omega_pe",
    VOICING_COLLAPSE: "raise the voicing threshold if the false alarm is high, lower it if the recall is low; check "
    "that unvoiced frames have labels and that the filter does not mask them",
}


@dataclass(frozen=True, kw_only=True)
class MonitorWarning:
    """``signature`` names the failure, ``message`` says what was seen, ``hint`` what to do."""

    step: int
    signature: str
    message: str
    hint: str

    def record(self) -> dict[str, Any]:
        """The object for ``log.jsonl``."""
        return {"event": "warning", **asdict(self)}


class Monitor:
    """Call it with each record of a run: it returns the warnings that the record gives rise to.

    A signature is warned of once; again after ``repeat_after`` validations, or when it has cleared in between: after a
    validation without its signs or, for signs in step records, a whole window of them without.
    """

    def __init__(self, config: MonitorConfig | None = None) -> None:
        self.config = config or MonitorConfig()
        self._history: dict[str, deque[Record]] = {"step": deque(maxlen=self.config.window), "validation": deque()}
        self._count = {"step": 0, "validation": 0}
        self._last_seen: dict[tuple[str, str], int] = {}  # by signature and event: the number of that event
        self._warned: dict[str, int] = {}  # by signature: the number of validations by then

    def __call__(self, record: Record) -> list[MonitorWarning]:
        event = record.get("event")
        if not self.config.enabled or event not in self._history:
            return []
        self._history[event].append(record)
        self._count[event] += 1
        warnings = []
        for signature in HINTS:
            signs = [sign(list(self._history[event]), self.config) for sign in SIGNS[event].get(signature, ())]
            message = "; ".join(filter(None, signs))
            if message:
                self._last_seen[signature, event] = self._count[event]
            if not self._lasts(signature):
                self._warned.pop(signature, None)
            elif message and self._is_due(signature):
                self._warned[signature] = self._count["validation"]
                step = int(record.get("step", 0))
                warnings.append(MonitorWarning(step=step, signature=signature, message=message, hint=HINTS[signature]))
        return warnings

    def restore(self, lines: Iterable[str]) -> None:
        """The state after the lines of a ``log.jsonl``; what is no record, such as half a line, is passed over."""
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                self(record)

    def _lasts(self, signature: str) -> bool:
        patience = {"step": self.config.window, "validation": 1}
        return any(
            (signature, event) in self._last_seen
            and self._count[event] - self._last_seen[signature, event] < patience[event]
            for event in patience
        )

    def _is_due(self, signature: str) -> bool:
        warned = self._warned.get(signature)
        return warned is None or self._count["validation"] - warned >= self.config.repeat_after
