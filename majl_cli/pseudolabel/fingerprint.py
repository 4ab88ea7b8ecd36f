"""Which model a folder of pseudo-labels belongs to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from majl_cli.errors import DataError
from majl_cli.inference.session import Model
from majl_cli.pseudolabel.folder import SETTINGS_FILE, read_json, write_json


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """``model`` is a hash of the architecture and the weights; ``target`` the stem that is labelled."""

    model: str
    target: str

    @classmethod
    def of(cls, model: Model) -> Fingerprint:
        digest = hashlib.sha256(json.dumps(model.info.architecture, sort_keys=True, default=str).encode())
        for name, tensor in sorted(model.joint.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return cls(model=digest.hexdigest(), target=model.joint.target)

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
