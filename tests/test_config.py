"""Configuration: layers, types, unknown keys, and what is written can be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from majl_cli.config import build, merge, override, read_toml, to_dict, write_toml
from majl_cli.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 1.0
    name: str = "a"
    range: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Outer:
    steps: int = 10
    seed: int | None = None
    inner: Inner = field(default_factory=Inner)
    weights: dict[str, float] = field(default_factory=dict)


def test_values_reach_nested_sections() -> None:
    config = build(Outer, {"steps": 3, "inner": {"rate": 2, "range": [1, 2]}, "weights": {"MIR-1K": 2.0}})
    assert config == Outer(steps=3, inner=Inner(rate=2.0, range=(1.0, 2.0)), weights={"MIR-1K": 2.0})


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"stepz": 1}, "unknown key 'stepz'", "did you mean steps?"),
        ({"inner": {"rat": 1}}, "unknown key 'inner.rat'", "did you mean rate?"),
        ({"zzz": 1}, "unknown key 'zzz'", "known keys: steps, seed, inner, weights"),
        ({"steps": "many"}, "wrong value", "documentation"),
        ({"inner": {"range": [1.0]}}, "wrong value", "documentation"),
        ({"inner": 3}, "wrong value", "documentation"),
    ],
)
def test_mistakes_are_named(values: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(Outer, values)
    assert message in error.value.message and hint in error.value.hint


def test_overrides_are_toml_or_bare_words() -> None:
    values = override({"inner": {"rate": 1.0}}, ["steps=5", "inner.name=b", "inner.range=[2.0, 3.0]", "seed = 7"])
    assert build(Outer, values) == Outer(steps=5, seed=7, inner=Inner(name="b", range=(2.0, 3.0)))


@pytest.mark.parametrize("assignment", ["steps", "=5", "steps.x=1"])
def test_an_override_that_is_none(assignment: str) -> None:
    with pytest.raises(ConfigError, match="write --set section.key=value"):
        override({"steps": 1}, [assignment])


def test_overriding_leaves_the_original_alone() -> None:
    base = {"inner": {"rate": 1.0}, "steps": 1}
    assert override(base, ["inner.rate=2.0"])["inner"] == {"rate": 2.0}
    assert base == {"inner": {"rate": 1.0}, "steps": 1}


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    config = Outer(seed=None, weights={"a b": 2.5})
    write_toml(tmp_path / "c.toml", config)
    assert "seed" not in to_dict(config)
    assert build(Outer, read_toml(tmp_path / "c.toml")) == config


def test_defaults_are_written_too(tmp_path: Path) -> None:
    write_toml(tmp_path / "c.toml", build(Outer, {"inner": {"rate": 2.0}}))
    written = read_toml(tmp_path / "c.toml")
    assert written == {"steps": 10, "inner": {"rate": 2.0, "name": "a", "range": [0.0, 1.0]}, "weights": {}}


def test_merging_goes_table_by_table() -> None:
    lower = {"steps": 1, "inner": {"rate": 1.0, "name": "a"}, "weights": {"a": 1.0}}
    upper = {"inner": {"rate": 2.0}, "weights": {"b": 2.0}}
    assert merge(lower, upper)["inner"] == {"rate": 2.0, "name": "a"}
    assert merge(lower, upper)["weights"] == {"a": 1.0, "b": 2.0}
    assert merge(lower, upper, Outer)["inner"] == {"rate": 2.0, "name": "a"}
    assert merge(lower, upper, Outer)["weights"] == {"b": 2.0}
    assert lower == {"steps": 1, "inner": {"rate": 1.0, "name": "a"}, "weights": {"a": 1.0}}


def test_merging_drops_the_options_of_another_module() -> None:
    lower = {"pitch": "a", "pitch_options": {"width": 1}}
    assert merge(lower, {"pitch": "a"}) == lower
    assert merge(lower, {"pitch_options": {"size": 2}, "pitch": "b"}) == {"pitch": "b", "pitch_options": {"size": 2}}


@pytest.mark.parametrize("turn", [1, -1])
def test_an_override_that_names_another_module_drops_the_options_of_the_former(turn: int) -> None:
    values = {"model": {"pitch": "a", "pitch_options": {"width": 1}, "separation": "s", "separation_options": {"x": 1}}}
    kept = {"separation": "s", "separation_options": {"x": 1}}
    assert override(values, ["model.pitch=b"])["model"] == {"pitch": "b", **kept}
    both = ["model.pitch=b", "model.pitch_options.size=2"][::turn]
    assert override(values, both)["model"] == {"pitch": "b", "pitch_options": {"size": 2}, **kept}
    same = ["model.pitch=a", "model.pitch_options.size=2"][::turn]
    assert override(values, same)["model"] == {"pitch": "a", "pitch_options": {"width": 1, "size": 2}, **kept}
    assert values["model"]["pitch_options"] == {"width": 1}


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfe", b"[a\n"])
def test_unreadable_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not readable as TOML"):
        read_toml(path)


def test_missing_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_toml(tmp_path / "c.toml")
