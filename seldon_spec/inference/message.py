"""What a request and a result are, whichever wire they came by.

Knows no JSON, no protobuf and no numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol


class Operation(str, Enum):
    """What is asked of a component; the value is the ``method`` label of its metrics (contract section 6.2)."""

    PREDICT = "predict"
    TRANSFORM_INPUT = "inputtransform"
    TRANSFORM_OUTPUT = "outputtransform"
    ROUTE = "router"
    AGGREGATE = "aggregate"
    FEEDBACK = "feedback"
    HEALTH = "health"
    METADATA = "metadata"

    __hash__ = str.__hash__  # Enum's own is a function in Python, and a request looks up many tables


WITHOUT_BODY = frozenset({Operation.HEALTH, Operation.METADATA})
"""What is asked with an empty message: there is nothing to read."""


class Transport(str, Enum):
    """How a request came; the value ends the names of the hooks that are for one transport only."""

    REST = "rest"
    GRPC = "grpc"

    __hash__ = str.__hash__


class PayloadType(str, Enum):
    """The dress of a payload: its member's name on the wire (contract section 1.1)."""

    TENSOR = "tensor"
    NDARRAY = "ndarray"
    TFTENSOR = "tftensor"
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
        payload: an array for TENSOR, NDARRAY and TFTENSOR, else text, bytes or any JSON value; for AGGREGATE the list
            of them.
        names: the columns' names as they were sent, usually a list of text; for AGGREGATE the list of them.
        meta: the request's ``meta``; None if it had none and the wire can tell. The component gets this very object,
            and what it changes in it shows in the answer (contract section 3.3).
    """

    kind: PayloadType
    payload: Any
    names: Any = field(default_factory=list)
    meta: dict[str, Any] | None = None


@dataclass(slots=True)
class FeedbackMessage(Message):
    """Feedback on an earlier request, which is the message itself.

    Attributes:
        reward: how good the answer was; 0 if nothing was said.
        truth: the right answer as an array; empty if there is none.
        routing: which branch each router had taken, by the router's name.
    """

    reward: float = 0.0
    truth: Any = None
    routing: Mapping[str, int] = field(default_factory=dict)


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


@dataclass(slots=True)
class RawResult:
    """A whole answer that the user's code made itself: it goes out as it is.

    Attributes:
        answer: a message of protobuf, or what JSON can write.
    """

    answer: Any


@dataclass(slots=True)
class EncodedResponse:
    """An answer on its way out.

    Attributes:
        body: the bytes.
        status: the HTTP status that the component asked for; None: the usual one.
    """

    body: bytes
    status: int | None = None


class LazyBody:
    """What a wire brought, and nobody has parsed yet: who asks for the message may get it without its tree.

    Attributes:
        wire: the bytes; None once they have been parsed.
    """

    __slots__ = ("_parse", "_tree", "wire")

    def __init__(self, wire: Any, parse: Callable[[Any], Any]) -> None:
        self.wire = wire
        self._parse = parse
        self._tree: Any = None

    @property
    def tree(self) -> Any:
        """The parsed form, always the same object: what a ``*_raw`` hook changes in it, the message shows.

        Raises:
            PayloadError: the bytes cannot be parsed.
        """
        if self.wire is not None:
            self._tree = self._parse(self.wire)
            self.wire = None
        return self._tree


class Request:
    """A request in the form its wire has, which becomes a message only when somebody asks for that.

    A ``*_raw`` hook gets ``raw`` and may take what is no message at all, so nothing is judged before.
    """

    __slots__ = ("_message", "_raw", "codec", "operation", "tree")

    def __init__(self, operation: Operation, tree: Any, codec: Codec) -> None:
        self.operation = operation
        self.tree = tree
        self.codec = codec
        self._message: Message | None = None
        self._raw: Any = None

    @property
    def message(self) -> Message:
        """The request as the plain hooks get it.

        The wire's form is let go of with the first look at the message: both at once would be many times the array.

        Raises:
            PayloadError: it is not what the contract allows for this operation.
        """
        if self._message is None:
            self._message = self.codec.read_message(self.operation, self.tree)
            self.tree = self._raw = None
        return self._message

    @property
    def raw(self) -> Any:
        """The request as the ``*_raw`` hooks get it: the JSON value or the message of protobuf; asked for first.

        Raises:
            PayloadError: it is nested too deeply.
        """
        if self._raw is None:
            self._raw = self.codec.read_raw(self.operation, self.tree)
        return self._raw


class Codec(Protocol):
    """One wire form: what a transport received to a request, and a result to a reply."""

    @property
    def transport(self) -> Transport:
        """The transport that this form belongs to."""

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Take a request; it may be parsed only when somebody asks for the message or the raw form.

        Raises:
            PayloadError: the bytes cannot be parsed.
        """

    def read_message(self, operation: Operation, tree: Any) -> Message:
        """See ``Request.message``."""

    def read_raw(self, operation: Operation, tree: Any) -> Any:
        """See ``Request.raw``."""

    def split_metrics(self, answer: Any) -> tuple[list[Any], Any]:
        """The metrics in a raw answer's ``meta``, and the same answer without them."""

    def name_method(self, answer: Any, method: str) -> Any:
        """A raw answer with the method among the tags of each of its metrics that has some."""

    def encode(self, result: Result | RawResult, request: Request) -> EncodedResponse:
        """Write the answer to a request, in the same dress where the result allows it.

        Raises:
            ResultError: the result has no form on this wire.
        """
