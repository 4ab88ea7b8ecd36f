"""What is drawn on the page of an evaluation: PNG, spectrograms, f0 curves, dots, ticks, and numbers in words."""

from __future__ import annotations

import io
import math
import re
import struct
import zlib

import numpy as np
import pytest
import soundfile

from majl_cli.evaluation.results import F0, Exhibit, Result, TrackRow
from majl_cli.report.page.axes import round_ticks
from majl_cli.report.page.distributions import figures
from majl_cli.report.page.exhibits import exhibit_view
from majl_cli.report.page.numerals import numeral, probability
from majl_cli.report.page.png import palette, palette_png
from majl_cli.report.page.sound import audio_uris
from majl_cli.report.page.spectrogram import frequency_range, log_power, shared_levels


def chunks(png: bytes) -> dict[bytes, bytes]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, place = {}, 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        name, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        assert struct.unpack(">I", png[place + 8 + length : place + 12 + length])[0] == zlib.crc32(name + data)
        found[name] = data
        place += 12 + length
    return found


def test_png_holds_every_index_and_colour() -> None:
    indices = np.random.default_rng(0).integers(0, 41, (7, 13)).astype(np.uint8)
    found = chunks(palette_png(indices, palette(41)))
    assert list(found) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", found[b"IHDR"]) == (13, 7, 8, 3, 0, 0, 0)
    lines = np.frombuffer(zlib.decompress(found[b"IDAT"]), dtype=np.uint8).reshape(7, 14)
    assert not lines[:, 0].any() and np.array_equal(lines[:, 1:], indices)
    assert len(found[b"PLTE"]) == 3 * 41


def test_palette_grows_lighter_from_black() -> None:
    lightness = palette(41) @ [0.2126, 0.7152, 0.0722]
    assert lightness[0] < 1 and lightness[-1] > 240 and (np.diff(lightness) > 0).all()


@pytest.mark.parametrize("sample_rate", [16000, 44100])
@pytest.mark.parametrize("frequency", [110.0, 1000.0, 6000.0])
def test_tone_is_loudest_in_the_row_of_its_frequency(sample_rate: int, frequency: float) -> None:
    tone = np.sin(2 * np.pi * frequency * np.arange(2 * sample_rate) / sample_rate)[:, None].astype(np.float32)
    power = log_power(tone, sample_rate, rows=150, columns=40)
    lowest, highest = frequency_range(sample_rate)
    expected = 150 * math.log(frequency / lowest) / math.log(highest / lowest)
    assert power.shape == (150, 40)
    assert abs(power[:, 20].argmax() + 0.5 - expected) < 3


def test_click_is_seen_at_its_time_and_silence_is_dark() -> None:
    click = np.zeros((16000, 2), dtype=np.float32)
    click[4000] = 1.0
    power = log_power(click, 16000, rows=50, columns=100)
    assert power.sum(axis=0).argmax() in (24, 25)
    silent, loud = shared_levels([np.zeros((2, 2)), power], levels=41)
    assert silent.max() == 0 and loud.max() == 40
    assert shared_levels([np.zeros((2, 2))], levels=41)[0].max() == 0


def exhibit(audio: dict[str, np.ndarray], **more: object) -> Exhibit:
    given = {"estimator": "e", "track": "t", "why": "w", "stem": "vocals", "start": 2.0, "sample_rate": 16000}
    return Exhibit(**{**given, "audio": audio, **more})


def noise(samples: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(samples).normal(0, 0.1, (samples, channels)).astype(np.float32)


def test_only_what_there_is_becomes_a_panel() -> None:
    def panels(**audio: np.ndarray) -> list[str]:
        return [panel.name.split(":")[0] for panel in exhibit_view(exhibit(audio), number=1, with_audio=False).panels]

    both = {"reference": noise(8000), "estimate": noise(8000)}
    assert panels(mixture=noise(8000)) == []
    assert panels(estimate=noise(8000)) == ["Estimate"]
    assert panels(**both) == ["Reference", "Estimate", "Error"]
    assert panels(reference=noise(8000), estimate=noise(7900, 2)) == ["Reference", "Estimate", "Error"]
    assert panels(reference=noise(8000), estimate=np.zeros((0, 1), dtype=np.float32)) == ["Reference"]


def test_f0_is_lifted_at_unvoiced_frames_guesses_and_leaps() -> None:
    times = 2.0 + np.arange(8) / 10
    frequency = np.array([100.0, 101.0, 0.0, 102.0, -102.0, 100.0, 200.0, 40.0])
    shown = exhibit({"reference": noise(16000)}, reference_f0=F0(times=times, frequency=frequency))
    path = exhibit_view(shown, number=1, with_audio=False).curves["reference"]
    assert re.sub(r"[\d. ]+", "", path.replace("h0", "h")) == "MLMhMhMh"
    x = [float(move.split()[0]) for move in re.split("[ML]", path)[1:]]
    assert x == [0.0, 36.0, 108.0, 180.0, 216.0]  # of 360 a second; 40 Hz lies below the picture


def test_time_is_the_tracks_own() -> None:
    def labels(start: float, seconds: float) -> list[str]:
        shown = exhibit({"reference": noise(int(16000 * seconds))}, start=start)
        return [label for _, label in exhibit_view(shown, number=1, with_audio=False).times]

    assert labels(2.0, 1.0) == ["2.0", "2.2", "2.4", "2.6", "2.8", "3.0"]
    assert labels(57.5, 5.0) == ["58", "59", "1:00", "1:01", "1:02"]
    assert labels(0.0, 0.0) == []


def test_audio_that_would_clip_is_turned_down_all_alike() -> None:
    import base64

    uris = audio_uris({"a": 4 * noise(96000), "b": noise(96000, 3)}, 96000)
    assert all(uri.startswith("data:audio/flac;base64,") for uri in uris.values())  # MP3 has no such rate
    loud, quiet = (
        soundfile.read(io.BytesIO(base64.b64decode(uri.split(",")[1])), always_2d=True)[0] for uri in uris.values()
    )
    assert np.abs(loud).max() == pytest.approx(0.98, abs=1e-3) and quiet.shape == (96000, 3)
    gain = 0.98 / np.abs(4 * noise(96000)).max()
    assert quiet == pytest.approx(gain * noise(96000, 3), abs=1e-3)


def result(*values: float) -> Result:
    rows = tuple(TrackRow(id=str(n), seconds=1.0, scores={"vocals/sdr": value}) for n, value in enumerate(values))
    return Result(name="a", kind="model", description="", protocol="", settings={}, warnings=(), rows=rows)


def test_stray_value_lies_on_the_edge_and_is_counted() -> None:
    values = [*np.linspace(0, 10, 50), -200.0, math.inf, math.nan]
    ((figure,), others) = figures([result(*values)], ["vocals/sdr"])
    assert others == [] and figure.caption == "1 beyond the axis, drawn on its edge; 1 infinite, not drawn"
    across = [float(x) for x in re.findall(r"M([\d.]+) ", str(figure.strips[0].dots))]
    assert len(across) == 51 and across[50] == min(across) == 20.0 and max(across) == 980.0
    assert figure.strips[0].summary == "median 4.90 dB"


@pytest.mark.parametrize("values", [(3.0,), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0, 0.0, 50.0), (1e-9, 2e-9)])
def test_figure_of_few_or_equal_values_has_an_axis(values: tuple[float, ...]) -> None:
    ((figure,), _) = figures([result(*values)], ["vocals/sdr"])
    places = [place for place, _ in figure.ticks]
    assert len(places) >= 2 and places == sorted(places) and all(0 <= place <= 1000 for place in places)
    assert len({label for _, label in figure.ticks}) == len(places)
    assert figures([result(math.nan, math.inf)], ["vocals/sdr"]) == ([], [])


def test_ticks_are_round() -> None:
    assert round_ticks(-3.2, 11.9, about=6) == [0.0, 5.0, 10.0]
    assert round_ticks(0.0, 1.0, about=5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_numbers_are_written_for_people() -> None:
    assert [numeral(value, 2) for value in (1.005, -1.5, -0.001, math.nan, math.inf, -math.inf)] == [
        "1.00", "−1.50", "0.00", "–", "∞", "−∞"
    ]  # fmt: skip
    assert [numeral(value, 1, signed=True) for value in (1.0, -1.0, 0.01, math.inf)] == ["+1.0", "−1.0", "0.0", "+∞"]
    assert [probability(p) for p in (0.0004, 0.0123, 1.0, math.nan)] == ["< 0.001", "0.012", "1.000", "–"]
