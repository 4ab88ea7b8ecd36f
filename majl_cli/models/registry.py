"""Names of the modules that can be joined. ``package.module:Class`` loads a third party's class."""

from __future__ import annotations

import difflib
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from majl_cli.config import build
from majl_cli.errors import ConfigError
from majl_cli.models.contracts import PitchModule, SeparationModule
from majl_cli.models.joint import JointModel
from majl_cli.models.pitch.crepe import Crepe, CrepeConfig
from majl_cli.models.pitch.fcnf0 import Fcnf0, Fcnf0Config
from majl_cli.models.pitch.rmvpe import Rmvpe, RmvpeConfig
from majl_cli.models.pitch.salience_cnn import SalienceCNN, SalienceCNNConfig
from majl_cli.models.pitch.streaming_tcn import StreamingTCN, StreamingTCNConfig
from majl_cli.models.separation.band_split_conv import BandSplitConv, BandSplitConvConfig
from majl_cli.models.separation.bs_roformer import BSRoformer, BSRoformerConfig
from majl_cli.models.separation.hdemucs import HDemucs, HDemucsConfig
from majl_cli.models.separation.htdemucs import HTDemucs, HTDemucsConfig
from majl_cli.models.separation.mel_band_roformer import MelBandRoformer, MelBandRoformerConfig
from majl_cli.models.separation.open_unmix import OpenUnmix, OpenUnmixConfig
from majl_cli.models.separation.resunet_decouple_plus import ResUNetDecouplePlus, ResUNetDecouplePlusConfig
from majl_cli.models.separation.unet import UNet, UNetConfig

Entry = tuple[Callable[[Any], Any], type]

separation_modules: dict[str, Entry] = {
    "unet": (UNet, UNetConfig),
    "band-split-conv": (BandSplitConv, BandSplitConvConfig),
    "hdemucs": (HDemucs, HDemucsConfig),
    "htdemucs": (HTDemucs, HTDemucsConfig),
    "resunet-decouple-plus": (ResUNetDecouplePlus, ResUNetDecouplePlusConfig),
    "open-unmix": (OpenUnmix, OpenUnmixConfig),
    "bs-roformer": (BSRoformer, BSRoformerConfig),
    "mel-band-roformer": (MelBandRoformer, MelBandRoformerConfig),
}
pitch_modules: dict[str, Entry] = {
    "salience-cnn": (SalienceCNN, SalienceCNNConfig),
    "crepe": (Crepe, CrepeConfig),
    "rmvpe": (Rmvpe, RmvpeConfig),
    "fcnf0": (Fcnf0, Fcnf0Config),
    "streaming-tcn": (StreamingTCN, StreamingTCNConfig),
}


def build_separation(name: str, options: Mapping[str, Any] | None = None) -> SeparationModule:
    """The named separation module. Raises ConfigError for an unknown name or option."""
    module: SeparationModule = _build(separation_modules, "separation", name, options or {})
    return module


def build_pitch(name: str, options: Mapping[str, Any] | None = None) -> PitchModule:
    """The named pitch module. Raises ConfigError for an unknown name or option."""
    module: PitchModule = _build(pitch_modules, "pitch", name, options or {})
    return module


def build_joint(architecture: Mapping[str, Any]) -> JointModel:
    """The joint model of ``{"separation": {"name", "options"}, "pitch": {...}, "target"}``, as checkpoints store it."""
    separation, pitch = architecture["separation"], architecture["pitch"]
    return JointModel(
        build_separation(separation["name"], separation["options"]),
        build_pitch(pitch["name"], pitch["options"]),
        target=architecture.get("target", "vocals"),
    )


def describe_module(name: str, module: Any) -> dict[str, Any]:
    """Name and options from which the same module can be built again: what a checkpoint stores. Raises ConfigError."""
    config = getattr(module, "config", None)
    if config is None:
        raise ConfigError(f"{name}: has no attribute config", "keep the options it was built with in self.config")
    options = asdict(config) if is_dataclass(config) else dict(config)  # type: ignore[arg-type]
    try:
        json.dumps(options)
    except TypeError as error:
        raise ConfigError(f"{name}: its config cannot be stored: {error}", "use numbers, text and lists") from error
    return {"name": name, "options": options}


def _build(registry: Mapping[str, Entry], kind: str, name: str, options: Mapping[str, Any]) -> Any:
    if ":" in name:
        try:
            return _load_class(name, kind)(**options)
        except TypeError as error:
            raise ConfigError(f"{name}: {error}", f"correct {kind}_options") from error
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        known = ", ".join(sorted(registry))
        hint = f"did you mean {near[0]}? Known: {known}" if near else f"known: {known}, or package.module:Class"
        raise ConfigError(f"no {kind} module {name!r}", hint)
    builder, config = registry[name]
    return builder(build(config, options, section=name))


def _load_class(name: str, kind: str) -> Any:
    """The class, and never anything else that can be called: a checkpoint's config.json may come from anywhere.

    Importing runs code of others, which may raise anything.
    """
    module_name, _, class_name = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot load the module {name!r}: {error}", "write it as package.module:Class") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"cannot load the module {name!r}: {error!r}", f"mend {module_name}") from error
    contract = {"separation": SeparationModule, "pitch": PitchModule}[kind]
    if not (isinstance(found, type) and issubclass(found, contract)):
        raise ConfigError(f"{name!r} is not a {kind} module", f"derive the class from {contract.__name__}")
    return found
