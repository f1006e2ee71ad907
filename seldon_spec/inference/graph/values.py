"""The messages between the steps of a graph."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, ResultError, SeldonSpecError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.message import Message, Operation, PayloadType
from seldon_spec.inference.request import Codec, Request, Response


class Value:
    """A message on its way through a graph: the client's request, or the response of a component.

    Args:
        request: of the client; None: it is a response.
        response: of a component; None: it is the request.
        producer: the name of the component that responded.
        wire: the client's request for components that read it unparsed; None: none does, or it has been changed.
        is_shared: whether all components read it unparsed, so that the message need not be copied for them.
    """

    __slots__ = ("is_shared", "producer", "request", "response", "wire")

    def __init__(
        self,
        request: Request | None = None,
        response: Response | None = None,
        producer: str | None = None,
        wire: Any = None,
        *,
        is_shared: bool = False,
    ) -> None:
        self.request = request
        self.response = response
        self.producer = producer
        self.wire = wire
        self.is_shared = is_shared

    @property
    def message(self) -> Message:
        """The message; it is not copied.

        Raises:
            PayloadError, ResultError: there is none in the request or in a raw response.
        """
        if self.request is not None:
            return self.request.message
        assert self.response is not None
        try:
            return self.response.message
        except SeldonSpecError as error:
            raise add_component(error, self.producer) from None

    def count_bytes(self) -> int:
        """Return the size of the message; 0 if it is not known.

        Raises:
            PayloadError, ResultError: see ``message``.
        """
        return 0 if self.is_shared else _count_bytes(self.message)

    def fork(self) -> Value:
        """Return a value that shares nothing with this one that a component could change.

        A response is copied where it becomes a request.
        """
        if self.request is None:
            return Value(None, self.response, self.producer)
        if self.is_shared:
            return Value(self.request, wire=self.wire, is_shared=True)
        return self._copy(self.request, self.wire)

    def _copy(self, request: Request, wire: Any) -> Value:
        copied = Request.from_message(request.operation, copy_message(request.message), request.codec)
        return Value(copied, wire=wire)

    def to_request(self, operation: Operation, codec: Codec, *, is_plain: bool) -> Request:
        """Return the request to a component; this value cannot be used afterwards, unless it is a response.

        Args:
            operation: to call.
            codec: of the client's protocol, with the inputs of the component.
            is_plain: whether the component reads the message, and not the raw form.

        Raises:
            PayloadError, ResultError: the response has no form in the protocol.
        """
        if self.response is not None:
            try:
                return Request.from_response(operation, self.response, codec)
            except SeldonSpecError as error:
                raise add_component(error, self.producer) from None
        if self.wire is not None and not is_plain:
            return codec.decode(operation, self.wire)
        request = self.request
        assert request is not None
        request.operation, request.checked = operation, None
        return request

    def read_request(self, request: Request, receiver: str) -> None:
        """Read the message of a request that was made from this value.

        Args:
            request: to the receiver.
            receiver: the component; errors name it if the value is the responses of several components.

        Raises:
            ResultError: the response that it is made from is no message; the error names its component.
        """
        if self.response is None:
            return
        try:
            request.message  # noqa: B018 - it is kept
        except PayloadError as error:
            what = "a response to combine" if self.producer is None else "the response"
            raise add_component(ResultError(f"{what} is no message: {error}"), self.producer or receiver) from None
        except SeldonSpecError as error:
            raise add_component(error, self.producer or receiver) from None

    def add_meta(self, meta: Mapping[str, Any]) -> Value:
        """Return the value with the tags and metrics of a router, which override those that it has."""
        tags, metrics = meta.get("tags"), meta.get("metrics")
        if not tags and not metrics:
            return self
        if self.request is not None and self.is_shared:
            return self._copy(self.request, None).add_meta(meta)
        message = self.message
        merged = dict(message.meta or {})
        if tags:
            merged["tags"] = {**(merged.get("tags") or {}), **tags}
        if metrics:
            merged["metrics"] = [*(merged.get("metrics") or ()), *metrics]
        if self.request is not None:
            message.meta, self.wire = merged, None
            return self
        return Value(None, Response(replace(message, meta=merged)), self.producer)


def add_component(error: SeldonSpecError, component: str | None) -> SeldonSpecError:
    """Return the error with the component that caused it; that of a nested graph comes after the graph's own name."""
    if component is not None:
        error.component = component if error.component is None else f"{component}/{error.component}"
    return error


def copy_message(message: Message) -> Message:
    """Return a copy of a request's message that shares nothing with it that a component could change."""
    payload = message.payload
    if message.payload_type is PayloadType.ARRAY:
        payload = _copy_array(payload)
    elif message.payload_type is PayloadType.TENSORS:
        payload = [replace(tensor, array=_copy_array(tensor.array)) for tensor in payload]
    elif message.payload_type in (PayloadType.JSON, PayloadType.CUSTOM):
        payload = copy.deepcopy(payload)
    names = list(message.names) if type(message.names) is list else copy.deepcopy(message.names)
    rows = copy.deepcopy(message.rows)  # a cell may be an object or a list
    return replace(message, payload=payload, names=names, meta=copy.deepcopy(message.meta), rows=rows)


def _count_bytes(message: Message) -> int:
    payload = message.payload
    if message.payload_type is PayloadType.ARRAY:
        return int(payload.nbytes)
    if message.payload_type is PayloadType.TENSORS:
        return sum(tensor.array.nbytes for tensor in payload)
    return len(payload) if isinstance(payload, (str, bytes, bytearray)) else 0


def _copy_array(array: Array) -> Array:
    return copy.deepcopy(array) if array.dtype == object else np.array(array, copy=True, order="C")
