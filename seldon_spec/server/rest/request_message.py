"""The message of a request (contract section 2.2): from a JSON body, a form, a multipart body or the query ``json=``.

The parser of forms is werkzeug's. It is imported when the first request needs it.
"""

from __future__ import annotations

import base64
import contextlib
import io
import re
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from seldon_spec.config.model import FlaskSpec, Spec
from seldon_spec.errors import OriginKind, PayloadError, TooLarge, UnsupportedMediaType
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.protocols.route import ANY, ANY_JSON, FORM, JSON, MULTIPART, Route
from seldon_spec.protocols.seldon_v1.fast.json_reader import read_plain

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage
    from werkzeug.wrappers import Request

R = TypeVar("R", bound="Request")

_UTF_JSON = re.compile(
    rb"application/json[ \t]*(;(?!.*charset(\*|[ \t]*=[ \t\"]*(?!utf[-_]?(8|16|32)))).*)?\Z", re.IGNORECASE
)
"""A JSON body whose encoding the JSON parser detects: without a charset, or with one of these."""

_UTF = re.compile(r"utf[-_]?(8|16|32)", re.IGNORECASE)
_CHARSETS = re.compile(
    r"(us-)?ascii|latin-?[0-9]+|iso[-_]?8859[-_]?[0-9]+|(windows|cp)-?125[0-9]|koi8-[ru]|shift_jis|euc-(jp|kr)|gbk|gb18030|big5",
    re.IGNORECASE,
)
"""The charsets that clients use; some other codecs of Python take quadratic time."""


class FormLimits:
    """The limits of forms.

    The contract's clients send whole messages in the form field ``json``. So a field can be as long as the body unless
    the spec sets a limit; Flask's default is 500 kB.
    """

    def __init__(self, spec: Spec) -> None:
        self._bytes: int | None = spec.server.max_body_bytes
        if is_set(spec, "MAX_FORM_MEMORY_SIZE"):
            self._bytes = spec.flask.MAX_FORM_MEMORY_SIZE
        self._parts = spec.flask.MAX_FORM_PARTS

    def apply(self, base: type[R]) -> type[R]:
        """Return a request class with these limits that closes all uploaded files."""

        class BoundedRequest(base):  # type: ignore[valid-type, misc]
            max_form_memory_size = self._bytes
            max_form_parts = self._parts

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self._uploads = contextlib.ExitStack()

            def _get_file_stream(self, *args: Any, **kwargs: Any) -> IO[bytes]:
                return self._uploads.enter_context(super()._get_file_stream(*args, **kwargs))

            def close(self) -> None:
                """Close the uploaded files, including those of a body that the parser rejected."""
                super().close()
                self._uploads.close()

        return BoundedRequest


def is_set(spec: Spec, name: str) -> bool:
    """Return True if a setting of Flask was set by the user."""
    is_given = spec.origin("flask", name).kind is not OriginKind.DEFAULT
    return is_given or getattr(spec.flask, name) != getattr(FlaskSpec(), name)


class BodyReader:
    """Chooses how bodies are read, once per request head.

    Args:
        limits: of forms.
    """

    def __init__(self, limits: FormLimits) -> None:
        self._limits = limits
        self._request_class: type[Request] | None = None

    def choose_codec(self, route: Route, codec: Codec, find: Callable[[bytes], bytes | None], query: bytes) -> Codec:
        """Return the codec of requests with one head.

        Args:
            route: with an operation.
            codec: decodes messages in JSON.
            find: returns the value of a header.
            query: the query string.

        Raises:
            PayloadError: the Content-Type is none of the route's media types.
            UnsupportedMediaType: the body is compressed.
        """
        if not route.media_types:
            return codec
        raw = find(b"content-type") or b""
        encoding = find(b"content-encoding")
        _check_encoding(None if encoding is None else encoding.decode("latin-1"), route.media_types)
        has_no_message = b"json" not in query and b"%" not in query
        if has_no_message and _UTF_JSON.match(raw) is not None:
            return codec
        content_type = raw.decode("latin-1")
        media_type = content_type.partition(";")[0].strip().lower()
        if has_no_message and media_type not in (FORM, MULTIPART):
            _check_media_type(media_type, route.media_types)
            if ANY in route.media_types:
                return codec
        return cast("Codec", _FormCodec(codec, self, content_type, query, route.media_types))

    def parse(self, body: Any, content_type: str, query: bytes) -> Request:
        """Return a request of werkzeug; the caller closes it."""
        if self._request_class is None:
            from werkzeug.wrappers import Request

            self._request_class = self._limits.apply(Request)
        return self._request_class(
            {
                "REQUEST_METHOD": "POST",
                "QUERY_STRING": query.decode("latin-1"),
                "CONTENT_TYPE": content_type,
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": io.BytesIO(body),
            }
        )


class _FormCodec:
    """A codec whose requests are no plain JSON bodies; they are parsed on the model thread, as JSON is."""

    def __init__(
        self, codec: Codec, reader: BodyReader, content_type: str, query: bytes, accepted: tuple[str, ...]
    ) -> None:
        self._codec = codec
        self._reader = reader
        self._content_type = content_type
        self._query = query
        self._accepted = accepted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def decode(self, operation: Operation, wire: Any) -> Any:
        from werkzeug.exceptions import HTTPException

        request = self._reader.parse(wire, self._content_type, self._query)
        try:
            message = read_message(request, self._accepted)
        except HTTPException as error:
            raise (TooLarge if error.code == 413 else PayloadError)(str(error)) from error
        finally:
            request.close()
        return self._codec.decode(operation, message)


def read_message(request: Request, accepted: tuple[str, ...], *, is_cached: bool = False) -> Any:
    """Find the message of a request, in the order of the contract (section 2.2).

    Args:
        request: of werkzeug or Flask.
        accepted: the media types of the route.
        is_cached: whether the request keeps its body, so that the user's class can read it again.

    Returns:
        JSON text, or the value of a multipart body.

    Raises:
        PayloadError: there is no message that can be read.
        UnsupportedMediaType: the body is compressed.
    """
    _check_encoding(request.headers.get("Content-Encoding"), accepted)
    if request.mimetype == MULTIPART and MULTIPART in accepted:
        return _join_parts(request)
    text: str | None = (request.form.get("json") or request.args.get("json")) if FORM in accepted else None
    if text:
        return text
    _check_media_type(request.mimetype, accepted)
    body = request.get_data(cache=is_cached)
    charset = "utf-8" if ANY in accepted else request.mimetype_params.get("charset", "utf-8")
    return body if _UTF.match(charset) is not None else _decode_body(body, charset)


def _check_encoding(encoding: str | None, accepted: tuple[str, ...]) -> None:
    if encoding is not None and encoding.lower() != "identity" and ANY not in accepted:
        raise UnsupportedMediaType("a body with a Content-Encoding is not read; send it as it is")


def _check_media_type(media_type: str, accepted: tuple[str, ...]) -> None:
    is_suffixed = ANY_JSON in accepted and media_type.startswith("application/") and media_type.endswith("+json")
    if media_type != JSON and not is_suffixed and ANY not in accepted:
        raise PayloadError(
            "Can't find JSON in data: the Content-Type is not application/json; send the header"
            " Content-Type: application/json"
        )


def _decode_body(body: bytes, charset: str) -> str:
    """Decode a body whose encoding the JSON parser does not detect."""
    if _CHARSETS.fullmatch(charset) is None:
        raise PayloadError(f"Can't find JSON in data: unknown charset {charset[:40]}")
    try:
        return body.decode(charset)
    except (LookupError, UnicodeError) as error:
        raise PayloadError(f"Can't find JSON in data: charset {charset}: {error}") from error


def _join_parts(request: Request) -> dict[str, Any]:
    """Return the parts of a multipart body as one message (contract section 2.2, point 1)."""
    form, files = request.form, request.files
    if None in form or None in files:
        raise PayloadError("a part of the body has no name")
    names = [name for parts in (form, files) for name, _ in parts.items(multi=True)]
    if not names and request.content_length:
        raise PayloadError("the multipart body has no part that can be read; check its boundary and its last line")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PayloadError(f"the body has two parts {twice}")
    tree: dict[str, Any] = {}
    for name, text in form.items():
        tree[name] = text if name == "strData" else _parse_part(name, text)
    for name, file in files.items():
        tree[name] = _read_file(name, file)
    return tree


def _parse_part(name: str, text: str | bytes) -> Any:
    try:
        return read_plain(text)
    except PayloadError as error:
        raise PayloadError(f"{error} (part {name})") from error


def _read_file(name: str, file: FileStorage) -> Any:
    """Return the content of a file: binData in base64, strData as text, any other part as a JSON value."""
    content: bytes = file.read()
    if name == "binData":
        return base64.b64encode(content).decode("ascii")
    if name != "strData":
        return _parse_part(name, content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PayloadError(f"file {name} is not UTF-8: {error}") from error
