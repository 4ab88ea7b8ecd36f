"""Which pseudo-labels Stage II trains on: filtered here unless that is done, or unless the user gave others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from majl_cli.cli.console import Console
from majl_cli.cli.options import filter_settings, threshold_of
from majl_cli.project import find_project


def kept_pseudo_labels(
    *,
    pseudo: Path | None,
    th: str | None,
    project: Path | None,
    config: str | None,
    manifests: Sequence[Path],
    console: Console,
) -> list[Path]:
    """The manifest of what the filter keeps, of the folder ``pseudo`` or of the project, at ``th``; without it, as they
    were filtered before, or at the project's threshold. None without either folder, if the tracks come from ``config``,
    or if pseudo-labelled ones are in ``manifests``.

    Of several processes started at once the first to come here filters, and says so. Raises MajlError.
    """
    asked = pseudo is not None or th is not None
    if not asked and (config is not None or find_project(project) is None or _pseudo_labelled(manifests)):
        return []
    from majl_cli.pseudolabel.filter_report import kept_before, kept_manifest

    folder, settings = filter_settings(pseudo, project)
    before = kept_before(folder)
    if th is None and before is not None:
        return [before]
    least = threshold_of(str(settings.threshold) if th is None else th)
    path, filtered = kept_manifest(folder, th=least, precision=settings.precision)
    if filtered is not None:
        kept, given = filtered.result.kept, filtered.result.given
        console.note(f"filtered at th {filtered.result.th:g}: kept {kept.hours:.2f} of {given.hours:.2f} h in {path}")
    return [path]


def _pseudo_labelled(manifests: Sequence[Path]) -> bool:
    from majl_cli.data.manifest import read_manifest

    return any(track.pseudo for path in manifests for track in read_manifest(path))
