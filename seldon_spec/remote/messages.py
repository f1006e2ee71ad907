"""Requests to a server and its responses as bytes, which are parsed only if they have to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
        codec: of the server.
        address: of the server, for errors.
    """

    __slots__ = ("_address", "_wire")

    def __init__(self, wire: bytes, codec: Codec, address: str) -> None:
        super().__init__(codec=codec)
        self._wire: bytes | None = wire
        self._address = address

    @property
    def raw(self) -> Any:
        """The JSON value or the protobuf message, always the same object; changes of it are sent on."""
        if self._wire is not None:
            assert self.codec is not None
            with self._explaining():
                self._raw = self.codec.decode(Operation.PREDICT, self._wire).raw
            self._wire = None
        return self._raw

    def write(self, codec: Codec) -> Any:
        """Encode the response: the bytes themselves for the same encoding, if nothing has parsed them."""
        assert self.codec is not None
        if self._wire is not None and codec.transport is self.codec.transport:
            return self._wire
        return super().write(codec)

    @property
    def message(self) -> Message:
        """The message; see ``Response.message``."""
        with self._explaining():
            return super().message

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Convert the errors of parsing: the server sent what is wrong, not the client."""
        try:
            yield
        except PayloadError as error:
            raise ResultError(f"the response of {self._address} is no message: {error}") from error
