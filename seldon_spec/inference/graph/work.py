"""Steps as generators: they run one after the other, or those of several branches in turns while servers respond.

A generator yields what it waits for: a call of another server, which returns a response, or futures of which one has to
be done. Components of this process are called directly, so all of them run on the model thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import NamedTuple, TypeAlias

from seldon_spec.inference.graph.values import Value
from seldon_spec.inference.request import Response

RemoteCall: TypeAlias = Callable[[], Response]

Submit: TypeAlias = Callable[[RemoteCall], "Future[Response]"]
"""Starts a call in a thread of its own."""


class Waiting(NamedTuple):
    """Futures, at least one, of which one has to be done before the generator is resumed."""

    futures: set[Future[Response]]


Work: TypeAlias = "Generator[RemoteCall | Waiting, Response | None, Value]"
"""A step at work: it is sent the response of each call that it yields, and returns the step's value."""

ManyWork: TypeAlias = "Generator[RemoteCall | Waiting, Response | None, list[Value]]"
"""Several steps at work."""


def finish(work: Work) -> Value:
    """Run a step to its end on this thread.

    Raises:
        SeldonSpecError: of a component.
    """
    response: Response | None = None
    try:
        wanted = next(work)
        while True:
            try:
                if isinstance(wanted, Waiting):
                    wait(wanted.futures, return_when=FIRST_COMPLETED)
                else:
                    response = wanted()
            except BaseException as error:  # noqa: PERF203 - the step is resumed with the error
                wanted = work.throw(error)
            else:
                wanted = work.send(response)
                response = None
    except StopIteration as end:
        value: Value = end.value
        return value


class _Branch:
    """One of several steps that run in turns.

    Attributes:
        futures: what it waits for; empty: it can be resumed.
        is_call: whether it waits for its own call, whose response it needs.
        value: of the step, once it is done.
        error: that ended it.
    """

    def __init__(self, work: Work, submit: Submit) -> None:
        self._work = work
        self._submit = submit
        self.futures: set[Future[Response]] = set()
        self._is_call = False
        self.value: Value | None = None
        self.error: BaseException | None = None

    def resume(self) -> None:
        """Run until the branch waits or ends."""
        try:
            wanted = self._send()
        except StopIteration as end:
            self.futures, self.value = set(), end.value
        except Exception as error:
            self.futures, self.error = set(), error
        else:
            self._is_call = not isinstance(wanted, Waiting)
            self.futures = wanted.futures if isinstance(wanted, Waiting) else {self._submit(wanted)}

    def _send(self) -> RemoteCall | Waiting:
        if not self._is_call:
            return self._work.send(None)
        (future,) = self.futures
        error = future.exception()
        return self._work.send(future.result()) if error is None else self._work.throw(error)

    def close(self) -> None:
        """End the branch; a call that has started ends by itself."""
        self._work.close()
        self.futures = set()


def run_together(works: Sequence[Work], submit: Submit) -> ManyWork:
    """Run several steps in turns, so that calls of other servers overlap.

    Raises:
        SeldonSpecError: the error of the first step that failed, by the order of the steps. Those after it are ended;
            those that have not started are never started.
    """
    branches: list[_Branch] = []
    for work in works:
        branches.append(_Branch(work, submit))
        branches[-1].resume()
        if branches[-1].error is not None:
            break
    while True:
        failed = next((index for index, branch in enumerate(branches) if branch.error is not None), len(branches))
        for branch in branches[failed + 1 :]:
            branch.close()
        waiting = [branch for branch in branches[:failed] if branch.futures]
        if not waiting:
            break
        yield Waiting({future for branch in waiting for future in branch.futures})
        for branch in waiting:
            if any(future.done() for future in branch.futures):
                branch.resume()
    if failed < len(branches):
        error = branches[failed].error
        assert error is not None
        raise error
    return [branch.value for branch in branches if branch.value is not None]
