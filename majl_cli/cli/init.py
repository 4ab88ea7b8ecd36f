"""``majl init``: check the corpora, say what they hold, and write the project file."""

from __future__ import annotations

import dataclasses
import json as json_module
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from majl_cli.cli.console import Console
from majl_cli.cli.options import DataOption, JsonOption, ManifestOption, QuietOption
from majl_cli.cli.project_template import project_text, relative_to_file
from majl_cli.errors import ConfigError, DataError

if TYPE_CHECKING:
    from majl_cli.data.buckets import BucketCount


def init(
    data: DataOption = None,
    manifest: ManifestOption = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="NAME", help="Preset of both stages, or a TOML file.", show_default="none"),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option("--runs", metavar="FOLDER", help="Where runs go.", show_default="runs, beside the file"),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The file to write, or its folder.")] = Path("majl.toml"),
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Begin a project: check its corpora and write majl.toml, which the other commands read.

    Counts the tracks of each corpus and says what they do not suffice for. The file explains its sections and has the
    usual settings as comments; corpora that are not given are in it as examples.
    """
    from majl_cli.data.buckets import count_buckets, what_is_missing
    from majl_cli.data.corpora import corpora
    from majl_cli.data.manifest import summary
    from majl_cli.data.sources import STREAM, load_tracks
    from majl_cli.files import write_text
    from majl_cli.project import FILE_NAME, project_from

    console = Console(json=json, quiet=quiet)
    file = out / FILE_NAME if out.is_dir() else out
    if file.exists() and not force:
        raise ConfigError(f"{file}: exists already", "edit it, write over it with --force, or choose another --out")
    text = project_text(
        runs="runs" if runs is None else relative_to_file(runs, file),
        folders=_folders(data or [], [*corpora, STREAM], file),
        manifests=[relative_to_file(path, file) for path in manifest or []],
        preset=None if preset is None else _preset(preset, file),
        corpora=corpora,
    )
    # The corpora are read from where the file says they are: what is written has been tried.
    project = project_from(tomllib.loads(text), file)
    tracks = load_tracks(manifests=project.data.manifests)
    for item in project.data.folders:
        console.note(f"reading {item}")
        tracks += load_tracks(folders=[item])
    counts = count_buckets(tracks)
    missing = what_is_missing(counts) if data or manifest else []
    write_text(file, text)

    if data or manifest:
        _print_counts(console, summary(tracks), counts)
    else:
        console.note(f"note: no corpora given: name yours in {file}, under [data.folders]")
    for line in missing:
        console.note(f"note: {line}")
    console.result(f"wrote {file}")
    if json:
        buckets = {bucket: dataclasses.asdict(count) for bucket, count in counts.items()}
        print(json_module.dumps({"out": str(file), "data": summary(tracks), "buckets": buckets, "missing": missing}))


def _folders(data: Iterable[str], known: Collection[str], file: Path) -> dict[str, list[str]]:
    """The folders of each corpus, as the project file names them, each once."""
    folders: dict[str, list[str]] = {}
    for item in data:
        corpus, _, folder = item.partition("=")
        if not folder or corpus not in known:
            raise DataError(f"--data {item}: no such corpus", f"write CORPUS=FOLDER with one of {', '.join(known)}")
        given = folders.setdefault(corpus, [])
        if (name := relative_to_file(folder, file)) not in given:
            given.append(name)
    return folders


def _preset(name: str, file: Path) -> str:
    """The preset as the project file names it."""
    from majl_cli.training.presets import preset_names

    known = preset_names()
    if name in known:
        return name
    if not (name.endswith(".toml") and Path(name).is_file()):
        raise ConfigError(f"{name}: no such preset", f"presets: {', '.join(known)}; or give a TOML file")
    return relative_to_file(name, file)


def _print_counts(console: Console, corpora: Mapping[str, str], buckets: Mapping[str, BucketCount]) -> None:
    from majl_cli.data.buckets import MAIN_BUCKETS

    rows = dict(corpora)
    for bucket, count in buckets.items():
        name = f"bucket {bucket}" + (f" ({MAIN_BUCKETS[bucket]})" if bucket in MAIN_BUCKETS else "")
        rows[name] = (
            f"{count.tracks} tracks, {count.hours:.2f} h; {count.train} to train on, {count.validation} to validate on"
            if count.tracks
            else "none"
        )
    width = max(map(len, rows))
    for name, words in rows.items():
        console.result(f"{name:<{width}}  {words}")
