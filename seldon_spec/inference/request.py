"""Requests and responses of a component, and the codec interface: built from bytes, and read as messages on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from seldon_spec.config.contract import TensorSpec
from seldon_spec.errors import PayloadError, ResultError
from seldon_spec.inference.message import KeepRows, Message, Operation, Transport


@dataclass(slots=True)
class EncodedResponse:
    """A response as bytes.

    Attributes:
        content: the bytes; a view if they are many.
        status: the HTTP status that the component asked for; None: the usual one.
        headers: HTTP headers that describe the body; they override the usual ones.
    """

    content: bytes | memoryview
    status: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def body(self) -> bytes:
        """The content; a view is copied."""
        return bytes(self.content)


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
        keeps_rows: when the message keeps the values of its array as they were sent.
        checked: the message with the inputs as they are declared, for the component that reads it; None: not read yet.
        target: the component of a graph that is called alone; None: the whole graph.
    """

    __slots__ = ("_message", "_raw", "body", "checked", "codec", "keeps_rows", "operation", "target")

    def __init__(self, operation: Operation, body: Any, codec: Codec) -> None:
        self.operation = operation
        self.body = body
        self.codec = codec
        self.keeps_rows = KeepRows.NEVER
        self.checked: Message | None = None
        self.target: str | None = None
        self._message: Message | None = None
        self._raw: Any = None

    @classmethod
    def from_response(cls, operation: Operation, response: Response, codec: Codec) -> Request:
        """Make the request to the next component from the response of the previous one.

        A raw response of the same protocol is sent on as it is, with members that a message does not have.

        Raises:
            PayloadError, ResultError: the raw response has no form in its protocol.
        """
        if response.is_raw_for(codec):
            return codec.decode(operation, response.write(codec))
        return cls(operation, response.message, codec)

    @classmethod
    def from_message(cls, operation: Operation, message: Message, codec: Codec) -> Request:
        """Make a request from the message of one, which belongs to the component from now on."""
        request = cls(operation, message, codec)
        request._message = message
        return request

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
                self._message = self.codec.receive(body, self.keeps_rows)
            else:
                self._message = self.codec.read_message(self.operation, body, self.keeps_rows)
            self.body = self._raw = None
        return self._message

    @property
    def is_read(self) -> bool:
        """Whether the message has been read."""
        return self._message is not None

    @property
    def raw(self) -> Any:
        """Return the request as the ``*_raw`` hooks get it: the JSON value or the protobuf message.

        Read it before the message, which releases the body: afterwards it is made from the message.

        Raises:
            PayloadError: it is nested too deeply.
            ResultError: the message of another component has no form in this protocol.
        """
        if self._raw is None:
            body = self._message if self.body is None and self._message is not None else self.body
            if isinstance(body, Message) and not self.codec.has_tensors:
                body = self.codec.decode(self.operation, self.codec.write_request(body)).body
                self.body = body  # not the message: the hook's changes show in it
            self._raw = self.codec.read_raw(self.operation, body)
        return self._raw


class Response:
    """A component's response: a message, or the raw response of a ``*_raw`` hook or of another server.

    Args:
        message: None: the response is raw.
        raw: what the hook returned: a protobuf message, or what JSON can encode.
        codec: see the attribute.

    Attributes:
        codec: the codec of the request that the hook or the server got; None for a response that is a message.
    """

    __slots__ = ("_message", "_raw", "codec")

    _sender = "a raw hook"

    def __init__(self, message: Message | None = None, raw: Any = None, codec: Codec | None = None) -> None:
        self._message = message
        self._raw = raw
        self.codec = codec

    @property
    def raw(self) -> Any:
        """The raw response.

        Raises:
            ResultError: what a server sent is no message.
        """
        return self._raw

    def is_raw_for(self, codec: Codec) -> bool:
        """Return whether a codec encodes the raw response, with members that a message does not have."""
        return self.codec is not None and self.codec.protocol == codec.protocol

    def write(self, codec: Codec) -> Any:
        """Encode a raw response for a codec of its protocol; ``codec.decode`` accepts the result.

        Raises:
            ResultError: it has no form in this encoding.
        """
        return codec.write_raw(self.raw)

    @property
    def message(self) -> Message:
        """Return the message; that of a raw response is read on first use.

        Raises:
            ResultError: the raw response is no valid message.
        """
        if self._message is None:
            assert self.codec is not None
            try:
                self._message = self.codec.decode(Operation.PREDICT, self.write(self.codec)).message
            except PayloadError as error:
                raise ResultError(f"the response of {self._sender} is no message: {error}") from error
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

    def read_message(self, operation: Operation, body: Any, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        """Return the message of a request's body; for ``Request.message``."""

    def read_raw(self, operation: Operation, body: Any) -> Any:
        """Return the raw form of a request's body, or of a message if the codec has tensors; for ``Request.raw``."""

    def receive(self, message: Message, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        """Return the response message of another component, or several joined, as the receiver reads it.

        Args:
            message: it is not changed.
            keeps_rows: see ``Request``.

        Returns:
            A message that shares nothing with this one that a component could change.

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

    def add_routing(self, raw: Any, routing: Mapping[str, int], request_path: Mapping[str, str]) -> Any:
        """Return a raw response with the branches and the components of its request in ``meta``."""

    def with_inputs(self, inputs: tuple[TensorSpec, ...]) -> Codec:
        """Return the codec of messages to a component of a graph, which has inputs of its own."""

    def encode(self, response: Response, request: Request) -> EncodedResponse:
        """Encode the response to a request, with the encoding of the request where the payload allows it.

        Raises:
            ResultError: the response has no form in this encoding.
        """
