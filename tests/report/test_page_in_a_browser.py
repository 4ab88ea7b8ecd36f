"""The page of an evaluation as Chromium shows it: what its script adds, sorts and filters, without any complaint."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from page_sample import sample_page

from majl_cli.report.page import write_page

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> str:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium; apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("page") / "page.html"
    write_page(sample_page(exhibits=1), target, with_audio=True)
    return target.read_text(encoding="utf-8")


def shown(browser: str, html: str, folder: Path, script: str = "") -> tuple[str, list[str]]:
    """The document after its scripts and then ``script`` ran, and what the console says."""
    page = folder / "page.html"
    page.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0"]
    command += ["--virtual-time-budget=3000", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=120)
    assert "</html>" in done.stdout, done.stderr[-3000:]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def every_track(document: str) -> list[list[str]]:
    """The cells of the drawn rows."""
    table = re.search(r'<table id="every-track">.*?</table>', document, flags=re.DOTALL)
    assert table
    body = table[0].split("<tbody>")[1]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", body)]


def test_tables_and_figures_are_there_and_the_console_is_silent(browser: str, html: str, tmp_path: Path) -> None:
    document, console = shown(browser, html, tmp_path)
    assert console == []
    assert document.count('<table class="summary"') == 4
    assert document.count('<figure class="strip"') == 20
    assert document.count('<svg class="spectrogram"') == 3
    rows = every_track(document)
    assert len(rows) == 200  # of 210: the others follow as one scrolls
    assert rows[0][:3] == ["abjones_1_01", "mixture", "abjones"] and "–" in rows[0]
    assert rows[46][:3] == ["bug_1_05", "majl-base", "bug"]
    assert "210 rows" in document and '<form class="controls">' in document
    assert "failed: estimate holds 3 samples that are not finite" in document


def test_a_console_with_something_to_say_would_be_noticed(browser: str, tmp_path: Path) -> None:
    _, console = shown(browser, "<!doctype html><html><body></body></html>", tmp_path, "nothing.here();")
    assert len(console) == 1 and "nothing is not defined" in console[0]


def test_click_on_a_head_sorts_with_missing_scores_last(browser: str, html: str, tmp_path: Path) -> None:
    once = 'document.querySelectorAll("#every-track thead button")[4].click();'
    lowest, console = shown(browser, html, tmp_path, once)
    highest, more = shown(browser, html, tmp_path, once + once)
    assert console == more == []
    assert 'aria-sort="ascending"' in lowest and 'aria-sort="descending"' in highest
    up = [float(row[4].replace("−", "-")) for row in every_track(lowest)]
    assert up == sorted(up)
    down = [row[4] for row in every_track(highest)]
    assert down[0] == "∞" and not {"–", ""} & set(down)
    assert down[1:] == sorted(down[1:], key=lambda text: -float(text.replace("−", "-")))


def test_filter_keeps_rows_with_every_word(browser: str, html: str, tmp_path: Path) -> None:
    script = """
      const box = document.getElementById("filter");
      box.value = "FAILED majl-base"; box.dispatchEvent(new Event("input", { bubbles: true }));
      document.title = document.getElementById("count").value;
      box.value = "htdemucs amy skipped"; box.dispatchEvent(new Event("input", { bubbles: true }));
      const part = document.getElementById("part");
      part.value = "melody"; part.dispatchEvent(new Event("input", { bubbles: true }));
    """
    document, console = shown(browser, html, tmp_path, script)
    assert console == []
    assert "<title>1 of 210 rows</title>" in document
    rows = every_track(document)
    assert rows and all("htdemucs" in row and "skipped" in row[-1] for row in rows)
    assert len(rows[0]) == 4 + 7 + 1


def test_pointing_at_a_dot_names_its_track_and_marks_it_for_every_estimator(
    browser: str, html: str, tmp_path: Path
) -> None:
    script = """
      const row = document.querySelectorAll("figure.strip .dots")[1];
      const [x, y] = row.querySelectorAll(".points path")[5].getAttribute("d").slice(1).split(/[ h]/).map(Number);
      const frame = row.getBoundingClientRect();
      const place = { clientX: frame.left + x * frame.width / 1000, clientY: frame.top + y, bubbles: true };
      row.dispatchEvent(new PointerEvent("pointermove", place));
    """
    document, console = shown(browser, html, tmp_path, script)
    assert console == []
    (readout,) = re.findall(r'<p class="readout" aria-live="polite">(<b>.+?)</p>', document)
    row = sample_page(exhibits=0).results[1].rows[7]  # the first has no score, another one failed
    assert readout.startswith(f"<b>{row.id}</b>")
    assert f"majl-base {row.scores['vocals/sdr']:.2f} dB" in readout and "ideal ratio mask" in readout
    assert document.count('class="pointed"') == 5


def test_page_of_a_thousand_tracks_opens_and_names_dots(browser: str, tmp_path: Path) -> None:
    write_page(sample_page(tracks=1000, exhibits=0), tmp_path / "big.html")
    script = """
      const row = document.querySelector("figure.strip .dots");
      const frame = row.getBoundingClientRect();
      const place = { clientX: frame.left + frame.width / 3, clientY: frame.top + 17, bubbles: true };
      row.dispatchEvent(new PointerEvent("pointermove", place));
    """
    document, console = shown(browser, (tmp_path / "big.html").read_text(encoding="utf-8"), tmp_path, script)
    assert console == []
    assert "5000 rows" in document and 'aria-live="polite"><b>' in document
