"""Codecs of requests with the same head, which describes their bodies."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from seldon_spec.errors import PayloadError, TooLarge, UnsupportedMediaType
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec, Request
from seldon_spec.protocols.open_inference_v2.codec import InferBody
from seldon_spec.protocols.route import RequestInfo

IGNORED_HEADERS = frozenset({b"content-length", b"authorization", b"proxy-authorization", b"cookie"})
"""The headers that the class does not get: the length of the body, and secrets."""

_JSON_SIZE = b"inference-header-content-length"
_SIZE_DIGITS = 18
_WBITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


class DescribingCodec:
    """Passes the headers of a request to a codec.

    Args:
        codec: takes an ``InferBody``.
        list_headers: returns the headers of the request, with names in lower case.
        ignored: headers that the class does not get.
    """

    __slots__ = ("_codec", "_headers", "_ignored", "_list_headers", "encode", "transport")

    def __init__(
        self, codec: Codec, list_headers: Callable[[], Iterable[tuple[bytes, bytes]]], ignored: Collection[bytes]
    ) -> None:
        self._codec = codec
        self._list_headers = list_headers
        self._ignored = ignored
        self._headers: Mapping[str, str] | None = None
        self.encode = codec.encode
        self.transport = codec.transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def decode(self, operation: Operation, wire: Any) -> Request:
        return self.decode_described(operation, wire)

    def decode_described(
        self, operation: Operation, body: Any, json_size: int | None = None, model_name: str | None = None
    ) -> Request:
        """Return a request.

        Args:
            operation: of the component.
            body: its bytes.
            json_size, model_name: see ``InferBody``.
        """
        headers = self._headers
        if headers is None:
            headers = self._headers = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in reversed(tuple(self._list_headers()))  # the first one counts
                if name not in self._ignored
            }
        described = InferBody(body, json_size, model_name, headers.get("seldon-puid"), headers)
        return self._codec.decode(operation, described)


class HeadCodec(DescribingCodec):
    """The codec of requests of REST with one head.

    Args:
        codec: of the route.
        info: the head.
        max_body_bytes: limit of a body once it is decompressed.

    Raises:
        PayloadError: the length of the JSON is not a number.
        UnsupportedMediaType: the body has an encoding that is not supported.
    """

    __slots__ = ("_json_size", "_max_body_bytes", "_model_name", "_wbits")

    def __init__(self, codec: Codec, info: RequestInfo, max_body_bytes: int) -> None:
        super().__init__(codec, info.list_headers, IGNORED_HEADERS)
        self._model_name = info.parameters["model"]
        self._json_size = _read_size(info.find(_JSON_SIZE))
        self._max_body_bytes = max_body_bytes
        encoding = (info.find(b"content-encoding") or b"identity").strip().lower()
        self._wbits = _WBITS.get(encoding)
        if self._wbits is None and encoding != b"identity":
            raise UnsupportedMediaType("the Content-Encoding of the body is neither gzip nor deflate")

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Return a request; raises what the codec of the route raises.

        Raises:
            PayloadError: the body is not compressed as its head says.
            TooLarge: it is too long once it is decompressed.
        """
        body = wire if self._wbits is None else _decompress(wire, self._wbits, self._max_body_bytes)
        return self.decode_described(operation, body, self._json_size, self._model_name)


def _read_size(text: bytes | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or len(text) > _SIZE_DIGITS:
        raise PayloadError("Inference-Header-Content-Length is not a number of bytes")
    return int(text)


def _decompress(body: Any, wbits: int, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(wbits)
    try:
        plain = inflater.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise PayloadError(f"the body cannot be decompressed: {error}") from None
    if len(plain) > max_bytes:
        raise TooLarge(f"the decompressed body is larger than server.max_body_bytes, {max_bytes}")
    if not inflater.eof:
        raise PayloadError("the body cannot be decompressed: it ends too early")
    if inflater.unused_data:
        raise PayloadError("there are bytes after the compressed body")
    return plain
