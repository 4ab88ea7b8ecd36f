"""Where models fetched for majl lie: ``MAJL_HOME``, or the user's folders for caches and for data.

Files of Hugging Face repositories lie in that Hub's own cache (``HF_HOME``), which other programs share.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def downloads_folder() -> Path:
    """Files fetched from addresses outside the Hub, and half-fetched ones."""
    home = _home()
    return home / "downloads" if home else platformdirs.user_cache_path("majl") / "downloads"


def pins_file() -> Path:
    """Commits and digests recorded on first use."""
    return _data_folder() / "pins.json"


def own_registry() -> Path:
    """The user's entries beside those that come with majl."""
    return _data_folder() / "models.toml"


def _data_folder() -> Path:
    return _home() or platformdirs.user_data_path("majl")


def _home() -> Path | None:
    given = os.environ.get("MAJL_HOME")
    return Path(given).expanduser() if given else None
