"""The steps of a graph at work: what each does with a value."""

from __future__ import annotations

import hashlib
import logging
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Protocol

from seldon_spec.errors import InvalidRouting, PayloadError, SeldonSpecError
from seldon_spec.inference.call import WORKED_ON, BaseContext
from seldon_spec.inference.graph.averages import average_messages
from seldon_spec.inference.graph.nodes import Node, Visit
from seldon_spec.inference.graph.shadows import Shadow
from seldon_spec.inference.graph.values import Value, add_component
from seldon_spec.inference.graph.work import ManyWork, Work, run_together
from seldon_spec.inference.message import Message, Operation, PayloadType, join_messages
from seldon_spec.inference.request import Response

logger = logging.getLogger(__name__)

ALL, NONE = -1, -2
"""What a router returns for all branches, and for none."""

CountBranch = Callable[[str, int], None]


class Runner(Protocol):
    """A step of a graph in this process."""

    @property
    def is_remote(self) -> bool:
        """Whether a server runs a part of it."""

    def run(self, value: Value, visit: Visit) -> Work:
        """Return the value of the step."""

    def list_nodes(self, routing: Mapping[str, int]) -> Iterator[Node]:
        """Yield the components that an earlier request reached, in call order; those of a shadow are not among them.

        Raises:
            PayloadError: the routing names a branch that there is not.
        """

    def list_entries(self) -> Iterator[tuple[Node, Operation]]:
        """Yield the components that can get the step's own value, with the operation."""


class CallRunner:
    """Calls one operation of a component."""

    def __init__(self, node: Node, operation: Operation) -> None:
        self._node = node
        self._operation = operation
        self.is_remote = node.is_remote

    def run(self, value: Value, visit: Visit) -> Work:
        return self._node.run(self._operation, value, visit)

    def list_nodes(self, _routing: Mapping[str, int]) -> Iterator[Node]:
        yield self._node

    def list_entries(self) -> Iterator[tuple[Node, Operation]]:
        yield self._node, self._operation


class ChainRunner:
    """Runs steps one after the other."""

    def __init__(self, steps: Sequence[Runner]) -> None:
        self._steps = steps
        self.is_remote = any(step.is_remote for step in steps)

    def run(self, value: Value, visit: Visit) -> Work:
        for step in self._steps:
            value = yield from step.run(value, visit)
        return value

    def list_nodes(self, routing: Mapping[str, int]) -> Iterator[Node]:
        for step in self._steps:
            yield from step.list_nodes(routing)

    def list_entries(self) -> Iterator[tuple[Node, Operation]]:
        return self._steps[0].list_entries()


class _Decision:
    """A step with branches.

    Args:
        name: in ``meta.routing`` and in metrics.
        branches: at least one.
        count: counts its decisions.
    """

    def __init__(self, name: str, branches: Sequence[Runner], count: CountBranch) -> None:
        self._name = name
        self._branches = branches
        self._count = count
        self.is_remote = any(branch.is_remote for branch in branches)
        self._overlaps = self.is_remote and len(branches) > 1

    def _decide(self, branch: int, visit: Visit) -> None:
        visit.routing[self._name] = branch
        if not visit.is_shadow:
            self._count(self._name, branch)

    def _run_all(self, value: Value, visit: Visit) -> ManyWork:
        """Return the values of all branches, each of which gets a copy of the value; the last one gets it itself."""
        values = [*(value.fork() for _ in self._branches[1:]), value]
        works = [branch.run(each, visit) for branch, each in zip(self._branches, values, strict=True)]
        if self._overlaps:
            return (yield from run_together(works, visit.submit))
        results = []
        for work in works:
            results.append((yield from work))  # noqa: PERF401 - a comprehension cannot yield
        return results

    def _list_chosen(self, routing: Mapping[str, int]) -> Iterator[Node]:
        branch = routing.get(self._name, ALL)
        if branch == NONE:
            return
        if not ALL <= branch < len(self._branches):
            raise PayloadError(
                f"response.meta.routing: {self._name} has no branch {branch}; its {len(self._branches)} branches are"
                " numbered from 0"
            )
        for chosen in self._branches if branch == ALL else (self._branches[branch],):
            yield from chosen.list_nodes(routing)

    def list_entries(self) -> Iterator[tuple[Node, Operation]]:
        for branch in self._branches:
            yield from branch.list_entries()


class RouteRunner(_Decision):
    """Asks a router for the branch; its tags and metrics go to the branch with the value."""

    def __init__(self, name: str, router: Node, branches: Sequence[Runner], count: CountBranch) -> None:
        super().__init__(name, branches, count)
        self._router = router
        self.is_remote = self.is_remote or router.is_remote

    def run(self, value: Value, visit: Visit) -> Work:
        response = yield from self._router.run(Operation.ROUTE, value.fork(), visit)
        branch = self._read_branch(response)
        self._decide(branch, visit)
        value = value.add_meta(response.message.meta or {})
        if branch == NONE:
            return value
        if branch == ALL:
            return (yield from self._run_all(value, visit))[0]
        return (yield from self._branches[branch].run(value, visit))

    def _read_branch(self, response: Value) -> int:
        """Return the number in a router's response: the first value of its array.

        Raises:
            InvalidRouting: there is none, or there is no branch of this number.
        """
        router, message = self._router.name, response.message
        try:
            if message.payload_type is not PayloadType.ARRAY:
                raise TypeError
            branch = int(message.payload.reshape(-1)[0])
        except (IndexError, TypeError, ValueError, OverflowError):
            error = InvalidRouting("the response has no number of a branch")
            raise add_component(error, router) from None
        if not NONE <= branch < len(self._branches):
            count = len(self._branches)
            text = (
                f"there is no branch {branch}: {self._name} has {count}, from 0 to {count - 1}; -1 means all, -2 none"
            )
            raise add_component(InvalidRouting(text), router)
        return branch

    def list_nodes(self, routing: Mapping[str, int]) -> Iterator[Node]:
        yield self._router
        yield from self._list_chosen(routing)

    def list_entries(self) -> Iterator[tuple[Node, Operation]]:
        yield self._router, Operation.ROUTE
        yield from super().list_entries()


class SplitRunner(_Decision):
    """Chooses a branch at random, or by the value of a header.

    Args:
        by: the header; None: at random. Requests without it are distributed at random.
        weights: one for each branch.
        name, branches, count: see ``_Decision``.
    """

    def __init__(
        self,
        name: str,
        weights: Sequence[float],
        by: str | None,
        branches: Sequence[Runner],
        count: CountBranch,
    ) -> None:
        super().__init__(name, branches, count)
        largest = max(weights)  # the sum of the weights themselves may be infinite
        self._bounds = list(accumulate(weight / largest for weight in weights))
        self._by = None if by is None else by.lower().encode()

    def run(self, value: Value, visit: Visit) -> Work:
        point = self._find_point() * self._bounds[-1]
        branch = min(bisect_right(self._bounds, point), len(self._bounds) - 1)
        self._decide(branch, visit)
        return self._branches[branch].run(value, visit)

    def _find_point(self) -> float:
        """Return a number from 0 up to 1: the same for equal values of the header, in every process and release."""
        context = WORKED_ON.get()
        if self._by is not None and isinstance(context, BaseContext):
            header = context.find_header(self._by)
            if header is not None:
                digest = hashlib.sha256(self._name.encode() + b"\0" + header).digest()
                return int.from_bytes(digest[:6], "big") / (1 << 48)
        return random.random()  # noqa: S311 - not used for security

    def list_nodes(self, routing: Mapping[str, int]) -> Iterator[Node]:
        return self._list_chosen(routing)


class CombineRunner(_Decision):
    """Runs all branches, and combines their responses.

    Args:
        combiner: None: the mean.
        name, branches, count: see ``_Decision``.
    """

    def __init__(self, name: str, combiner: Node | None, branches: Sequence[Runner], count: CountBranch) -> None:
        super().__init__(name, branches, count)
        self._combiner = combiner
        self.is_remote = self.is_remote or (combiner is not None and combiner.is_remote)

    def run(self, value: Value, visit: Visit) -> Work:
        self._decide(ALL, visit)
        values = yield from self._run_all(value, visit)
        messages = [each.message for each in values]
        if self._combiner is not None:
            joined = Value(None, Response(join_messages(messages)))
            return (yield from self._combiner.run(Operation.AGGREGATE, joined, visit))
        try:
            return Value(None, Response(average_messages(self._name, messages)), self._name)
        except SeldonSpecError as error:
            raise add_component(error, self._name) from None

    def list_nodes(self, routing: Mapping[str, int]) -> Iterator[Node]:
        yield from self._list_chosen(routing)
        if self._combiner is not None:
            yield self._combiner


class ShadowRunner:
    """Runs a step, and keeps a copy of its value for another one.

    Args:
        step: whose value counts.
        shadow: gets the copies.
        percent: of the values that are copied.
        name: of the shadow, in metrics.
    """

    def __init__(self, step: Runner, shadow: Runner, percent: float, name: str) -> None:
        self._step = step
        self._shadow = shadow
        self._percent = percent
        self._name = name
        self.is_remote = step.is_remote

    def run(self, value: Value, visit: Visit) -> Work:
        if not visit.is_shadow and random.random() * 100 < self._percent:  # noqa: S311 - not used for security
            self._copy(value, visit)
        return self._step.run(value, visit)

    def _copy(self, value: Value, visit: Visit) -> None:
        try:
            size = max(value.count_bytes(), visit.count_body_bytes())
            if visit.shadows.reserve(self._name, size):
                work = partial(self._shadow.run, value.fork(), visit.for_shadow())
                visit.copies.append(Shadow(self._name, size, work))
        except SeldonSpecError as error:  # the request is no message, and the step itself reads it unparsed
            logger.warning("shadow %s: %s", self._name, error)

    def list_nodes(self, routing: Mapping[str, int]) -> Iterator[Node]:
        return self._step.list_nodes(routing)

    def list_entries(self) -> Iterator[tuple[Node, Operation]]:
        yield from self._step.list_entries()
        yield from self._shadow.list_entries()


def echo_request(message: Message) -> Message:
    """Return a request's message as a response, for a graph that no component has responded to."""
    return Message(message.payload_type, message.payload, message.names, dict(message.meta or {}), message.encoding)
