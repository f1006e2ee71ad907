"""The interface between the request processor and a component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from seldon_spec.inference.message import KeepRows, Message, Operation, Transport
from seldon_spec.inference.request import Request, Response

RecordMetrics: TypeAlias = Callable[[object], list[dict[str, Any]]]
"""Checks and records the metrics of one hook; returns them as the response shows them, or raises BadMetric."""


class Component(Protocol):
    """The user's object, or a graph of them."""

    @property
    def error_blueprint(self) -> Any:
        """The user's ``flask.Blueprint`` that handles exceptions on REST; None if there is none."""

    @property
    def custom_service(self) -> Callable[[], Any] | None:
        """What runs beside the server, in its own thread; None if there is nothing."""

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """The metadata of ``read_metadata``; None if they are invalid."""

    @property
    def uses_flask(self) -> bool:
        """Whether its methods may use ``flask.request`` and the like: REST requests must pass through Flask then."""

    @property
    def is_ready(self) -> bool:
        """Whether it accepts requests now; a graph depends on other servers."""

    def describe_state(self) -> str:
        """Return the reason why it is not ready, e.g. ``component iris is not ready``."""

    @property
    def keeps_rows(self) -> KeepRows:
        """When the messages of its requests keep the values of an array as they were sent."""

    @property
    def plain(self) -> frozenset[tuple[Operation, Transport]]:
        """The operations for which only the message is read, so that it can be decoded before ``call``."""

    @property
    def batchable(self) -> frozenset[tuple[Operation, Transport]]:
        """The operations, a subset of ``plain``, that ``call_batch`` accepts."""

    def call(self, request: Request, record: RecordMetrics) -> Response:
        """Handle one request.

        Args:
            request: the array of its message belongs to the component.
            record: receives the metrics of the component as soon as they are made.

        Raises:
            PayloadError: the request is not what its operation takes.
            UnsupportedOperation: the component has no hook for it.
            ComponentFailed: the user's code raised.
            ResultError: the user's code returned what its operation does not allow.
            BadMetric: the user's code made a metric that the contract does not allow.
        """

    def close(self) -> None:
        """Release connections to other servers, when no further call is started; a second call has no effect."""

    def batch_message(self, request: Request) -> Message | None:
        """Return the message of a request as ``call_batch`` takes it; None: the request is processed alone.

        Raises:
            PayloadError, ComponentFailed: the request is not what the component takes.
        """

    def call_batch(self, operation: Operation, message: Message) -> Any:
        """Call the user's code once for several requests.

        Args:
            operation: the operation.
            message: the rows of all requests; it belongs to the component.

        Returns:
            What the code returned for all rows; None if that has tags or metrics, which belong to one call.

        Raises:
            PayloadError: the rows are not what the component takes.
            UnsupportedOperation: the user's code does not implement the operation: each request is its own response.
            ComponentFailed: the user's code raised.
            ResultError: the user's code returned what its operation does not allow.
        """

    def finish_batched(self, request: Request, payload: Any, record: RecordMetrics) -> Response:
        """Return the response to one request of a batch, with its own tags and metrics.

        Args:
            request: one of the batch.
            payload: its rows of the result of ``call_batch``.
            record: as for ``call``.

        Raises:
            ComponentFailed, ResultError, BadMetric: as ``call`` does.
        """
