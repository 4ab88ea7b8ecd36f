"""How models are shown: a table of all, and all of one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from majl_cli.hub.catalogue import Card
from majl_cli.hub.find import size_words
from majl_cli.hub.registry import Score

WIDTH_OF_FILES = 200  # columns where the output is no terminal


def print_models(cards: Sequence[Card]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("model", "task", "stems", "licence", "size", "here", "score"):
        whole = heading in ("model", "size", "here")
        table.add_column(heading, justify="right" if heading == "size" else "left", no_wrap=whole, overflow="fold")
    for card in cards:
        licence = f"{card.licence} (not for commercial use)" if card.non_commercial else card.licence
        size = size_words(card.bytes) if card.bytes else "?"
        table.add_row(card.name, card.task, ", ".join(card.stems), licence, size, card.here, _score(card.score))
    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    Console(markup=False, highlight=False, width=width).print(table)


def info_lines(card: Card) -> Iterator[str]:
    yield f"{card.name}: {card.title}"
    known = {
        "licence": f"{card.licence}: {card.licence_words}" if card.licence_words else card.licence,
        "NOT FOR COMMERCIAL USE": "says its licence" if card.non_commercial else "",
        "trained on": card.data,
        "score": f"{_score(card.score)} ({card.score.source})" if card.score else "",
        "cost": card.cost,
        "note": card.note,
        "task": card.task,
        "stems": ", ".join(card.stems),
        "architecture": card.architecture,
        "sample rate": f"{card.sample_rate} Hz" if card.sample_rate else "",
        "parameters": f"{card.parameters:,}".replace(",", " ") if card.parameters else "",
        "size": size_words(card.bytes),
        "here": card.here,
    }
    for heading, text in known.items():
        if text:
            yield f"  {heading}: {text}"
    for file in card.files:
        yield f"  file: {file.source or file.path}"
        if file.source and file.path:
            yield f"    lies at {file.path}"
        if file.source:
            digest = file.sha256 or "not published: recorded on first use"
            yield f"    {size_words(file.bytes)}, SHA-256 {digest}{f' ({file.vouched})' if file.vouched else ''}"


def _score(score: Score | None) -> str:
    return f"{score.value:g} {score.kind}" if score else ""
