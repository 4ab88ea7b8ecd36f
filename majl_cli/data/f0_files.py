"""f0 over time that trackers wrote to files.

f0 in Hz keeps mir_eval's signs: 0 is unvoiced, a negative value is unvoiced with its magnitude as the guess. In a text
file the columns are found by name:

- ``time``, ``times``, ``timestamp`` or ``time_s`` in s, ``time_ms`` in ms;
- ``frequency``, ``f0``, ``f0_hz``, ``pitch_hz``, ``frequency_hz`` or ``hz``, in Hz; nan or nothing is unvoiced;
- if there is one, ``confidence``, ``periodicity``, ``voiced_prob`` or ``voicing_prob``, in [0, 1];
- if there is one, ``voiced``, ``voicing`` or ``voiced_flag``: 1 or 0, true or false.

So majl, CREPE, PESTO, SwiftF0 and tables of pyin are read as they are. Without names there are two columns, time and
frequency (mir_eval, Sonic Visualiser). PESTO writes milliseconds under the name ``time``: a file with a confidence
whose frames are 1 or more apart is in milliseconds. nan is unvoiced. Rows left out (a step of more than 1.5 hops, as
where only voiced frames are written) are unvoiced.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majl_cli.data.labels import read_pv
from majl_cli.data.number_tables import (
    HERTZ_NAMES,
    TEXT_ENDINGS,
    column_index,
    needed_column,
    number_or_nan,
    read_numbers,
    table_layout,
)
from majl_cli.errors import DataError

Floats = NDArray[np.float64]

TIME_NAMES = ("time", "times", "timestamp", "time_s", "time_ms")
CONFIDENCE_NAMES = ("confidence", "periodicity", "voiced_prob", "voicing_prob")
VOICED_NAMES = ("voiced", "voicing", "voiced_flag")
WHAT_F0_FILES_ARE = "give a CSV with columns time,frequency[,confidence,voiced], majl's .npz, or a .pv of MIR-1K"
_GAP_HOPS = 1.5


@dataclass(frozen=True, kw_only=True, eq=False)
class F0Estimate:
    """``times`` in s, rising, ``frequency`` in Hz with the signs above, ``confidence`` in [0, 1] or None; all (N,)."""

    times: Floats
    frequency: Floats
    confidence: Floats | None = None


def read_f0_file(path: Path, *, threshold: float | None = None) -> F0Estimate:
    """The f0 of a text file, of majl's ``.npz``, or of a ``.pv`` on MIR-1K's grid. Raises DataError.

    ``threshold`` decides the voicing where the file does not: with a confidence but no column ``voiced`` (CREPE, PESTO)
    frames below it are unvoiced; None takes every frame with a frequency above 0 as voiced. Elsewhere it is not read.
    """
    ending = path.suffix.lower()
    if ending == ".pv":
        times, frequency, _ = read_pv(path)
        estimate = F0Estimate(times=times, frequency=frequency)
    elif ending == ".npz":
        estimate = _read_npz(path)
    elif ending in TEXT_ENDINGS:
        estimate = _read_text(path, threshold)
    else:
        raise DataError(f"{path}: no f0 file ends in {ending!r}", WHAT_F0_FILES_ARE)
    return _checked(path, estimate)


def _read_text(path: Path, threshold: float | None) -> F0Estimate:
    layout = table_layout(path, what="f0", comment_names=TIME_NAMES)
    names = layout.names or ["time", "frequency"]
    if not layout.names and layout.columns not in (0, 2):
        raise DataError(f"{path}: {layout.columns} columns without names", WHAT_F0_FILES_ARE)
    time, hertz = (needed_column(path, names, wanted, hint=WHAT_F0_FILES_ARE) for wanted in (TIME_NAMES, HERTZ_NAMES))
    sure, voiced = (column_index(names, wanted) for wanted in (CONFIDENCE_NAMES, VOICED_NAMES))
    wanted = [time, hertz, *(index for index in (sure, voiced) if index is not None)]
    rows = read_numbers(
        path, what="f0", delimiter=layout.delimiter, skip=layout.skip, columns=wanted, to_number=number_or_nan
    )
    if not rows.size and layout.names:
        return F0Estimate(times=np.zeros(0), frequency=np.zeros(0))  # a heading alone: nothing was found to be sung
    if not rows.size:
        raise DataError(f"{path}: no frames in it", WHAT_F0_FILES_ARE)
    times, frequency = rows[:, 0], rows[:, 1]
    confidence = None if sure is None else np.nan_to_num(rows[:, 2])
    if names[time] == "time_ms" or (sure is not None and len(times) > 1 and np.median(np.diff(times)) >= 1):
        times = times / 1000
    if voiced is not None:
        frequency = _signed(frequency, rows[:, -1] > 0)
    elif confidence is not None and threshold is not None:
        frequency = _signed(frequency, confidence >= threshold)
    return F0Estimate(times=times, frequency=frequency, confidence=confidence)


def _read_npz(path: Path) -> F0Estimate:
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("one array only")
        with file:
            times, frequency, confidence, voiced = (
                file[name].astype(np.float64) for name in ("times", "frequency", "confidence", "voiced")
            )
    except KeyError as error:
        raise DataError(f"{path}: not an archive of majl: {error.args[0]}", WHAT_F0_FILES_ARE) from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not readable: {error}", WHAT_F0_FILES_ARE) from error
    if times.ndim != 1 or any(values.shape != times.shape for values in (frequency, confidence, voiced)):
        raise DataError(f"{path}: its arrays differ in shape", WHAT_F0_FILES_ARE)
    return F0Estimate(times=times, frequency=_signed(frequency, voiced > 0), confidence=confidence)


def _signed(frequency: Floats, voiced: NDArray[np.bool_]) -> Floats:
    return np.where(voiced, frequency, -np.abs(frequency))


def _checked(path: Path, estimate: F0Estimate) -> F0Estimate:
    """Times that rise, nan frequencies as 0, and an unvoiced frame where rows are left out."""
    times = estimate.times
    if not np.isfinite(times).all() or (times < 0).any():
        raise DataError(f"{path}: a time that is below 0 or no number", "times are in s from the start of the track")
    falls = np.flatnonzero(np.diff(times) <= 0)
    if len(falls):
        first, second = times[falls[0]], times[falls[0] + 1]
        raise DataError(
            f"{path}: {second:g} s comes after {first:g} s", "sort the rows; write times with enough digits to differ"
        )
    # Adding 0 makes 0 of -0.
    frequency = np.where(np.isnan(estimate.frequency), 0.0, estimate.frequency) + 0.0
    if not np.isfinite(frequency).all():
        raise DataError(f"{path}: a frequency that is infinite", "write unvoiced frames as 0 Hz")
    steps = np.diff(times)
    hop = float(np.median(steps)) if len(steps) else 0.0
    gaps = np.flatnonzero(steps > _GAP_HOPS * hop)
    confidence = estimate.confidence
    if confidence is not None:
        confidence = np.insert(confidence, gaps + 1, 0.0)
    return F0Estimate(
        times=np.insert(times, gaps + 1, times[gaps] + hop),
        frequency=np.insert(frequency, gaps + 1, 0.0),
        confidence=confidence,
    )
