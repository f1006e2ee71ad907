"""The model threads: order, cancelling, and what they survive."""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import CancelledError

import pytest

from seldon_spec.errors import NotServing
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.model_loop import run_to_completion


@pytest.fixture
def threads() -> ModelThreads:
    return ModelThreads()


def test_tasks_run_in_order_on_one_thread(threads: ModelThreads) -> None:
    futures = [threads.submit(lambda number=number: (number, threading.get_ident())) for number in range(20)]  # type: ignore[misc]
    threads.start()
    results = [future.result(10) for future in futures]
    threads.stop()
    assert [number for number, _ in results] == list(range(20))
    assert len({ident for _, ident in results}) == 1
    assert results[0][1] != threading.get_ident()


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), StopIteration()], ids=repr)
def test_a_thread_survives_what_a_task_raises(threads: ModelThreads, error: BaseException) -> None:
    def fail() -> None:
        raise error

    threads.start()
    failed, fine = threads.submit(fail), threads.submit(lambda: "fine")
    assert failed.exception(10) is error
    assert fine.result(10) == "fine"
    threads.stop()


def test_what_has_not_begun_can_be_cancelled(threads: ModelThreads) -> None:
    calls: list[str] = []
    cancelled, kept = threads.submit(lambda: calls.append("cancelled")), threads.submit(lambda: calls.append("kept"))
    assert cancelled.cancel()
    threads.start()
    kept.result(10)
    threads.stop()
    assert calls == ["kept"]
    with pytest.raises(CancelledError):
        cancelled.result(0)


def test_stop_ends_what_waits_and_what_is_stuck(threads: ModelThreads) -> None:
    entered, release = threading.Event(), threading.Event()

    def stuck() -> str:
        entered.set()
        release.wait(30)
        return "too late"

    running, queued = threads.submit(stuck), threads.submit(lambda: "never")
    threads.start()
    assert entered.wait(10)
    threads.stop()
    for future in (running, queued):
        assert isinstance(future.exception(0), NotServing)
    with pytest.raises(NotServing):
        threads.submit(lambda: "later")
    release.set()


def test_several_threads_work_side_by_side() -> None:
    threads = ModelThreads(2)
    both = threading.Barrier(2, timeout=10)
    first = threads.submit(threading.get_ident)
    futures = [threads.submit(both.wait) for _ in range(2)]
    threads.start()
    first.result(10)  # it runs alone, before the other threads are started
    assert sorted(future.result(10) for future in futures) == [0, 1]
    threads.stop()


def test_coroutines_run_on_the_threads_own_loop(threads: ModelThreads) -> None:
    async def loop_id() -> int:
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    threads.start()
    loops = {threads.submit(lambda: run_to_completion(loop_id())).result(10) for _ in range(3)}
    threads.stop()
    assert len(loops) == 1


def test_items_can_be_removed_before_a_thread_is_free(threads: ModelThreads) -> None:
    """All others keep their order, and the memory of what is removed is free at once."""
    begun, gate = threading.Event(), threading.Event()
    done: list[str] = []
    other: list[str] = []
    do = done.append

    def block() -> None:
        begun.set()
        assert gate.wait(10)

    threads.start()
    threads.submit(block)
    assert begun.wait(10)
    removed = Item()
    alive = weakref.ref(removed)
    threads.post([removed], _never)
    threads.post(["a", "x", "b"], do)
    threads.post(["x"], do)
    threads.post(["x"], other.append)
    threads.post(["c"], do)
    del removed
    threads.discard(do, lambda item: item == "x")
    assert alive() is not None
    threads.discard(_never, lambda _: True)
    assert alive() is None
    last = threads.submit(lambda: None)
    gate.set()
    last.result(10)
    threads.stop()
    assert (done, other) == (["a", "b", "c"], ["x"])


def test_a_thread_that_finds_the_queue_empty_during_a_removal_is_woken(threads: ModelThreads) -> None:
    """It runs the tasks that the class has left on its event loop, and waits for a call meanwhile."""
    begun, gate, is_idle = threading.Event(), threading.Event(), threading.Event()
    done = threading.Semaphore(0)

    async def stay() -> None:
        is_idle.set()
        await asyncio.Event().wait()

    async def leave_task() -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(stay())

    def block() -> asyncio.Task[None]:
        begun.set()
        assert gate.wait(10)
        is_idle.clear()
        return run_to_completion(leave_task())

    def is_discarded(_item: object) -> bool:
        gate.set()
        assert is_idle.wait(10)
        threads.submit(lambda: None).result(10)  # after that the thread waits again
        return False

    threads.start()
    blocking = threads.submit(block)
    assert begun.wait(10)
    do = _Release(done)
    threads.post(["a"], do)
    threads.discard(do, is_discarded)
    assert done.acquire(timeout=10)
    blocking.result(10)
    threads.stop()


class _Release:
    """Does an item by releasing a semaphore."""

    def __init__(self, done: threading.Semaphore) -> None:
        self._done = done

    def __call__(self, _item: object) -> None:
        self._done.release()


class Item:
    """Something whose end can be seen."""


def _never(_item: object) -> None:
    raise AssertionError
