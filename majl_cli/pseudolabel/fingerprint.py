"""Which model a folder of pseudo-labels belongs to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from majl_cli.errors import DataError
from majl_cli.inference.session import Model
from majl_cli.inference.track_log import read_json, write_json
from majl_cli.pseudolabel.folder import SETTINGS_FILE


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """``model`` is a hash of the architecture and the weights; ``target`` the stem that is labelled."""

    model: str
    target: str

    @classmethod
    def of(cls, model: Model) -> Fingerprint:
        return cls(model=model.fingerprint(), target=model.joint.target)

    @classmethod
    def claim(cls, out: Path, model: Model) -> Fingerprint:
        """Mark ``out`` as this model's. Raises DataError if it is another's."""
        fingerprint = cls.of(model)
        path = out / SETTINGS_FILE
        if not path.exists():
            write_json(path, fingerprint.as_json())
        elif any(read_json(path).get(key) != value for key, value in fingerprint.as_json().items()):
            raise DataError(
                f"{out}: holds the pseudo-labels of another checkpoint", "use another folder, or that checkpoint again"
            )
        return fingerprint

    def as_json(self) -> dict[str, str]:
        return asdict(self)
