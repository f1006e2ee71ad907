"""The bytes of ``binData`` in JSON."""

from __future__ import annotations

import base64
from urllib.parse import unquote

from seldon_spec.errors import PayloadError

_URL_ALPHABET = str.maketrans("-_", "+/")


def decode_base64(text: object) -> bytes:
    """Return the bytes of a ``binData``.

    Raises:
        PayloadError: it is no base64.
    """
    if not isinstance(text, str):
        raise PayloadError("binData is not text in base64")
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        decoded = b""
    return decoded or _decode_loose_base64(text)


def _decode_loose_base64(text: str) -> bytes:
    """Return the bytes of base64 in its other forms: the alphabet of URLs, line breaks, no padding, a data URI."""
    if text[: len("data:")].lower() == "data:":
        kind, comma, text = text.partition(",")
        if not comma or not kind.lower().endswith(";base64"):
            raise PayloadError("binData is a data URI without base64")
        text = unquote(text)
    plain = "".join(text.split()).translate(_URL_ALPHABET).rstrip("=")
    if not plain and "=" in text:
        raise PayloadError("binData is not base64: only padding")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise PayloadError(f"binData is not base64: {error}") from error
