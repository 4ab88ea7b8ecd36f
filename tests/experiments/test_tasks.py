"""Tasks: the first ones first, what they need before them, so many at a time, and an end at the first error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from majl_cli.experiments.tasks import Task, run_tasks


def no_stop() -> None:
    raise AssertionError("nothing went wrong")


def named(done: list[str], name: str, *needs: str) -> Task:
    return Task(name=name, do=lambda: done.append(name), needs=needs)


def test_one_at_a_time_they_are_done_in_their_order_as_far_as_needs_allow() -> None:
    done: list[str] = []
    tasks = [
        named(done, "late", "first", "last"),
        named(done, "first"),
        named(done, "next", "first"),
        named(done, "last"),
    ]
    run_tasks(tasks, jobs=1, stop=no_stop)
    assert done == ["first", "next", "last", "late"]
    run_tasks([], jobs=1, stop=no_stop)


def test_so_many_are_at_work_at_a_time_and_not_more() -> None:
    lock, at_work, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.05)
        with lock:
            at_work -= 1

    run_tasks([Task(name=str(n), do=work) for n in range(7)], jobs=3, stop=no_stop)
    assert most == 3


def test_a_task_waits_for_all_it_needs_while_others_go_on() -> None:
    done, go = [], threading.Event()

    def slow() -> None:
        assert go.wait(10)
        done.append("slow")

    def other() -> None:
        done.append("other")
        go.set()

    tasks = [Task(name="slow", do=slow), named(done, "after", "slow"), Task(name="other", do=other)]
    run_tasks(tasks, jobs=2, stop=no_stop)
    assert done == ["other", "slow", "after"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_first_error_stops_what_is_at_work_and_starts_nothing_more(error: type[BaseException]) -> None:
    done: list[str] = []
    started, stopped = threading.Event(), threading.Event()

    def fail() -> None:
        assert started.wait(10)
        raise error("broken")

    def long() -> None:
        started.set()
        assert stopped.wait(10), "stop ends it"
        done.append("long")

    never: Callable[[], None] = lambda: done.append("never")  # noqa: E731
    tasks = [Task(name="fail", do=fail), Task(name="long", do=long), Task(name="more", do=never)]
    tasks += [Task(name="after", do=never, needs=("long",))]
    with pytest.raises(error, match="broken"):
        run_tasks(tasks, jobs=2, stop=stopped.set)
    assert done == ["long"]  # it had ended before the error was raised


def test_a_need_that_nothing_meets_is_our_mistake_and_no_endless_wait() -> None:
    done: list[str] = []
    with pytest.raises(AssertionError, match="b needs what there is not: c"):
        run_tasks([named(done, "a"), named(done, "b", "c")], jobs=2, stop=lambda: None)
    assert done == ["a"]
