"""Tracks side by side in threads: reading, decoding and the network all leave Python's lock alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, closing
from typing import TypeVar

import torch

from majl_cli.data.manifest import Track
from majl_cli.errors import Cancelled, MajlError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
Item = TypeVar("Item")


class Stop:
    """Set by one thread, seen by the others at the next block of audio."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def check(self) -> None:
        """Raises Cancelled once the work has been stopped."""
        if self._event.is_set():
            raise Cancelled("interrupted")

    def guard(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items; raises Cancelled once the work has been stopped."""
        for item in items:
            self.check()
            yield item


Ends = Iterator[tuple[Track, Result | MajlError | OSError]]


def run_on_tracks(
    work: Callable[[Track, Stop], Result], tracks: Sequence[Track], *, jobs: int, threads: int
) -> AbstractContextManager[Ends[Result]]:
    """``work`` on each track, as they come to an end; what is wrong with one does not stop the others, be it the
    memory it asks for (torch's RuntimeError).

    Used as ``with run_on_tracks(...) as ends: for track, result in ends: ...``. The ``threads`` of torch are divided
    among ``jobs``. When the block is left early, tracks not yet begun are dropped and those at work are told to stop.
    """
    return closing(_run(work, tracks, jobs, threads))


def _run(
    work: Callable[[Track, Stop], Result], tracks: Sequence[Track], jobs: int, threads: int
) -> Generator[tuple[Track, Result | MajlError | OSError], None, None]:
    share = max(1, threads // jobs)
    stop = Stop()

    def guarded(track: Track) -> Result | MajlError | OSError:
        try:
            return work(track, stop)
        except (MajlError, OSError) as error:
            return error
        except RuntimeError as error:
            logger.debug("track %s failed", track.id, exc_info=True)
            return _explained(error, track)

    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="majl", initializer=lambda: torch.set_num_threads(share))
    try:
        futures = {pool.submit(guarded, track): track for track in tracks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        stop.set()
        pool.shutdown(wait=True)
        torch.set_num_threads(before)


def _explained(error: RuntimeError, track: Track) -> MajlError:
    """What torch could not do with a track, in one line with a hint."""
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    hint = "start the same command again to try it once more, or use --device cpu"
    if isinstance(error, torch.OutOfMemoryError) or "memory" in reason:
        hint = "use fewer --jobs, close other programs, or use --device cpu"
    explained = MajlError(f"track {track.id}: {reason}", hint)
    explained.__cause__ = error
    return explained
