"""What a component is to the dispatcher: one call for every verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from seldon_spec.payload.message import Message, RawResult, Request, Result, Transport, Verb

Recorder: TypeAlias = Callable[[object], list[dict[str, Any]]]
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
    def plain(self) -> frozenset[tuple[Verb, Transport]]:
        """The requests of which only the message is looked at, so that it can be read before ``call``."""

    @property
    def mergeable(self) -> frozenset[tuple[Verb, Transport]]:
        """The requests, some of ``plain``, that ``call_merged`` takes."""

    def call(self, request: Request, record: Recorder) -> Result | RawResult:
        """Answer one request.

        Args:
            request: its message's array belongs to the component.
            record: takes the metrics that the component made, as soon as they are made.

        Raises:
            PayloadError: the request is not what its verb takes.
            UnsupportedVerb: the component has no hook for it.
            ComponentFailed: the user's code raised.
            ResultError: the user's code returned what its verb does not allow.
            BadMetric: the user's code made a metric that the contract does not allow.
        """

    def call_merged(self, verb: Verb, message: Message) -> Any:
        """Ask the user's code once, for several requests.

        Args:
            verb: what is asked.
            message: has the rows of all of them; it belongs to the component.

        Returns:
            What it returned for all the rows; None if that came with tags or metrics, which are one call's.

        Raises:
            ComponentFailed: the user's code raised.
        """

    def settle(self, verb: Verb, payload: Any, record: Recorder) -> Result:
        """The result of one request that ``call_merged`` has answered, with tags and metrics of its own.

        Raises:
            ComponentFailed, ResultError, BadMetric: as ``call`` does.
        """
