"""Requests, responses and their messages, independent of the protocol and the transport.

Imports no JSON, no protobuf and no numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol


class Operation(str, Enum):
    """An operation of a component; the value is the ``method`` label of its metrics (contract section 6.2)."""

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
"""The operations whose request has no body."""


class Transport(str, Enum):
    """The transport of a request; the value is the suffix of the hooks that are for one transport only."""

    REST = "rest"
    GRPC = "grpc"

    __hash__ = str.__hash__


class PayloadType(Enum):
    """The type of a message's payload."""

    ARRAY = "array"
    TENSORS = "tensors"
    JSON = "json"
    TEXT = "text"
    BINARY = "binary"
    CUSTOM = "custom"
    NOTHING = "nothing"


@dataclass(slots=True)
class Tensor:
    """A named array.

    Attributes:
        name: unique within a message.
        array: the values; BYTES elements are an array of objects.
        datatype: the name that the protocol has for the type; None: the array's dtype says it all.
        parameters: what else the sender says about this tensor.
        content_type: what the elements of BYTES are, such as ``str``: from the parameters or from the declared inputs.
    """

    name: str
    array: Any
    datatype: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    content_type: str | None = None


@dataclass(slots=True)
class Message:
    """The content of a request or a response.

    Attributes:
        payload_type: the type of the payload.
        payload: an array for ARRAY, a list of ``Tensor`` for TENSORS, a ``google.protobuf.Any`` for CUSTOM, else text,
            bytes or a JSON value.
        names: the columns' names as they were sent, usually a list of text. In a response they are what the class
            returned, of any type.
        meta: the ``meta`` object; None if the request had none and the encoding can distinguish that. The component
            gets this very object, and its changes show in the response (contract section 3.3).
        encoding: how the protocol encodes an array; only codecs read it. A response has the encoding of its request.
        original: the list that the class returned where it returned no array; only in a response.
        has_default_names: whether the names are the default ones for their count; only in a response.
        table: the table that the class returned, whose columns have types of their own; only in a response.
    """

    payload_type: PayloadType
    payload: Any
    names: Any = field(default_factory=list)
    meta: dict[str, Any] | None = None
    encoding: Any = None
    original: list[Any] | None = None
    has_default_names: bool = False
    table: Any = None


@dataclass(slots=True)
class TensorMessage(Message):
    """A request of named tensors; the payload is a list of ``Tensor``.

    Attributes:
        id: the client's ID of the request; None: it sent none.
        parameters: of the request; they are the tags in ``meta`` as well, and are not sent back.
        headers: the request's headers that the class may read.
        version: the version of the model that the client requests; None: any.
        outputs: the names of the outputs that the client requests; empty: all.
        content_type: what the tensors are together, such as ``pd``; None: arrays.
    """

    id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    outputs: tuple[str, ...] = ()
    content_type: str | None = None


class NamedArrays(dict[str, Any]):
    """The result of a method that returns named arrays."""


@dataclass(slots=True)
class AggregateMessage(Message):
    """The messages of an ``aggregate`` request; ``payload`` and ``names`` are the lists of theirs.

    Attributes:
        parts: the messages.
    """

    parts: Sequence[Message] = ()


@dataclass(slots=True)
class FeedbackMessage(Message):
    """Feedback on an earlier request, which is the message itself.

    Attributes:
        reward: the reward; 0 if there is none.
        truth: the correct response as an array; empty if there is none.
        routing: the branch that each router had chosen, by the router's name.
    """

    reward: float = 0.0
    truth: Any = None
    routing: Mapping[str, int] = field(default_factory=dict)


def join_messages(parts: Sequence[Message]) -> AggregateMessage:
    """Join the messages of an ``aggregate`` request (contract section 4.3).

    Returns:
        One message of the first one's payload type and encoding. Its meta has the first one's puid; tags and request
        paths of later messages override earlier ones; metrics are appended in order. Without messages, the payload
        type is NOTHING, and ``build_response_message`` refuses it.
    """
    if not parts:
        return AggregateMessage(PayloadType.NOTHING, [], [], {})
    meta: dict[str, Any] = {"puid": (parts[0].meta or {}).get("puid"), "tags": {}, "metrics": [], "requestPath": {}}
    for part in parts:
        if part.meta:
            meta["tags"].update(part.meta.get("tags") or {})
            meta["metrics"].extend(part.meta.get("metrics") or ())
            meta["requestPath"].update(part.meta.get("requestPath") or {})
    return AggregateMessage(
        parts[0].payload_type,
        [part.payload for part in parts],
        [part.names for part in parts],
        meta,
        parts[0].encoding,
        parts=parts,
    )


@dataclass(slots=True)
class EncodedResponse:
    """A response as bytes.

    Attributes:
        body: the bytes.
        status: the HTTP status that the component asked for; None: the usual one.
        headers: HTTP headers that describe the body; they override the usual ones.
    """

    body: bytes
    status: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


class LazyBody:
    """A request body that is parsed on first use; a codec may read the message from the bytes instead.

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
        """Return the parsed body, always the same object: changes by a ``*_raw`` hook show in the message.

        Raises:
            PayloadError: the bytes cannot be parsed.
        """
        if self.wire is not None:
            self._tree = self._parse(self.wire)
            self.wire = None
        return self._tree


class Request:
    """A request to a component; its message and its raw form are built only when they are read.

    A ``*_raw`` hook gets ``raw`` and may accept what is no valid message, so nothing is checked before.

    Attributes:
        operation: the operation.
        body: what the codec's ``decode`` made of the bytes, or a message of other components, which is not changed.
        codec: builds the other forms.
    """

    __slots__ = ("_message", "_raw", "body", "codec", "operation")

    def __init__(self, operation: Operation, body: Any, codec: Codec) -> None:
        self.operation = operation
        self.body = body
        self.codec = codec
        self._message: Message | None = None
        self._raw: Any = None

    @classmethod
    def from_response(cls, operation: Operation, response: Response, codec: Codec) -> Request:
        """Make the request to the next component from the response of the previous one.

        A raw response of the same protocol is sent on as it is, with members that a message does not have.

        Raises:
            PayloadError, ResultError: the raw response has no form in its protocol.
        """
        if response.codec is not None and response.codec.protocol == codec.protocol:
            return codec.decode(operation, codec.write_raw(response.raw))
        return cls(operation, response.message, codec)

    @property
    def message(self) -> Message:
        """Return the request as the plain hooks get it.

        The body is released on first use: body and message together would be many times the array.

        Raises:
            PayloadError: it is not what the contract allows for this operation.
            ResultError: the message of another component has no form in this protocol.
        """
        if self._message is None:
            body = self.body
            if isinstance(body, Message):
                self._message = self.codec.receive(body)
            else:
                self._message = self.codec.read_message(self.operation, body)
            self.body = self._raw = None
        return self._message

    @property
    def raw(self) -> Any:
        """Return the request as the ``*_raw`` hooks get it: the JSON value or the protobuf message; read it first.

        Raises:
            PayloadError: it is nested too deeply.
            ResultError: the message of another component has no form in this protocol.
        """
        if self._raw is None:
            if isinstance(self.body, Message):  # not kept: the hook's changes show in the message
                self.body = self.codec.decode(self.operation, self.codec.write_request(self.body)).body
            self._raw = self.codec.read_raw(self.operation, self.body)
        return self._raw


class Response:
    """A component's response: a message, or the raw response of a ``*_raw`` hook.

    Attributes:
        raw: what the hook returned: a protobuf message, or what JSON can encode.
        codec: the codec of the request that the hook got; None for a response that is a message.
    """

    __slots__ = ("_message", "codec", "raw")

    def __init__(self, message: Message | None = None, raw: Any = None, codec: Codec | None = None) -> None:
        self._message = message
        self.raw = raw
        self.codec = codec

    @property
    def message(self) -> Message:
        """Return the message; that of a raw response is read on first use.

        Raises:
            PayloadError, ResultError: the raw response is no valid message.
        """
        if self._message is None:
            assert self.codec is not None
            self._message = self.codec.decode(Operation.PREDICT, self.codec.write_raw(self.raw)).message
        return self._message


class Codec(Protocol):
    """One encoding of one protocol's messages: bytes to a request, and a response to bytes."""

    @property
    def protocol(self) -> str:
        """The name of the protocol; codecs of the same protocol can write each other's raw responses."""

    @property
    def transport(self) -> Transport:
        """The transport that carries this encoding; selects the ``*_rest`` or ``*_grpc`` hooks."""

    @property
    def raw_codec(self) -> Codec:
        """The codec of the messages that ``*_raw`` hooks get and return; it may be that of another protocol."""

    @property
    def has_tensors(self) -> bool:
        """Whether requests hold named tensors, and PREDICT is the operation that the service type has for data."""

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Return a request; parsing may be delayed until the message or the raw form is read.

        Args:
            operation: the operation.
            wire: what the protocol's handler passes: the body, or the body with the headers that describe it.

        Raises:
            PayloadError: the bytes cannot be parsed.
        """

    def read_message(self, operation: Operation, body: Any) -> Message:
        """Return the message of a request's body; for ``Request.message``."""

    def read_raw(self, operation: Operation, body: Any) -> Any:
        """Return the raw form of a request's body; for ``Request.raw``."""

    def receive(self, message: Message) -> Message:
        """Return the response message of another component, or several joined, as the receiver reads it.

        The result shares nothing with the message that a component could change.

        Raises:
            PayloadError, ResultError: the message has no form in this protocol.
        """

    def write_request(self, message: Message) -> Any:
        """Encode a message as a request; ``decode`` accepts the result.

        Raises:
            ResultError: the message has no form in this encoding.
        """

    def write_raw(self, raw: Any) -> Any:
        """Encode a raw response; ``decode`` accepts the result.

        Raises:
            ResultError: it has no form in this encoding.
        """

    def raw_to_tree(self, raw: Any) -> Any:
        """Return a raw form as a JSON value.

        Raises:
            UnwritableResult: it has none.
        """

    def split_metrics(self, raw: Any) -> tuple[list[Any], Any]:
        """Return the metrics in a raw response's ``meta``, and the same response without them."""

    def add_method_tag(self, raw: Any, method: str) -> Any:
        """Return a raw response with the method among the tags of each of its metrics that has tags."""

    def encode(self, response: Response, request: Request) -> EncodedResponse:
        """Encode the response to a request, with the encoding of the request where the payload allows it.

        Raises:
            ResultError: the response has no form in this encoding.
        """
