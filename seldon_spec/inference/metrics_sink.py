"""Where the inference core reports measurements and the component's own metrics.

The server's implementation is ``observability.metrics.Metrics``, in memory shared by its processes. Another host, such
as a replica of a different engine, passes its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from seldon_spec.config.model import UnitSpec
from seldon_spec.inference.user_metrics import read_metrics


@dataclass(frozen=True, slots=True)
class Total:
    """How often something was observed, and the sum of its values."""

    count: int = 0
    sum: float = 0.0


_NOTHING = Total()


@dataclass(frozen=True, slots=True)
class CallTotals:
    """The requests so far.

    Attributes:
        success, error: seconds of the requests with this outcome, from their arrival to their responses.
        queue, decode, call, encode: seconds of the stages of all requests.
        rows: of the requests whose rows are known.
        batched: batched calls of the model, and the requests in them.
    """

    success: Total = _NOTHING
    error: Total = _NOTHING
    queue: Total = _NOTHING
    decode: Total = _NOTHING
    call: Total = _NOTHING
    encode: Total = _NOTHING
    rows: Total = _NOTHING
    batched: Total = _NOTHING


@dataclass(frozen=True, slots=True)
class ComponentCalls:
    """The calls of a component of a graph so far, of one method and with one outcome.

    Attributes:
        shadow: whether it was called as a shadow.
        count: of the calls.
        sum: seconds of the calls.
    """

    component: str
    method: str
    outcome: str
    shadow: bool
    count: int
    sum: float


@dataclass(frozen=True, slots=True)
class BranchRequests:
    """The requests so far that a step of a graph sent to one branch: its index, -1 for all, or -2 for none."""

    step: str
    branch: int
    count: int


@dataclass(frozen=True, slots=True)
class GraphTotals:
    """What the components and the steps of a graph did so far."""

    calls: tuple[ComponentCalls, ...] = ()
    branches: tuple[BranchRequests, ...] = ()


class ComponentMetrics(Protocol):
    """Receives the measurements of one component of a graph; called from any thread."""

    def record(self, method: str, metrics: object) -> list[dict[str, Any]]:
        """Do what ``MetricsSink.record`` does; the series have the labels of the component."""

    def observe(self, method: str, outcome: str, seconds: float) -> None:
        """Record one call of the component: its method, ``success`` or ``error``, and its duration."""


class MetricsSink(Protocol):
    """Receives one component's measurements; called from any thread.

    ``method`` is the value of the metric label ``method``.
    """

    def record(self, method: str, metrics: object) -> list[dict[str, Any]]:
        """Validate and record the return value of a ``metrics`` hook.

        Returns:
            The metrics as the response shows them.

        Raises:
            BadMetric: it is not a list of metrics; then nothing is recorded.
        """

    def observe_call(
        self,
        method: str,
        outcome: str,
        seconds: float,
        queue: float,
        decode: float,
        call: float,
        encode: float,
        rows: float,
        body_bytes: float,
    ) -> None:
        """Record one finished request; a value that is not known is NaN.

        Args:
            method: see the class.
            outcome: ``success`` or ``error``.
            seconds: from the arrival of the request to its response.
            queue: seconds of waiting for a model thread.
            decode: seconds of decoding the request.
            call: seconds in the component.
            encode: seconds of encoding the response.
            rows: of the request's data.
            body_bytes: size of the request's body.
        """

    def observe_batch(self, method: str, requests: int, rows: float) -> None:
        """Record one batched call of the model: its number of requests and their rows."""

    def read_totals(self, methods: Collection[str]) -> CallTotals:
        """Return the totals of the requests for some methods, in all processes."""

    def read_graph_totals(self) -> GraphTotals:
        """Return the totals of the components and the steps of a graph, in all processes."""

    def set_requests(self, in_flight: int, queued: int) -> None:
        """Set the numbers of requests without a response yet, and of those that wait for a model thread."""

    def set_load_seconds(self, seconds: float) -> None:
        """Set the time it took to build the model."""

    def for_component(self, unit: UnitSpec, *, is_shadow: bool = False) -> ComponentMetrics:
        """Return where the measurements of a component of a graph go.

        Args:
            unit: the source of its labels.
            is_shadow: whether it is called as a shadow; its series are separate.
        """

    def count_branch(self, step: str, branch: int) -> None:
        """Count one decision of a step of a graph: the index of the branch, -1 for all, or -2 for none."""

    def count_dropped_shadow(self, step: str) -> None:
        """Count a request that was not copied to a shadow, because too many copies wait."""


class NullMetrics:
    """Validates the component's metrics as the server does, and keeps nothing."""

    def record(self, method: str, metrics: object) -> list[dict[str, Any]]:
        return read_metrics(metrics, method)[1]

    def read_totals(self, _methods: Collection[str]) -> CallTotals:
        return CallTotals()

    def read_graph_totals(self) -> GraphTotals:
        return GraphTotals()

    def for_component(self, _unit: UnitSpec, *, is_shadow: bool = False) -> ComponentMetrics:  # noqa: ARG002
        return self

    def _discard(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    observe_call = observe_batch = set_requests = set_load_seconds = _discard
    observe = count_branch = count_dropped_shadow = _discard
