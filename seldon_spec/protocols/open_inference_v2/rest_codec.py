"""Requests of REST: their heads, and compressed bodies."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from seldon_spec.errors import PayloadError, TooLarge, UnsupportedMediaType
from seldon_spec.inference.message import Codec, Operation, Request, Transport
from seldon_spec.protocols.open_inference_v2.codec import InferBody
from seldon_spec.protocols.route import RequestInfo

IGNORED_HEADERS = frozenset({b"content-length", b"authorization", b"proxy-authorization", b"cookie"})
"""The headers that the class does not get: the length of the body, and secrets."""

_JSON_SIZE = b"inference-header-content-length"
_SIZE_DIGITS = 18
_WBITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


class HeadCodec:
    """The codec of requests with one head.

    Args:
        codec: of the route.
        info: the head.
        max_body_bytes: limit of a body once it is decompressed.

    Raises:
        PayloadError: the length of the JSON is not a number.
        UnsupportedMediaType: the body has an encoding that is not supported.
    """

    transport = Transport.REST

    __slots__ = ("_codec", "_headers", "_info", "_json_size", "_max_body_bytes", "_wbits", "encode")

    def __init__(self, codec: Codec, info: RequestInfo, max_body_bytes: int) -> None:
        self._codec = codec
        self.encode = codec.encode
        self._info = info
        self._json_size = _read_size(info.find(_JSON_SIZE))
        self._max_body_bytes = max_body_bytes
        encoding = (info.find(b"content-encoding") or b"identity").strip().lower()
        self._wbits = _WBITS.get(encoding)
        if self._wbits is None and encoding != b"identity":
            raise UnsupportedMediaType("the Content-Encoding of the body is none of gzip and deflate")
        self._headers: Mapping[str, str] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Return a request; raises what the codec of the route raises.

        Raises:
            PayloadError: the body is not compressed as it says.
            TooLarge: it is too long once it is decompressed.
        """
        if self._headers is None:
            self._headers = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in reversed(tuple(self._info.list_headers()))  # the first one counts
                if name not in IGNORED_HEADERS
            }
        body = wire if self._wbits is None else _decompress(wire, self._wbits, self._max_body_bytes)
        model_name, puid = self._info.parameters.get("model"), self._headers.get("seldon-puid")
        return self._codec.decode(operation, InferBody(body, self._json_size, model_name, puid, self._headers))


def _read_size(text: bytes | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or len(text) > _SIZE_DIGITS:
        raise PayloadError("Inference-Header-Content-Length is not a number of bytes")
    return int(text)


def _decompress(body: Any, wbits: int, max_bytes: int) -> bytes:
    """Decompress a body; one of gzip may have several members."""
    parts: list[bytes] = []
    size = 0
    rest = body
    while True:
        inflater = zlib.decompressobj(wbits)
        try:
            parts.append(inflater.decompress(rest, max_bytes - size + 1))
        except zlib.error as error:
            raise PayloadError(f"the body cannot be decompressed: {error}") from None
        size += len(parts[-1])
        if size > max_bytes:
            raise TooLarge(f"the decompressed body is larger than server.max_body_bytes, {max_bytes}")
        if not inflater.eof:
            raise PayloadError("the body cannot be decompressed: it ends too early")
        rest = inflater.unused_data
        if not rest:
            return parts[0] if len(parts) == 1 else b"".join(parts)
