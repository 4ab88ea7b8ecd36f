"""Names of stems: what is the default, what is derived, what is refused."""

from __future__ import annotations

import pytest

from majl_cli.errors import ConfigError, UsageError
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


@pytest.mark.parametrize("name", ["../../evil/drums", "/drums", "..", "a.b", "", "a\\b", "dr\nums", " ", "C:x"])
def test_a_name_that_leads_elsewhere_is_no_stem(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a stem"):
        StemNames(estimated=("vocals", name))


def test_a_stem_has_letters_of_any_script() -> None:
    assert StemNames(estimated=("lead vocals", "chœur_2", "hi-hat")).target == "lead vocals"


def test_without_vocals_the_first_stem_is_the_target() -> None:
    names = StemNames(estimated=("instrumental",))
    assert names == StemNames(estimated=("instrumental",), target="instrumental")
    assert names.default == ("instrumental", "accompaniment")
    for estimated in (("instrumental",), ("accompaniment",), ("accompaniment", "drums"), ("drums", "bass")):
        names = StemNames(estimated=estimated)
        assert names.select(names.default) == names.default


def test_a_default_of_its_own_comes_before_the_usual_one() -> None:
    names = StemNames(estimated=BAND, preferred=("vocals", "accompaniment"))
    assert names.select(None) == ("vocals", "accompaniment")
    for wrong in ({"preferred": ("piano",)}, {"target": "piano"}):
        with pytest.raises(ConfigError, match="no stem 'piano' among"):
            StemNames(estimated=BAND, **wrong)
    with pytest.raises(ConfigError, match="no stems"):
        StemNames(estimated=())
