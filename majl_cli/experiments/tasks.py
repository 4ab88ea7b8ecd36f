"""Tasks that wait for each other, done by a few workers at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Task:
    """``do`` is called once all tasks named in ``needs`` are done."""

    name: str
    do: Callable[[], None]
    needs: tuple[str, ...] = ()


def run_tasks(tasks: Sequence[Task], *, jobs: int, stop: Callable[[], None]) -> None:
    """Do all tasks, the first ones first, ``jobs`` at a time.

    At the first error, or Ctrl-C, ``stop`` is called to end what is at work, and the error is raised when it has ended.
    """
    waiting, done = list(tasks), set[str]()
    running: dict[Future[None], Task] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or running:
                ready = [task for task in waiting if done.issuperset(task.needs)]
                assert ready or running, f"{waiting[0].name} needs what there is not: {', '.join(waiting[0].needs)}"
                for task in ready[: jobs - len(running)]:
                    waiting.remove(task)
                    running[pool.submit(task.do)] = task
                finished, _ = wait(running, return_when=FIRST_COMPLETED, timeout=1.0)
                for future in finished:
                    done.add(running.pop(future).name)
                    future.result()
        except BaseException:
            stop()
            raise
