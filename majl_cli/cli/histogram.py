"""A histogram in text, with blocks where the terminal can show them."""

from __future__ import annotations

from collections.abc import Sequence

EIGHTHS = " ▏▎▍▌▋▊▉█"


def histogram_lines(counts: Sequence[int], *, th: float, encoding: str, width: int = 50) -> list[str]:
    """One line for each of the equally wide bins of [0, 1], the highest first; the line below ``th`` is marked.

    The longest bar takes ``width`` columns; whatever is not empty has a bar. Blocks need an ``encoding`` that has them.
    """
    full = max(max(counts), 1)
    lines: list[str] = []
    for number in reversed(range(len(counts))):
        low, high = number / len(counts), (number + 1) / len(counts)
        if lines and low < th <= high + 1e-9 and th < 1:
            lines.append(f"{'th ' + format(th, '.2f'):>9} {'-' * width}")
        share = counts[number] / full
        lines.append(f"{low:.2f}-{high:.2f} {_bar(share, width, encoding)} {counts[number]}".replace("  ", " "))
    return lines


def _bar(share: float, width: int, encoding: str) -> str:
    if not _can_show(encoding):
        return "#" * max(round(share * width), share > 0)
    eighths = max(round(share * width * 8), share > 0)
    return EIGHTHS[-1] * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _can_show(encoding: str) -> bool:
    try:
        EIGHTHS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
