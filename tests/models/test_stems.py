"""Names of stems: what is the default, what is derived, what is refused."""

from __future__ import annotations

import pytest

from majl_cli.errors import UsageError
from majl_cli.models.stems import StemNames, usual_names

BAND = ("drums", "bass", "other", "vocals")


@pytest.mark.parametrize(
    ("estimated", "default"),
    [
        (("vocals",), ("vocals", "accompaniment")),
        (("vocals", "other"), ("vocals", "accompaniment")),
        (("accompaniment", "vocals"), ("vocals", "accompaniment")),
        (("vocals", "accompaniment", "choir"), ("vocals", "accompaniment")),
        (BAND, BAND),
        ((*BAND, "guitar", "piano"), (*BAND, "guitar", "piano")),
    ],
)
def test_default_is_vocals_and_accompaniment_or_all_that_takes_it_apart(
    estimated: tuple[str, ...], default: tuple[str, ...]
) -> None:
    assert StemNames(estimated=estimated).default == default
    assert StemNames(estimated=estimated).select(None) == default


def test_the_rest_is_named_after_what_is_missing() -> None:
    assert StemNames(estimated=("vocals", "drums")).rests == {"accompaniment": "vocals", "no_drums": "drums"}
    assert StemNames(estimated=("drums", "bass"), target="bass").rests == {"no_drums": "drums", "accompaniment": "bass"}
    assert StemNames(estimated=("vocals", "accompaniment")).rests == {}


def test_all_stands_for_what_is_estimated_and_each_name_counts_once() -> None:
    names = StemNames(estimated=BAND)
    assert names.select(["bass", "all", "no_bass", "bass"]) == ("bass", "drums", "other", "vocals", "no_bass")
    assert names.select_two("vocals") == ("vocals", "accompaniment")
    assert names.select_two("bass") == ("bass", "no_bass")
    assert StemNames(estimated=("vocals", "accompaniment")).select_two("vocals") == ("vocals", "accompaniment")


def test_what_is_not_there_is_refused_with_what_is() -> None:
    names = StemNames(estimated=BAND)
    with pytest.raises(UsageError, match="no stem 'piano'") as error:
        names.select(["drums", "piano"])
    assert error.value.hint == (
        "this model gives drums, bass, other, vocals, no_drums, no_bass, no_other, accompaniment"
    )
    with pytest.raises(UsageError, match="no stem asked for"):
        names.select([])
    for stem in ("no_bass", "accompaniment", "all", ""):
        with pytest.raises(UsageError, match="to tell from the rest") as error:
            names.select_two(stem)
        assert error.value.hint == "this model estimates drums, bass, other, vocals"


def test_usual_names_are_those_of_models_of_four_and_six_stems() -> None:
    assert {"vocals", "accompaniment", "piano", "no_drums", "no_piano"} <= set(usual_names())
    assert "no_vocals" not in usual_names()
