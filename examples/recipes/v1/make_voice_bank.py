"""Have free speech synthesisers say short words, one recording per speaker, for majl_cli.data.synth.sung to sing.

    apt-get install espeak-ng flite
    python examples/recipes/v1/make_voice_bank.py runs/voice-bank

flite's voices (16 kHz; Carnegie Mellon University: "free of charge, to use and distribute this software ... without
restriction") are built from people's recordings; espeak-ng (22.05 kHz) computes its vowels from formants and is itself
under the GPL, version 3 or later, which does not reach what it says.
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

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
FLITE = ("slt", "rms", "awb", "kal16")
ESPEAK = {
    "en-us+f1": ENGLISH, "en-us+f4": ENGLISH, "en-us+m3": ENGLISH, "en-gb+m7": ENGLISH, "en-us+steph": ENGLISH,
    "it+f2": ROMANCE, "es+f5": ROMANCE, "pt+m2": ROMANCE, "fr+m5": ROMANCE, "tr+f3": ROMANCE,
    "cmn+f3": CHINESE, "cmn+m4": CHINESE, "cmn+annie": CHINESE,
}  # fmt: skip
GAP_SECONDS = 0.05


def spoken(command: list[str]) -> tuple[NDArray[np.float32], int]:
    """What a synthesiser writes to its standard output as WAV, without the silence around it."""
    data = subprocess.run(command, capture_output=True, check=True).stdout
    # A stream's header does not know its length.
    rate = int(np.frombuffer(data[24:28], "<u4")[0])
    audio = np.frombuffer(data[44:][: (len(data) - 44) // 2 * 2], "<i2").astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(audio) > 0.01 * np.abs(audio).max())
    edge = round(0.02 * rate)
    return audio[max(0, loud[0] - edge) : loud[-1] + edge], rate


def record(folder: Path, speaker: str, words: str, program: str) -> list[dict[str, str]]:
    """Write ``speaker``.ogg; the rows of its words."""
    parts, rows, now = [], [], 0.0
    for word in dict.fromkeys(words.split()):
        if program == "flite":
            path = folder / "word.wav"
            subprocess.run(
                ["flite", "-voice", speaker, "--setf", "duration_stretch=1.3", "-t", word, "-o", str(path)], check=True
            )
            audio, rate = spoken(["cat", str(path)])
            path.unlink()
        else:
            audio, rate = spoken(["espeak-ng", "-v", speaker, "-s", "110", "-p", "50", "--stdout", word])
        end = now + len(audio) / rate
        rows.append({"speaker": speaker, "word": word, "path": f"{speaker}.ogg", "start": f"{now:.4f}",
                     "end": f"{end:.4f}", "program": program})  # fmt: skip
        parts += [audio, np.zeros(round(GAP_SECONDS * rate), np.float32)]
        now = sum(len(part) for part in parts) / rate
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(parts), rate, format="OGG", subtype="VORBIS")
    (folder / f"{speaker}.ogg").write_bytes(file.getvalue())
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the recordings and units.csv go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for speaker in FLITE for row in record(folder, speaker, ENGLISH, "flite")]
    rows += [row for speaker, words in ESPEAK.items() for row in record(folder, speaker, words, "espeak-ng")]
    with (folder / "units.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"{folder}: {len(rows)} words of {len(FLITE) + len(ESPEAK)} speakers")


if __name__ == "__main__":
    main()
