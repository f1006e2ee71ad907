"""Codecs of requests to one component of a graph."""

from __future__ import annotations

from typing import Any

from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec, Request


class ComponentCodec:
    """Sends the requests of a codec to one component.

    Args:
        codec: of the requests.
        component: the name of the component.
    """

    def __init__(self, codec: Codec, component: str) -> None:
        self._codec = codec
        self._component = component
        self.encode = codec.encode
        self.transport = codec.transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def decode(self, operation: Operation, wire: Any) -> Request:
        request = self._codec.decode(operation, wire)
        request.target = self._component
        return request
