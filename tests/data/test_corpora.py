"""What holds for every corpus: its record is complete, its errors have two lines, the command line names it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from majl_cli.cli.app import main
from majl_cli.data.corpora import corpora
from majl_cli.data.corpora.corpus import first_few, split_by_name
from majl_cli.errors import DataError

DOCS = Path(__file__).resolve().parents[2] / "docs" / "corpora.md"


def test_every_record_is_complete_and_of_single_lines() -> None:
    assert list(corpora) == ["mir-1k", "musdb18", "mir-st500", "medleydb", "ikala", "ultrastar", "stems"]
    for name, corpus in corpora.items():
        assert corpus.name == name
        for words in (corpus.labels, corpus.obtain, corpus.licence, corpus.layout):
            assert words and "\n" not in words


@pytest.mark.parametrize("name", list(corpora))
def test_a_folder_that_is_absent_or_empty_is_refused_with_the_layout(name: str, tmp_path: Path) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError) as caught:
            corpora[name](folder)
        assert str(folder) in caught.value.message and "\n" not in caught.value.message
        assert corpora[name].layout in caught.value.hint and "\n" not in caught.value.hint


def test_the_help_and_the_docs_name_every_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train-stage1", "--help"])
    help_ = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    docs = re.sub(r"\s+", " ", DOCS.read_text(encoding="utf-8"))
    for name, corpus in corpora.items():
        assert name in help_
        assert f"`{name}`" in docs
        for words in (corpus.licence, corpus.obtain):
            assert words in docs


def test_a_split_follows_the_name_and_not_its_spelling() -> None:
    assert split_by_name("The Artist") == split_by_name("the artist ") == split_by_name("TheArtist")
    splits = [split_by_name(f"artist {n}") for n in range(1000)]
    assert 70 < splits.count("validation") < 130 and 70 < splits.count("test") < 130


def test_long_lists_are_cut() -> None:
    assert first_few(["a", "b"]) == "a, b"
    assert first_few(list("abcdefg")) == "a, b, c, d and 3 more"
