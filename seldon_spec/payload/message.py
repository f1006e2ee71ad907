"""What a request and a result are, whichever wire they came by.

Knows no JSON, no protobuf and no numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol


class Verb(str, Enum):
    """What is asked of a component; the value is the ``method`` label of its metrics (contract section 6.2)."""

    PREDICT = "predict"
    HEALTH = "health"


class Kind(str, Enum):
    """The dress of a payload: its member's name on the wire (contract section 1.1)."""

    TENSOR = "tensor"
    NDARRAY = "ndarray"
    JSON = "jsonData"
    TEXT = "strData"
    BINARY = "binData"
    CUSTOM = "customData"
    NOTHING = ""


@dataclass(slots=True)
class Message:
    """A request as it is handed to a component.

    Attributes:
        kind: which dress the payload wore; the answer to arrays wears the same one.
        payload: an array for TENSOR and NDARRAY, else text, bytes or any JSON value.
        names: the columns' names as they were sent, usually a list of text.
        meta: the request's ``meta``; None if it had none and the wire can tell. The component gets this very object,
            and what it changes in it shows in the answer (contract section 3.3).
    """

    kind: Kind
    payload: Any
    names: Any = field(default_factory=list)
    meta: dict[str, Any] | None = None


@dataclass(slots=True)
class Result:
    """What a component gave, before any wire has looked at it.

    Attributes:
        payload: the value that the user's method returned.
        class_names: gives the columns' names, or back the default ones that it is given; called only for a result of
            two dimensions or more. None: the class has none.
        tags: the component's own tags, merged over those of the request.
        metrics: the component's own metrics, to stand after those of the request.
        request_path: this component's entry.
    """

    payload: Any
    class_names: Callable[[Any], Any] | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    request_path: Mapping[str, str] = field(default_factory=dict)


class Codec(Protocol):
    """One wire form: bytes to a message, and a result to bytes."""

    def decode(self, verb: Verb, wire: bytes) -> Message:
        """Read a request.

        Raises:
            PayloadError: the bytes are not what the contract allows for this verb.
        """

    def encode(self, result: Result, like: Message) -> bytes:
        """Write the answer to the request ``like``, in the same dress where the result allows it.

        Raises:
            ResultError: the result has no form on this wire.
        """
