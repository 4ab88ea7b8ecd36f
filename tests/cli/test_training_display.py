"""What a training run says: one line a step, one a validation, on a terminal and in a log."""

from __future__ import annotations

import re

import pytest

from majl_cli.cli.console import Console
from majl_cli.cli.training_display import TrainingDisplay

STEP = {"event": "step", "loss": 0.7, "loss_mss": 0.5, "loss_pe": 10.0, "omega_mss": 1.0, "omega_pe": 0.02}
SCORES = {"sdr": 7.5, "sdr_gain": 7.4, "rpa": 0.86, "vfa": 0.15, "oa": 0.8, "rpa_clean": 0.97, "score": 1.0}


def test_steps_and_validations_are_lines_with_losses_weights_scores_and_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with TrainingDisplay(20, Console(json=False, quiet=False)) as display:
        display({**STEP, "step": 1})
        display({**STEP, "step": 2})
        display({**SCORES, "event": "validation", "step": 2})
    first, second, validation = capsys.readouterr().err.splitlines()
    assert first == ("step 1/20 · loss 0.700 (separation 0.500 × ω 1.00, pitch 10.000 × ω 0.02) · time left unknown")
    assert re.search(r"· 0:\d\d left$", second)
    assert validation == (
        "step 2/20 · validation: SDR 7.50 dB (mixture 0.10) · RPA 86.0 %, voicing false alarm 15.0 % · OA 80.0 %; "
        "clean vocals RPA 97.0 %"
    )


def test_without_labels_and_without_words(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingDisplay(20, Console(json=False, quiet=False)) as display:
        display({"event": "validation", "step": 2, "score": 2.0})
    assert "validation: no labelled track" in capsys.readouterr().err
    with TrainingDisplay(20, Console(json=True, quiet=True)) as display:
        display({**STEP, "step": 1})
    assert capsys.readouterr() == ("", "")
