"""Requests to a server and its responses as bytes, which are parsed only if they have to be."""

from __future__ import annotations

from typing import Any

from seldon_spec.errors import PayloadError, ResultError
from seldon_spec.inference.message import Message, Operation
from seldon_spec.inference.request import Codec, LazyBody, Request, Response
from seldon_spec.protocols.open_inference_v2.codec import to_seldon


def encode_request(operation: Operation, request: Request, codec: Codec) -> bytes | memoryview:
    """Return the bytes of a request of any protocol.

    Bytes of the same encoding that nothing has parsed are sent as they are.

    Args:
        operation: the operation of the server.
        request: its message or its raw form stays as it is.
        codec: of the server.

    Raises:
        PayloadError: the request is not what the operation takes.
        ResultError: the message has no form in Seldon's protocol.
    """
    body = request.body
    if isinstance(body, Message):  # the response of another component, as it was returned
        return bytes(codec.write_request(to_seldon(body)))
    if body is not None and request.codec.protocol == codec.protocol:
        if operation is Operation.FEEDBACK:  # a protobuf message on both transports
            return bytes(codec.write_raw(request.raw))
        if request.codec.transport is codec.transport:
            wire = body.wire if isinstance(body, LazyBody) else body
            if isinstance(wire, (bytes, memoryview)):
                return wire
            return bytes(codec.write_raw(request.raw))
    return bytes(codec.write_request(to_seldon(request.message)))


class WireResponse(Response):
    """The response of a server; it is parsed on first use.

    Args:
        wire: the bytes.
        operation: of the request.
        codec: of the server.
        address: of the server, for errors.
    """

    __slots__ = ("_operation", "_sender", "_wire")

    def __init__(self, wire: bytes, operation: Operation, codec: Codec, address: str) -> None:
        super().__init__(codec=codec)
        self._wire: bytes | None = wire
        self._operation = operation
        self._sender = address

    @property
    def raw(self) -> Any:
        """The JSON value or the protobuf message, always the same object; changes of it are sent on."""
        if self._wire is not None:
            assert self.codec is not None
            try:
                self._raw = self.codec.decode(Operation.PREDICT, self._wire).raw
            except PayloadError as error:
                raise ResultError(f"the response of {self._sender} is no message: {error}") from error
            self._wire = None
        return self._raw

    def is_raw_for(self, codec: Codec) -> bool:
        """Return whether a codec encodes the raw response: one of the same encoding.

        Another one encodes the message, which is many times faster than converting JSON to protobuf or back. The
        response to feedback may be empty, and is no message then.
        """
        return super().is_raw_for(codec) and (self._is_of(codec) or self._operation is Operation.FEEDBACK)

    def write(self, codec: Codec) -> Any:
        """Encode the response: the bytes themselves for the same encoding, if nothing has parsed them."""
        if self._wire is not None and self._is_of(codec):
            return self._wire
        return super().write(codec)

    def _is_of(self, codec: Codec) -> bool:
        assert self.codec is not None
        return codec.transport is self.codec.transport
