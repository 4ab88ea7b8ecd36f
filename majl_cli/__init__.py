"""majl: separates music into stems and estimates the melody's pitch, each helping the other.

>>> import majl_cli
>>> model = majl_cli.load_model()
>>> separation = model.separate("song.wav", out="stems")
>>> pitch = model.estimate_pitch("song.wav")
>>> majl_cli.write_pitch(pitch, "song.f0.csv")

Importing this module is cheap: PyTorch is loaded on the first use of a model.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from majl_cli.errors import MajlError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from majl_cli.inference.pitch import PitchTrack
    from majl_cli.inference.session import Model, Separation

__version__ = "0.1.0"
__all__ = [
    "MajlError",
    "Model",
    "PitchTrack",
    "Separation",
    "__version__",
    "estimate_pitch",
    "load_model",
    "separate",
    "write_pitch",
]

_CLASSES = {
    "Model": "majl_cli.inference.session",
    "PitchTrack": "majl_cli.inference.pitch",
    "Separation": "majl_cli.inference.session",
}


def load_model(
    name: str | Path = "majl-base", *, device: str = "auto", precision: str = "auto", threads: int | None = None
) -> Model:
    """A model ready to separate and to estimate pitch.

    ``name`` is an embedded model, a checkpoint folder, a fetched model (a short name that ``majl models list`` shows,
    or ``owner/repo[@revision]``), or ``A+B``: the separation of A with the pitch of B. ``device`` auto, cuda, mps or
    cpu; ``precision`` auto, float32, bfloat16 or float16; ``threads`` the CPU threads to use (None: as many as there
    are). Raises MajlError; nothing is ever fetched by itself.
    """
    from majl_cli.device import make_runtime
    from majl_cli.hub.assemble import load_joint
    from majl_cli.inference.session import Model
    from majl_cli.models.layers import fold_batch_norms

    joint, info = load_joint(str(name))
    fold_batch_norms(joint)
    return Model(joint, info, make_runtime(device, precision, threads, joint))


def separate(
    source: str | Path | NDArray[Any],
    *,
    sample_rate: int | None = None,
    out: str | Path | None = None,
    model: str | Path = "majl-base",
    progress: Callable[[float], bool | None] | None = None,
) -> Separation:
    """The stems of a file or of an array (samples, channels), with the model of that name: vocals and accompaniment, or
    all that a model of more stems estimates.

    Loads the model anew on each call: for several tracks use ``load_model`` and ``Model.separate``, which also
    has the other settings.
    """
    return load_model(model).separate(source, sample_rate=sample_rate, out=out, progress=progress)


def estimate_pitch(
    source: str | Path | NDArray[Any],
    *,
    sample_rate: int | None = None,
    input: str = "auto",
    model: str | Path = "majl-base",
    progress: Callable[[float], bool | None] | None = None,
) -> PitchTrack:
    """The melody's f0 of a file or of an array (samples, channels), with the model of that name.

    Loads the model anew on each call, as ``separate`` does.
    """
    return load_model(model).estimate_pitch(source, sample_rate=sample_rate, input=input, progress=progress)


def write_pitch(track: PitchTrack, path: str | Path) -> None:
    """Write a pitch track as the ending of ``path`` says: .csv, .npz, .mid (notes) or .png (needs matplotlib).

    The file appears whole or not at all; its folder is made. Raises MajlError.
    """
    from majl_cli.report.pitch_files import write_pitch

    write_pitch(track, Path(path))


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(import_module(_CLASSES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
