"""Text files of numbers in columns: commas, semicolons, tabs or spaces between, with or without a line of names.

Lines that start with # are comments.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from majl_cli.errors import DataError

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".f0")
HERTZ_NAMES = ("frequency", "f0", "f0_hz", "pitch_hz", "frequency_hz", "hz")
_WORDS = {"true": 1.0, "false": 0.0, "": math.nan}


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """``names`` of the columns in lower case, empty without a line of names; the numbers start after ``skip`` lines;
    ``delimiter`` None is white space; ``columns`` is the number of cells in the first line that is no comment."""

    names: list[str]
    delimiter: str | None
    skip: int
    columns: int


def table_layout(path: Path, *, what: str, comment_names: Collection[str] = ()) -> TableLayout:
    """How a text file is laid out; ``what`` is what the file holds, for the error (``label``). Raises DataError.

    The first line that is no comment is one of names if its first cell is not a number; so is a comment before it that
    holds one of ``comment_names`` and has as many cells (numpy.savetxt writes such headers).
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such {what} file", "check the folder") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}", f"check the {what} file") from error
    commented: list[str] = []
    for number, line in enumerate(lines):
        cells, delimiter = _cells(line.lstrip().removeprefix("#"))
        if line.lstrip().startswith("#"):
            if set(cells) & set(comment_names):
                commented = cells
        elif line.strip():
            named = not _is_number(cells[0])
            names = cells if named else commented if len(commented) == len(cells) else []
            return TableLayout(names=names, delimiter=delimiter, skip=number + named, columns=len(cells))
    return TableLayout(names=commented, delimiter=None, skip=len(lines), columns=len(commented))


def read_numbers(
    path: Path,
    *,
    what: str,
    delimiter: str | None = None,
    skip: int = 0,
    columns: Sequence[int] | None = None,
    to_number: Callable[[str], float] | None = None,
) -> NDArray[np.float64]:
    """The numbers (rows, columns) after ``skip`` lines, in the ``columns`` asked for; (0, 0) if there are none.
    ``to_number`` reads a cell that need not be a plain number. Raises DataError."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*no data", category=UserWarning)  # the caller's to judge
            rows = np.loadtxt(
                path,
                delimiter=delimiter,
                skiprows=skip,
                usecols=columns,
                converters=to_number,
                ndmin=2,
                encoding="utf-8-sig",
            )
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such {what} file", "check the folder") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as numbers: {error}", f"check the {what} file") from error
    return rows if rows.size else np.zeros((0, 0))


def column_index(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Where the first of the ``wanted`` names is, or None."""
    return next((names.index(name) for name in wanted if name in names), None)


def needed_column(path: Path, names: Sequence[str], wanted: Sequence[str], *, hint: str) -> int:
    """Where the first of the ``wanted`` names is. Raises DataError if none is there."""
    index = column_index(names, wanted)
    if index is None:
        raise DataError(f"{path}: no column {wanted[0]} among {', '.join(names)}", hint)
    return index


def number_or_nan(text: str) -> float:
    """A cell where true and false are 1 and 0, and an empty one is nan."""
    word = text.strip().strip('"').lower()
    known = _WORDS.get(word)
    return float(word) if known is None else known


def _cells(line: str) -> tuple[list[str], str | None]:
    delimiter = next((sign for sign in (",", ";") if sign in line), None)
    return [cell.strip().strip('"').lower() for cell in line.split(delimiter)], delimiter


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
