"""Licence words, and the tags that the Hub knows licences by."""

from __future__ import annotations

import re

NOT_STATED = "not stated"
# Those of the Hub's identifiers that weights and recordings are given under.
_TAGS = (
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc", "cc-by-2.0",
    "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc0-1.0", "eupl-1.1", "eupl-1.2", "gpl-2.0", "gpl-3.0", "isc", "lgpl-2.1", "lgpl-3.0", "mit",
    "mpl-2.0", "openrail", "unlicense", "wtfpl", "zlib",
)  # fmt: skip


def is_stated(words: object) -> bool:
    """Do these words say anything?"""
    return isinstance(words, str) and words.strip().lower() not in ("", NOT_STATED, "none", "unknown")


def hub_tag(words: str) -> str | None:
    """The Hub's identifier that ``words`` are, however written (``CC BY-NC 4.0``, ``MIT License``); None if none."""
    tag = re.sub(r"[\s_]+", "-", words.strip().lower())
    tag = re.sub(r"-licen[cs]e\b", "", tag)
    tag = {"cc0": "cc0-1.0"}.get(tag, tag)
    return tag if tag in _TAGS else None


def front_matter(words: str) -> dict[str, str]:
    """The licence in a model card's front matter: the Hub's identifier, or ``other`` and a name made of the words."""
    tag = hub_tag(words)
    if tag is not None:
        return {"license": tag}
    beginning = re.split(r"[:;,(]", words.strip().lower())[0]
    name = re.sub(r"[^a-z0-9.]+", "-", beginning).strip("-.")[:40]
    return {"license": "other", "license_name": name or "own-words"}
