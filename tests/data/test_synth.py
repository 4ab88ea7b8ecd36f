"""Rendered accompaniments: the arrangement, the player and the master."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synth_recordings import midi_song
from tiny_soundfont import tiny_soundfont

from majl_cli.data.synth import instruments
from majl_cli.data.synth.accompaniment import render_accompaniment
from majl_cli.data.synth.arrangement import arrange, bass_line
from majl_cli.data.synth.drums import KICK, STYLES, draw_drums
from majl_cli.data.synth.songs import Note, Song, find_chords, read_songs, song_from_midi
from majl_cli.data.synth.soundfont import RATE, Bend, Part, SoundfontPlayer
from majl_cli.errors import DataError


@pytest.fixture(scope="module")
def song() -> Song:
    return song_from_midi("song", midi_song())


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> SoundfontPlayer:
    pytest.importorskip("tinysoundfont", reason="tinysoundfont is not installed: pip install --no-deps tinysoundfont")
    path = tmp_path_factory.mktemp("soundfont") / "tiny.sf2"
    path.write_bytes(tiny_soundfont())
    return SoundfontPlayer(path)


def test_bars_and_chords_are_found_wherever_the_file_begins() -> None:
    for late in (0.0, 1.0, 2.3):
        found = song_from_midi("song", midi_song(late=late))
        assert found.piano[0].start == pytest.approx(0.0, abs=0.01)
        assert [(chord.root, chord.shape) for chord in found.chords[::2][:4]] == [
            (0, (0, 4, 7)), (9, (0, 3, 7)), (5, (0, 4, 7)), (7, (0, 4, 7)),
        ]  # fmt: skip


def test_rests_keep_the_last_chord() -> None:
    chords = find_chords(
        [Note(0, 2, 48), Note(0, 2, 52), Note(0, 2, 55), Note(8, 2, 53), Note(8, 2, 57), Note(8, 2, 60)]
    )
    assert [chord.root for chord in chords] == [0, 0, 0, 0, 5, 5]


def test_files_that_are_no_songs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "songs.tar.gz"
    path.write_bytes(b"none")
    with pytest.raises(DataError, match="not a tar file of MIDI files"):
        read_songs(path)


def test_bass_plays_the_lowest_notes(song: Song) -> None:
    notes = bass_line(song, np.random.default_rng(0))
    assert {note.pitch % 12 for note in notes if note.start % 16 < 4} == {0}
    assert all(28 <= note.pitch <= 63 for note in notes)


@pytest.mark.parametrize("seed", range(12))
def test_drums_have_kits_and_hits_on_the_grid(seed: int) -> None:
    kit, notes = draw_drums(8, np.random.default_rng(seed))
    assert 0 <= kit <= 42
    assert notes and all(note.start * 4 % 1 == 0 and 0 <= note.start < 32 for note in notes)
    assert all(1 <= note.velocity <= 127 for note in notes)


def test_every_style_has_lines_of_sixteen_steps() -> None:
    for name, style in STYLES.items():
        assert all(len(line) == 16 for lines in style.lines.values() for line in lines), name
        assert name == "percussion" or KICK in style.lines


def test_no_arrangement_has_a_voice(song: Song) -> None:
    roles = set()
    for index in range(60):
        arrangement = arrange(song, 20.0, np.random.default_rng(index))
        assert 60.0 / 180.0 <= arrangement.seconds_per_beat <= 1.0
        assert arrangement.parts
        for part in arrangement.parts:
            roles.add(part.role)
            assert part.drums or part.program not in instruments.VOICES, part.role
            assert all(1 <= n.velocity <= 127 and 20 <= n.pitch <= 108 and n.start >= 0 for n in part.notes), part.role
    assert roles == {
        "piano",
        "bass",
        "drums",
        "pad",
        "guitar",
        "arpeggio",
        "power",
        "brass",
        "pulse",
        "lead",
        "counter",
    }


def test_player_plays_the_pitch_and_ends_the_note(player: SoundfontPlayer) -> None:
    part = Part(role="lead", program=0, notes=[Note(0.5, 0.5, 57)])
    audio = player.play(part, seconds_per_beat=1.0, samples=2 * RATE)
    assert audio.shape == (2, 2 * RATE)
    assert not audio[:, : RATE // 2].any()
    assert np.abs(audio[:, RATE // 2 + 1000 : RATE]).max() > 0.01
    assert np.abs(audio[:, RATE + RATE // 4 :]).max() < 1e-3
    spectrum = np.abs(np.fft.rfft(audio[0, RATE // 2 + 1000 : RATE // 2 + 21000] * np.hanning(20000), 1 << 18))
    assert spectrum.argmax() * RATE / (1 << 18) == pytest.approx(220.5, abs=0.3)


def test_bend_moves_the_pitch(player: SoundfontPlayer) -> None:
    bend = Bend(rate=5.0, depth=0.0, delay=0.0, scoop=-100.0, scoop_seconds=1e6)
    part = Part(role="lead", program=0, notes=[Note(0.0, 1.0, 69)], bend=bend)
    audio = player.play(part, seconds_per_beat=1.0, samples=RATE)
    spectrum = np.abs(np.fft.rfft(audio[0, 1000:21000] * np.hanning(20000), 1 << 18))
    assert spectrum.argmax() * RATE / (1 << 18) == pytest.approx(441.0 * 2 ** (-1 / 12), abs=0.5)


def test_pieces_depend_on_seed_and_index_only(song: Song, player: SoundfontPlayer) -> None:
    def piece(seed: int, index: int) -> np.ndarray:
        return render_accompaniment([song], player, seed=seed, index=index, seconds=(4.0, 6.0))

    first = piece(0, 3)
    assert first.dtype == np.float32 and 4 * RATE <= first.shape[1] <= 6 * RATE
    piece(0, 4)
    np.testing.assert_array_equal(piece(0, 3), first)
    assert not np.array_equal(piece(1, 3)[:, :RATE], first[:, :RATE])
    assert not np.array_equal(piece(0, 4)[:, :RATE], first[:, :RATE])


def test_levels_are_sane(song: Song, player: SoundfontPlayer) -> None:
    levels = []
    for index in range(8):
        audio = render_accompaniment([song], player, seed=0, index=index, seconds=(5.0, 5.0))
        assert np.isfinite(audio).all() and np.abs(audio).max() <= 0.951
        levels.append(20 * np.log10(np.sqrt(np.square(audio).mean())))
    assert min(levels) > -40 and max(levels) < -3
    assert np.ptp(levels) > 3  # pieces are not all as loud


def test_missing_soundfont_says_where_one_comes_from(tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont", reason="tinysoundfont is not installed: pip install --no-deps tinysoundfont")
    with pytest.raises(DataError, match="fluidr3mono-gm-soundfont"):
        SoundfontPlayer(tmp_path / "none.sf2")
