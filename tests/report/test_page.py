"""The page of an evaluation: what stands in it, and that nothing leaves it."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from page_sample import KEYS, sample_page, summaries_of

from majl_cli.errors import AudioError, DataError
from majl_cli.evaluation.results import Result, TrackRow
from majl_cli.metrics.names import metric_of
from majl_cli.report.page import Page, write_page

HOSTILE = """<script>alert(1)</script> & "Ænima" 'それ' </title> <img src=x onerror=alert(1)> {{ 7*7 }}"""
VOID = {"meta", "link", "input", "br", "img"}


class Outline(HTMLParser):
    """The elements of a page, in order, with their attributes and the text directly or further down inside them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(page)
        self.close()
        assert not self._open, f"never closed: {[name for name, _ in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        text: list[str] = []
        self.elements.append((tag, dict(attrs), text))
        if tag not in VOID:
            self._open.append((tag, text))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        name, _ = self._open.pop()
        assert name == tag, f"</{tag}> closes <{name}>"

    def handle_data(self, data: str) -> None:
        for _, text in self._open:
            text.append(data)

    def texts(self, tag: str, **attributes: str) -> list[str]:
        """Of all elements of this name that have these attributes (``class_``: among others)."""
        found = []
        for name, own, text in self.elements:
            classes = (own.get("class") or "").split()
            wanted = {key: value for key, value in attributes.items() if key != "class_"}
            if name != tag or attributes.get("class_", "") not in ["", *classes]:
                continue
            if all(own.get(key) == value for key, value in wanted.items()):
                found.append(" ".join("".join(text).split()))
        return found


def written(page: Page, folder: Path, *, with_audio: bool = False) -> str:
    write_page(page, folder / "page.html", with_audio=with_audio)
    return (folder / "page.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page() -> Page:
    return sample_page()


@pytest.fixture(scope="module")
def html(page: Page, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(page, tmp_path_factory.mktemp("page"))


def one_estimator(*rows: TrackRow, name: str = "majl-base", kind: str = "model", **more: object) -> Page:
    result = Result(name=name, kind=kind, description="", protocol="p", settings={}, warnings=(), rows=rows)
    return Page(**{"title": "t", "results": [result], "summaries": {name: summaries_of(result)}, **more})


def test_parts_stand_in_the_order_in_which_they_are_read(html: str) -> None:
    outline = Outline(html)
    headings = outline.texts("h2")
    assert headings == ["Scores", "Comparisons", "Distributions over tracks", "Worst tracks", "Every track"]
    assert outline.texts("h1") == ["MIR-1K, test split"]
    facts = dict(zip(outline.texts("dt")[:6], outline.texts("dd")[:6], strict=True))
    assert facts["protocol"] == "MIR-1K, 44.1 kHz, 0 dB" and facts["tracks"] == "42"
    assert "museval 0.4.1" in facts["versions"]
    assert "majl evaluate --model majl-base" in outline.texts("pre")[0]


def test_warnings_stand_above_the_scores_and_mark_every_row_of_their_estimators(html: str) -> None:
    (box,) = Outline(html).texts("aside", class_="warnings")
    assert "majl-large, htdemucs: MIR-1K is among its training data" in box
    assert html.index('<aside class="warnings"') < html.index('<table class="summary"')
    rows = Outline(html).texts("th", scope="row")
    assert {row for row in rows if row.startswith("htdemucs")} == {"htdemucs ⚠2"}
    assert not any("⚠" in row for row in rows if row.startswith(("mixture", "ideal")))
    assert "majl-large ⚠2 less majl-base ⚠1" in Outline(html).texts("h3")
    assert any(name.startswith("htdemucs ⚠2 median") for name in Outline(html).texts("div", class_="name"))


def test_summary_has_a_table_each_part_with_every_metric_explained(page: Page, html: str) -> None:
    outline = Outline(html)
    parts = [own["data-part"] for name, own, _ in outline.elements if own.get("class") == "summary"]
    assert parts == ["vocals", "accompaniment", "melody", "melody_clean"]
    for key in KEYS:
        assert any(metric_of(key).kind.split(";")[0] in text for text in outline.texts("dd"))
    mean = page.summaries["majl-base"]["vocals/v3_nsdr"]
    cell = f"{mean.mean.mean:.2f} [{mean.mean.low:.2f}, {mean.mean.high:.2f}] GNSDR {mean.weighted:.2f}"
    assert cell in outline.texts("td")
    median = page.summaries["majl-base"]["vocals/v4_sdr"].median
    assert any(text.endswith(f"median {median:.2f}") for text in outline.texts("td"))


def test_tracks_without_a_score_and_skipped_windows_are_counted(html: str) -> None:
    cells = Outline(html).texts("td")
    assert "40 of 42" in cells  # of majl-base one has no voice and one failed
    assert "1 failed; 8 of 410 windows skipped" in cells
    (fewer,) = Outline(html).texts("small", class_="scored")  # the oracle is perfect on one track, on this score only
    assert fewer == "40 of 42"


def test_best_mean_is_bold_but_never_of_a_floor_or_ceiling(page: Page, html: str) -> None:
    best = Outline(html).texts("b", class_="mean")
    assert len(best) == len(KEYS)
    means = [page.summaries[name]["vocals/leakage_db"].mean.mean for name in ("majl-base", "majl-large", "htdemucs")]
    assert best[8] == f"−{abs(min(means)):.2f}"  # lower is better
    muted = re.findall(r'<tr class="framing">.*?</tr>', html, flags=re.DOTALL)
    assert len(muted) == 2 + 2 + 2 + 1 + 1 and not any("best" in row for row in muted)


def test_comparisons_say_who_is_better_in_the_metrics_own_direction(page: Page, html: str) -> None:
    leakage = next(each for each in page.differences if each.key == "vocals/leakage_db" and each.b == "htdemucs")
    assert leakage.mean.low > 0  # more leakage
    row = re.findall(r'<tr class="(\w+)">\s*<th scope="row" title="[^"]*">leakage', html)
    assert row[1] == "worse"
    assert f"+{leakage.mean.mean:.2f} dB" in Outline(html).texts("td")
    rpa = next(each.mean.mean for each in page.differences if each.key == "melody/rpa")
    assert f"+{100 * rpa:.1f} points" in Outline(html).texts("td")


def test_page_of_a_single_estimator_has_no_comparisons_and_no_exhibits(tmp_path: Path) -> None:
    text = written(one_estimator(TrackRow(id="a", seconds=1.0, scores={"vocals/sdr": 3.0})), tmp_path)
    assert Outline(text).texts("h2") == ["Scores", "Distributions over tracks", "Every track"]
    assert "3.00 [–]" in Outline(text).texts("td")


def test_page_of_nothing_but_errors_can_be_read(tmp_path: Path) -> None:
    text = written(one_estimator(TrackRow(id="a", seconds=1.0, error="no memory left")), tmp_path)
    assert Outline(text).texts("h2") == ["Scores", "Every track"]
    assert "No score is defined on any track." in text and "no memory left" in text


def test_every_dot_names_its_track(page: Page, html: str) -> None:
    figures = re.findall(r'<figure class="strip".*?</figure>', html, flags=re.DOTALL)
    assert len(figures) == len(KEYS)
    assert [re.search('data-key="(.*?)"', each)[1] for each in figures[:5]] == [  # type: ignore[index]
        "vocals/sdr", "vocals/v4_sdr", "vocals/v3_nsdr", "melody/rpa", "melody/oa"
    ]  # fmt: skip
    row = page.results[1].rows[7]
    assert f"<title>{row.id}: {row.scores['vocals/sdr']:.2f} dB</title>" in figures[0]
    assert figures[0].count("<title>") == 41 + 40 + 41 + 41 + 40
    assert "1 infinite, not drawn" in figures[0]


def test_hostile_names_stay_text_everywhere(tmp_path: Path) -> None:
    row = TrackRow(id=HOSTILE, seconds=1.0, group=HOSTILE, scores={"vocals/sdr": 3.0}, notes=(HOSTILE,))
    failed = TrackRow(id="b", seconds=1.0, error=HOSTILE)
    (result,) = one_estimator(row, failed, name=HOSTILE).results
    result = dataclasses.replace(
        result, description=HOSTILE, protocol=HOSTILE, settings={HOSTILE: [HOSTILE]}, warnings=(HOSTILE,)
    )
    exhibit = dataclasses.replace(sample_page(exhibits=1).exhibits[0], track=HOSTILE, why=HOSTILE, estimator=HOSTILE)
    hostile = Page(
        title=HOSTILE,
        results=[result],
        summaries={HOSTILE: summaries_of(result)},
        exhibits=[exhibit],
        command=HOSTILE,
        date=HOSTILE,
    )
    text = written(hostile, tmp_path)
    assert text.count("<script") == text.count("</script>") == 2
    outline = Outline(text)
    assert outline.texts("h1") == outline.texts("pre") == [HOSTILE]
    assert {"script", "img"} & {name for name, *_ in outline.elements} == {"script"}
    assert not [own for _, own, _ in outline.elements if any(key.startswith("on") for key in own)]
    data = json.loads(outline.texts("script", id="data")[0])
    assert data["tracks"][0] == HOSTILE and data["estimators"][0]["errors"] == {"1": HOSTILE}


def test_nothing_leaves_the_page(html: str) -> None:
    for _, attributes, _ in Outline(html).elements:
        for name in ("src", "href", "action", "srcset", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert "@import" not in html and "url(" not in html
    assert "default-src 'none'" in html
    assert set(re.findall(r"https?://[^\"' <)]*", html)) == {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_undefined_is_a_dash_and_endless_is_infinity(tmp_path: Path) -> None:
    rows = [TrackRow(id=each, seconds=1.0, scores={"vocals/sdr": value}) for each, value in
            (("a", 3.0), ("b", math.nan), ("c", math.inf), ("d", -math.inf))]  # fmt: skip
    exhibit = dataclasses.replace(
        sample_page(exhibits=1).exhibits[0], scores={"vocals/sdr": math.inf, "melody/rpa": math.nan}
    )
    text = written(one_estimator(*rows, exhibits=[exhibit]), tmp_path)
    data = json.loads(Outline(text).texts("script", id="data")[0])
    assert data["estimators"][0]["scores"]["vocals/sdr"] == [3, None, "inf", "-inf"]
    assert {"∞ dB", "–"} <= set(Outline(text).texts("dd"))
    assert not re.search(r"\b(nan|NaN|inf)\b", re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.S))


def test_the_same_page_gives_the_same_bytes(page: Page, html: str, tmp_path: Path) -> None:
    assert written(page, tmp_path) == html
    first = written(page, tmp_path, with_audio=True)
    assert written(page, tmp_path, with_audio=True) == first != html


def test_audio_is_embedded_only_if_asked_for(page: Page, html: str, tmp_path: Path) -> None:
    assert "<audio" not in html
    text = written(page, tmp_path, with_audio=True)
    assert text.count("<audio controls") == 6 and text.count('src="data:audio/mpeg;base64,') == 6


def test_page_of_a_thousand_tracks_stays_small(tmp_path: Path) -> None:
    text = written(sample_page(tracks=1000), tmp_path)
    assert 1e6 < len(text.encode()) < 3e6
    assert "<title>amy" not in text  # so many dots are one path a row; the script names them


def test_page_without_results_or_with_two_of_a_name_is_refused() -> None:
    with pytest.raises(DataError, match="a page of no results\n  give the result of at least one estimator"):
        Page(title="t", results=[], summaries={})
    (result,) = one_estimator().results
    with pytest.raises(DataError, match="two estimators of one name among majl-base, majl-base"):
        Page(title="t", results=[result, result], summaries={})


def test_page_is_not_written_over_a_folder(page: Page, tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    with pytest.raises(AudioError):
        write_page(page, tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
