"""What a component is to the dispatcher: one call for every verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from seldon_spec.payload.message import Message, Result, Verb

Recorder: TypeAlias = Callable[[object], list[dict[str, Any]]]
"""Checks and records the metrics of one hook; gives them back as the answer shows them, or raises BadMetric."""


class Component(Protocol):
    """The user's object, or later a graph of them."""

    def call(self, verb: Verb, request: Message, record: Recorder) -> Result:
        """Answer one request.

        Args:
            verb: what is asked.
            request: the message; its array belongs to the component.
            record: takes the metrics that the component made, as soon as they are made.

        Raises:
            UnsupportedVerb: the component has no hook for it.
            ComponentFailed: the user's code raised.
            BadMetric: the user's code made a metric that the contract does not allow.
        """
