"""An evaluation as one HTML file: its scores, how they spread over tracks, and what the worst ones look like.

The file asks the network for nothing (its own policy forbids it), so it can be mailed or kept beside the figures. The
same ``Page`` gives the same bytes. All but the table of every track can be read without JavaScript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from majl_cli.errors import DataError
from majl_cli.evaluation.results import Difference, Exhibit, MetricSummary, Result
from majl_cli.inference.outputs import written_aside
from majl_cli.report.page.comparisons import comparisons
from majl_cli.report.page.distributions import figures
from majl_cli.report.page.exhibits import exhibit_view
from majl_cli.report.page.header import header_of, marks_of
from majl_cli.report.page.png import CONTROL_COLOURS
from majl_cli.report.page.scores import ordered_keys, part_tables
from majl_cli.report.page.tracks import track_data

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """What the page shows.

    One of ``results`` an estimator, the first ones first in every table; ``summaries`` by the estimator's name and the
    score's key; ``command`` and ``date`` are shown as they are given.
    """

    title: str
    results: Sequence[Result]
    summaries: Mapping[str, Mapping[str, MetricSummary]]
    differences: Sequence[Difference] = field(default_factory=tuple)
    exhibits: Sequence[Exhibit] = field(default_factory=tuple)
    command: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        names = [result.name for result in self.results]
        if not names:
            raise DataError("a page of no results", "give the result of at least one estimator")
        if len(set(names)) < len(names):
            raise DataError(f"two estimators of one name among {', '.join(names)}", "give each a name of its own")


def write_page(report: Page, target: Path, *, with_audio: bool = False) -> None:
    """Write the page; ``with_audio`` embeds the excerpts of the exhibits too, some 20 kB a second each.

    Raises AudioError if the file cannot be written.
    """
    text = _environment().get_template("page.html").render(_views(report, with_audio=with_audio))
    with written_aside(target) as file:
        # A file name that is no valid text (lone surrogates) must not keep the rest from being written.
        file.write(text.encode("utf-8", errors="replace"))


def _views(report: Page, *, with_audio: bool) -> dict[str, Any]:
    keys = ordered_keys(report.results, report.summaries)
    marks = marks_of(report.results)
    chosen, others = figures(report.results, keys)
    return {
        "title": report.title,
        "command": report.command,
        "date": report.date,
        "header": header_of(report.results),
        "parts": part_tables(report.results, report.summaries, marks=marks, keys=keys),
        "marks_by_name": marks,
        "comparisons": comparisons(report.differences),
        "figures": chosen,
        "other_figures": others,
        "exhibits": [
            exhibit_view(exhibit, number=number, with_audio=with_audio)
            for number, exhibit in enumerate(report.exhibits, 1)
        ],
        "scale_colours": CONTROL_COLOURS,
        "data": track_data(report.results, keys),
        "style": Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        "script": Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    return environment
