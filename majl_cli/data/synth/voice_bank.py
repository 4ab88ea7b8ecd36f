"""Voice banks: free speech synthesisers say short words, one recording per speaker, for sung.py to sing.

flite's voices (16 kHz; Carnegie Mellon University: "free of charge, to use and distribute this software ... without
restriction") are built from people's recordings; espeak-ng (22.05 kHz) computes its vowels from formants and is itself
under the GPL, version 3 or later, which does not reach what it says.
"""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from majl_cli.errors import DataError, DependencyError
from majl_cli.files import aside_path, write_errors_explained, write_text

ENGLISH = (
    "love time day night heart you me way know feel see go stay light eyes dream fire home rain sky blue soul mind hold"
    " fall run free more now why say tell come down high low new old moon sun star world wind sea road song hand face"
    " breathe leave live give cry fly shine smile kiss blame game name change strange young tongue been shoes choose"
    " lost found cold bold hope rope sleep deep sweet street black back hard dark last fast long wrong oh ah la na hey"
)
ROMANCE = (
    "la le li lo lu ma me mi mo mu na ne ni no nu sa se si so su ta te ti to tu ra re ri ro ru da de di do du pa pe pi"
    " po pu ca chi co fa fe fi fo va vi ve ba be bi bo ga go gia sole mar luz sol amor ojos che qui tra fra pri cla"
)
CHINESE = (
    "wo3 ni3 ta1 ai4 xin1 tian1 kong1 meng4 feng1 yu3 hua1 yue4 liang4 xing1 hai3 shan1 lu4 jia1 shui3 huo3 ye4 ri4"
    " nian2 shi2 sheng1 ge1 chang4 qing2 ren2 xiang3 kan4 ting1 shuo1 zou3 lai2 qu4 hao3 bu4 yao4 neng2 gei3 zai4 ma1"
    " la1 na4 da4 xiao3 chun1 qiu1 dong1 ku1 xiao4 lei4 yan3 shou3 mei3 mian4"
)
FLITE = {"slt": ENGLISH, "rms": ENGLISH, "awb": ENGLISH, "kal16": ENGLISH}
ESPEAK = {
    "en-us+f1": ENGLISH, "en-us+f4": ENGLISH, "en-us+m3": ENGLISH, "en-gb+m7": ENGLISH, "en-us+steph": ENGLISH,
    "it+f2": ROMANCE, "es+f5": ROMANCE, "pt+m2": ROMANCE, "fr+m5": ROMANCE, "tr+f3": ROMANCE,
    "cmn+f3": CHINESE, "cmn+m4": CHINESE, "cmn+annie": CHINESE,
}  # fmt: skip
SPEAKERS = {"flite": FLITE, "espeak-ng": ESPEAK}  # by program: what each speaker says
GAP_SECONDS = 0.05
UNITS = "units.csv"
COLUMNS = ("speaker", "word", "path", "start", "end", "program")


def make_voice_bank(
    folder: Path,
    *,
    speakers: Mapping[str, Mapping[str, str]] = SPEAKERS,
    listener: Callable[[str], None] = lambda speaker: None,
) -> int:
    """Write a recording of each speaker and then ``units.csv``, so that a folder with it is complete; how many words.
    Raises DependencyError where a program is missing."""
    for program in speakers:
        if shutil.which(program) is None:
            raise DependencyError(
                f"{program} is not installed", f"Debian: apt-get install {program}; both flite and espeak-ng are needed"
            )
    rows: list[tuple[str, ...]] = []
    for program, voices in speakers.items():
        for speaker, words in voices.items():
            rows += _record(folder, speaker, list(dict.fromkeys(words.split())), program)
            listener(speaker)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    write_text(folder / UNITS, text.getvalue())
    return len(rows)


def _record(folder: Path, speaker: str, words: Sequence[str], program: str) -> list[tuple[str, ...]]:
    """Write ``speaker``.ogg; the rows of its words."""
    parts: list[NDArray[np.float32]] = []
    rows: list[tuple[str, ...]] = []
    now, rate = 0.0, 1
    for word in words:
        audio, rate = _spoken(program, speaker, word)
        end = now + len(audio) / rate
        rows.append((speaker, word, f"{speaker}.ogg", f"{now:.4f}", f"{end:.4f}", program))
        parts += [audio, np.zeros(round(GAP_SECONDS * rate), np.float32)]
        now = sum(len(part) for part in parts) / rate
    path = folder / f"{speaker}.ogg"
    aside = aside_path(path)
    with write_errors_explained(path):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            soundfile.write(aside, np.concatenate(parts), rate, format="OGG", subtype="VORBIS")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    return rows


def _spoken(program: str, speaker: str, word: str) -> tuple[NDArray[np.float32], int]:
    """The word and its sample rate, without the silence around it. Raises DataError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        options = {
            "flite": ["-voice", speaker, "--setf", "duration_stretch=1.3", "-t", word, "-o", str(path)],
            "espeak-ng": ["-v", speaker, "-s", "110", "-p", "50", "-w", str(path), word],
        }[program]
        try:
            subprocess.run([program, *options], capture_output=True, check=True)
            audio, rate = soundfile.read(path, dtype="float32")
        except (OSError, subprocess.CalledProcessError, soundfile.LibsndfileError) as error:
            raise DataError(
                f"{program} does not say {word!r} as {speaker}", "is its package complete? espeak-ng-data, for one"
            ) from error
    loud = np.flatnonzero(np.abs(audio) > 0.01 * np.abs(audio).max(initial=1e-9))
    if not len(loud):
        raise DataError(f"{program} is silent as {speaker}", "reinstall it")
    edge = round(0.02 * rate)
    return audio[max(0, loud[0] - edge) : loud[-1] + edge], rate
