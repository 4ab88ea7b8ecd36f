"""Typed configuration: frozen dataclass trees from TOML in layers, with ``section.key=value`` on top.

An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from majl_cli.errors import ConfigError
from majl_cli.files import write_text

T = typing.TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], *, section: str = "") -> T:
    """An instance of the dataclass ``cls`` from nested ``values``. Raises ConfigError."""
    check_keys(cls, values, section=section)
    try:
        return msgspec.convert(dict(values), cls, strict=True)
    except msgspec.ValidationError as error:
        where = f" in [{section}]" if section else ""
        raise ConfigError(f"wrong value{where}: {error}", "see the documentation of the configuration") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file", "check the path, or leave the option out") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: not readable as TOML: {error}", "mend the file") from error


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any], cls: type | None = None) -> dict[str, Any]:
    """``upper`` on top of ``lower``, table by table.

    The options of a module (``separation_options``) go when ``upper`` names another module (``separation``). With a
    dataclass ``cls`` only its sections are merged: a free table, such as a module's options, counts as one value.
    """
    result = _without_replaced(lower, upper)
    hints = typing.get_type_hints(cls) if cls is not None else {}
    for key, value in upper.items():
        below, section = result.get(key), hints.get(key)
        mergeable = cls is None or dataclasses.is_dataclass(section)
        if mergeable and isinstance(value, Mapping) and isinstance(below, Mapping):
            value = merge(below, value, typing.cast(type | None, section))
        result[key] = _copy(value) if isinstance(value, Mapping) else value
    return result


def override(values: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """``values`` with each ``section.key=value`` applied; values are TOML, bare words are strings.

    As in ``merge``, the options of a module go when another one is named; in whatever order the assignments are, they
    do not undo each other so.
    """
    assignments = list(assignments)
    return _assigned(_without_replaced(values, _assigned({}, assignments)), assignments)


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree as plain tables, without the values that are None (TOML has no null)."""
    # asdict: of an instance that msgspec built, it does not see the fields left at their defaults.
    plain = msgspec.to_builtins(dataclasses.asdict(config))
    return typing.cast(dict[str, Any], _as_toml(plain))


def write_toml(path: Path, config: Any) -> None:
    """The fully resolved configuration as TOML."""
    write_text(path, tomli_w.dumps(to_dict(config)))


def check_keys(cls: type, values: Mapping[str, Any], *, section: str = "") -> None:
    """Raise ConfigError for a key that the dataclass ``cls`` or a dataclass in it does not have."""
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls)]
    for key, value in values.items():
        name = f"{section}.{key}" if section else key
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
            raise ConfigError(f"unknown key {name!r}", hint)
        if isinstance(value, Mapping) and dataclasses.is_dataclass(hints[key]):
            check_keys(typing.cast(type, hints[key]), value, section=name)


def _assigned(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """``values``, changed in place."""
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        if not sign or not path.strip():
            raise ConfigError(f"--set {assignment}: no value", "write --set section.key=value")
        *sections, key = path.strip().split(".")
        table = values
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {assignment}: {section} is not a section", "write --set section.key=value")
        table[key] = _parse_value(text.strip())
    return values


def _without_replaced(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``lower`` without the options of modules in whose place ``upper`` names others."""
    replaced = {f"{key}_options" for key, value in upper.items() if key in lower and lower[key] != value}
    result = {key: value for key, value in _copy(lower).items() if key not in replaced}
    for key, value in upper.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), dict):
            result[key] = _without_replaced(result[key], value)
    return result


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def _as_toml(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_toml(item) for key, item in value.items() if item is not None}
    return [_as_toml(item) for item in value] if isinstance(value, list | tuple) else value
