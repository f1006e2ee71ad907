"""What a component is to the dispatcher: one call for every operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from seldon_spec.inference.message import Message, Operation, RawResult, Request, Result, Transport

MetricsSink: TypeAlias = Callable[[object], list[dict[str, Any]]]
"""Checks and records the metrics of one hook; gives them back as the answer shows them, or raises BadMetric."""


class Component(Protocol):
    """The user's object, or later a graph of them."""

    @property
    def error_blueprint(self) -> Any:
        """A ``flask.Blueprint`` of the user's that answers for exceptions over REST; None if there is none."""

    @property
    def custom_service(self) -> Callable[[], Any] | None:
        """What the user wants to have running beside the server."""

    @property
    def uses_flask(self) -> bool:
        """Whether its methods may use ``flask.request`` and the like: REST requests must come through Flask then."""

    @property
    def plain(self) -> frozenset[tuple[Operation, Transport]]:
        """The requests of which only the message is looked at, so that it can be read before ``call``."""

    @property
    def batchable(self) -> frozenset[tuple[Operation, Transport]]:
        """The requests, some of ``plain``, that ``call_batch`` takes."""

    def call(self, request: Request, record: MetricsSink) -> Result | RawResult:
        """Answer one request.

        Args:
            request: its message's array belongs to the component.
            record: takes the metrics that the component made, as soon as they are made.

        Raises:
            PayloadError: the request is not what its operation takes.
            UnsupportedVerb: the component has no hook for it.
            ComponentFailed: the user's code raised.
            ResultError: the user's code returned what its operation does not allow.
            BadMetric: the user's code made a metric that the contract does not allow.
        """

    def call_batch(self, operation: Operation, message: Message) -> Any:
        """Ask the user's code once, for several requests.

        Args:
            operation: what is asked.
            message: has the rows of all of them; it belongs to the component.

        Returns:
            What it returned for all the rows; None if that came with tags or metrics, which are one call's.

        Raises:
            ComponentFailed: the user's code raised.
        """

    def settle(self, operation: Operation, payload: Any, record: MetricsSink) -> Result:
        """The result of one request that ``call_batch`` has answered, with tags and metrics of its own.

        Raises:
            ComponentFailed, ResultError, BadMetric: as ``call`` does.
        """
