"""Which stems can be asked of a model: those it estimates, and the mixture without one of them. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from majl_cli.errors import ConfigError, UsageError

ACCOMPANIMENT, ALL = "accompaniment", "all"
USUAL_STEMS = ("vocals", "drums", "bass", "other", "guitar", "piano")
_NAME = re.compile(r"\w[\w -]*")


@dataclass(frozen=True, kw_only=True)
class StemNames:
    """``estimated``: the module's own stems. ``target``: the one that the accompaniment is the mixture without; if
    empty, the vocals, or the first stem where there are none. ``preferred``: the default, if it is not the usual one.

    Names become names of files, so they are letters, digits, "_", "-" and spaces. Raises ConfigError.
    """

    estimated: tuple[str, ...]
    target: str = ""
    preferred: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [name for name in self.estimated if not _NAME.fullmatch(name)]
        if wrong or not self.estimated:
            problem = f"{wrong[0]!r} cannot be the name of a stem" if wrong else "no stems"
            raise ConfigError(problem, 'name stems with letters, digits, "_", "-" and spaces')
        if not self.target:
            object.__setattr__(self, "target", "vocals" if "vocals" in self.estimated else self.estimated[0])
        for name, names in ((self.target, self.estimated), *((stem, self.known) for stem in self.preferred)):
            if name not in names:
                raise ConfigError(f"no stem {name!r} among {', '.join(names)}", "name one of them")

    @property
    def default(self) -> tuple[str, ...]:
        """The target and its accompaniment; of a model that takes the accompaniment apart, all that it estimates."""
        if self.preferred:
            return self.preferred
        takes_apart = len(self.estimated) > 2 and ACCOMPANIMENT not in self.estimated
        return self.estimated if takes_apart else tuple(dict.fromkeys((self.target, ACCOMPANIMENT)))

    @property
    def rests(self) -> dict[str, str]:
        """What is the mixture without one stem, by name: "accompaniment" without the target, "no_drums" without drums.

        An accompaniment that the module estimates itself is not among them.
        """
        rests = {self.rest_of(stem): stem for stem in self.estimated if stem != ACCOMPANIMENT}
        return {name: stem for name, stem in rests.items() if name not in self.estimated}

    @property
    def known(self) -> tuple[str, ...]:
        """All that can be asked for."""
        return (*self.estimated, *self.rests)

    def rest_of(self, stem: str) -> str:
        """What the mixture without ``stem`` is called."""
        return ACCOMPANIMENT if stem == self.target else f"no_{stem}"

    def select(self, asked: Sequence[str] | None) -> tuple[str, ...]:
        """The stems ``asked`` for, each once; None: the default, "all": those estimated. Raises UsageError."""
        if asked is None:
            return self.default
        expanded = [name for item in asked for name in (self.estimated if item == ALL else (item,))]
        unknown = [name for name in expanded if name not in self.known]
        if unknown or not expanded:
            problem = f"no stem {unknown[0]!r}" if unknown else "no stem asked for"
            raise UsageError(problem, f"this model gives {', '.join(self.known)}")
        return tuple(dict.fromkeys(expanded))

    def select_two(self, stem: str) -> tuple[str, str]:
        """``stem`` and the rest. Raises UsageError."""
        apart = [name for name in self.estimated if name != ACCOMPANIMENT]
        if stem not in apart:
            raise UsageError(f"no stem {stem!r} to tell from the rest", f"this model estimates {', '.join(apart)}")
        return stem, self.rest_of(stem)


def usual_names() -> tuple[str, ...]:
    """What stems are called by models in general."""
    return StemNames(estimated=USUAL_STEMS).known
