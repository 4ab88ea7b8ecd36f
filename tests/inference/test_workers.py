"""Tracks side by side: errors of one, an early end, torch's threads."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from majl_cli.data.manifest import Stem, Track
from majl_cli.errors import Cancelled, DataError, MajlError
from majl_cli.inference.workers import Stop, run_on_tracks

STEMS = {"vocals": Stem(path=Path("v.wav"))}
TRACKS = [
    Track(id=str(n), corpus="c", labels="mss", sample_rate=1, channels=1, duration=1.0, stems=STEMS) for n in range(20)
]


@pytest.mark.parametrize("jobs", [1, 4])
def test_every_track_comes_to_an_end_and_errors_of_users_are_results(jobs: int) -> None:
    def work(track: Track, stop: Stop) -> str:
        if track.id == "3":
            raise DataError("three")
        if track.id == "4":
            raise OSError("four")
        return track.id

    with run_on_tracks(work, TRACKS, jobs=jobs, threads=1) as ends:
        results = {track.id: result for track, result in ends}
    assert isinstance(results.pop("3"), DataError) and isinstance(results.pop("4"), OSError)
    assert results == {track.id: track.id for track in TRACKS if track.id not in ("3", "4")}


def test_a_bug_is_no_result() -> None:
    def work(track: Track, stop: Stop) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), run_on_tracks(work, TRACKS, jobs=2, threads=1) as ends:
        list(ends)


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"), "CUDA out of memory. Tried", "use fewer --jobs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "DefaultCPUAllocator", "use fewer --jobs"),
        (RuntimeError(), "RuntimeError", "start the same command again"),
    ],
)
def test_what_torch_cannot_do_fails_its_track_alone(error: RuntimeError, message: str, hint: str) -> None:
    def work(track: Track, stop: Stop) -> str:
        if track.id == "3":
            raise error
        return track.id

    with run_on_tracks(work, TRACKS, jobs=2, threads=1) as ends:
        results = {track.id: result for track, result in ends}
    failed = results.pop("3")
    assert isinstance(failed, MajlError) and failed.message.startswith(f"track 3: {message}")
    assert "\n" not in failed.message and failed.hint.startswith(hint)
    assert len(results) == 19


def test_left_early_tracks_at_work_stop_at_the_next_block_and_others_do_not_begin() -> None:
    begun: list[str] = []
    stopped: list[str] = []
    at_work = threading.Event()

    def work(track: Track, stop: Stop) -> str:
        begun.append(track.id)
        if track.id == "0":
            assert at_work.wait(10)
            return track.id
        try:
            for _ in stop.guard(iter(int, 1)):  # endless
                at_work.set()
        except Cancelled:
            stopped.append(track.id)
            raise
        return track.id

    error = None
    try:
        with run_on_tracks(work, TRACKS, jobs=2, threads=1) as ends:
            for _ in ends:
                raise KeyboardInterrupt
    except KeyboardInterrupt as caught:
        error = caught  # its traceback holds on to everything in the loop
    assert error is not None
    assert stopped and len(begun) <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("majl")]


def test_threads_of_torch_are_divided_among_the_jobs_and_given_back() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    def work(track: Track, stop: Stop) -> None:
        seen.append(torch.get_num_threads())

    for jobs, threads, share in ((2, 4, 2), (3, 4, 1), (4, 2, 1)):
        seen.clear()
        with run_on_tracks(work, TRACKS, jobs=jobs, threads=threads) as ends:
            list(ends)
        assert set(seen) == {share}
        assert torch.get_num_threads() == before
