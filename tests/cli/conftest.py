"""A model that needs no weights, and a way to run the command line as a user does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

import majl_cli
from majl_cli import hub
from majl_cli.cli.app import main
from majl_cli.errors import AudioError
from majl_cli.models.stems import StemNames


@dataclass
class FakeModel:
    """Halves the mixture; knows vocals and accompaniment, or what ``stems`` says; remembers how it was asked."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    loads: list[dict[str, Any]] = field(default_factory=list)
    clipped: int = 0
    warns_of: tuple[str, ...] = ()
    stems: StemNames = StemNames(estimated=("vocals",))

    @property
    def runtime(self) -> Any:
        class Runtime(SimpleNamespace):
            def __str__(self) -> str:
                return f"{self.device}, {self.precision}, {self.threads} threads"

        return Runtime(device="cpu", precision="float32", threads=2)

    def separate(
        self,
        source: Path,
        *,
        sample_rate: int | None = None,
        stems: Sequence[str] = ("vocals", "accompaniment"),
        out: Path | None = None,
        filename: str = "{track}/{stem}.{ext}",
        format: str | None = None,
        subtype: str | None = None,
        overlap: float | None = None,
        overwrite: bool = True,
        progress: Callable[[float], bool | None] | None = None,
    ) -> Any:
        self.calls.append({"source": source, "format": format, "subtype": subtype, "overlap": overlap, "stems": stems})
        assert out is not None and format is not None
        audio, rate = self._read(source)
        files = {}
        for stem in stems:
            path = out / filename.format(track=source.stem, stem=stem, ext=format)
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, audio / 2, rate)
            files[stem] = path
        if progress is not None:
            progress(1.0)
        seconds = len(audio) / rate
        clipped = {stem: self.clipped for stem in stems}
        return SimpleNamespace(
            stems={}, files=files, sample_rate=rate, seconds=seconds, elapsed=seconds / 10, clipped=clipped,
            real_time_factor=0.1,
        )  # fmt: skip

    def estimate_pitch(
        self,
        source: Path,
        *,
        sample_rate: int | None = None,
        input: str = "auto",
        decoder: str = "argmax",
        threshold: float | None = None,
        progress: Callable[[float], bool | None] | None = None,
    ) -> Any:
        self.calls.append({"source": source, "input": input, "decoder": decoder, "threshold": threshold})
        audio, rate = self._read(source)
        times = np.arange(len(audio) * 100 // rate + 1) / 100
        voiced = times < 0.3
        frequency = np.full(len(times), 440.0)
        return SimpleNamespace(
            times=times,
            frequency=frequency,
            f0=np.where(voiced, frequency, 0.0),
            confidence=np.where(voiced, 0.9, 0.1),
            voiced=voiced,
            input="mixture" if input == "auto" else input,
            threshold=0.5 if threshold is None else threshold,
            seconds=len(audio) / rate,
        )

    def _read(self, source: Path) -> tuple[Any, int]:
        for message in self.warns_of:
            logging.getLogger("majl_cli.audio").warning("%s: %s", source, message)
        try:
            return soundfile.read(source)
        except soundfile.LibsndfileError:
            raise AudioError(f"{source}: not audio", "give an audio file") from None


@pytest.fixture
def fake_model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    model = FakeModel()

    def load_model(name: str = "majl-base", **options: Any) -> FakeModel:
        model.loads.append({"name": name, **options})
        return model

    monkeypatch.setattr(majl_cli, "load_model", load_model)
    monkeypatch.setattr(hub, "model_stems", lambda name: model.stems)
    return model


@dataclass(frozen=True, kw_only=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def majl(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs ``majl`` with these arguments."""

    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        code = exit.value.code
        return Outcome(code=0 if code is None else int(code), out=captured.out, err=captured.err)

    return run


@pytest.fixture
def song(tmp_path: Path) -> Callable[[str], Path]:
    """Writes half a second of a tone under that name below ``tmp_path``."""

    def write(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)
        soundfile.write(path, tone, 8000, format="WAV")
        return path

    return write


@pytest.fixture
def fresh_accelerator() -> Iterator[None]:
    """Accelerate keeps the precision of a process's first run: forget it."""
    from accelerate.state import AcceleratorState

    yield
    AcceleratorState._reset_state(reset_partial_state=True)
