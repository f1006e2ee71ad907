"""The Flask app: routes to operations, bodies to messages, errors to the contract's status.

Source: contract section 2. Knows no sockets; any WSGI server can run it.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import dataclasses
import json
import logging
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import IO, Any

import flask
from flask.json.provider import JSONProvider
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException

from seldon_spec.config.model import FlaskSpec, Spec
from seldon_spec.errors import (
    ComponentFailed,
    NotServing,
    OriginKind,
    PayloadError,
    RequestTimeout,
    SeldonSpecError,
    UnsupportedMediaType,
)
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import EncodedResponse, Operation
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.seldon_v1.errors import Failure, describe, describe_http
from seldon_spec.protocols.seldon_v1.fast.json_reader import read_plain
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec, PassthroughCodec
from seldon_spec.protocols.seldon_v1.openapi import describe_interface
from seldon_spec.protocols.seldon_v1.routes import (
    MESSAGE_PATHS,
    PING,
    PROBES,
    READ_PATHS,
    cors_headers,
    preflight_headers,
)
from seldon_spec.server.rest.wsgi import WAITER

logger = logging.getLogger(__name__)

_FAILURE = "seldon_spec_failure"

View = Callable[[], Any]


def make_app(dispatcher: Dispatcher, spec: Spec) -> flask.Flask:
    """Build the app; the dispatcher may be started before or after.

    Args:
        dispatcher: answers the operations. If its component is built and has an error blueprint, that answers for the
            class's exceptions.
        spec: its ``flask`` section and its bounds are used.
    """
    style = JsonStyle.from_flask(spec.flask)
    app = flask.Flask("seldon_spec", static_folder=None)
    app.request_class = _request_class(spec)
    app.json = _StyledJson(app, style)
    app.config.update(_flask_config(spec))
    _add_routes(app, dispatcher, style, spec)
    component = dispatcher.component
    if component is not None and component.error_blueprint is not None:
        app.config[_FAILURE] = True
        app.register_blueprint(component.error_blueprint)
    app.register_error_handler(Exception, _answer_error)
    app.after_request(_allow_origins)
    return app


class _StyledJson(JSONProvider):
    """Flask's way to JSON, in the style of the spec: for errors and for views that users add."""

    def __init__(self, app: flask.Flask, style: JsonStyle) -> None:
        super().__init__(app)
        self._style = style

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        return write_json(obj, self._style).decode().rstrip("\n")

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return json.loads(s, **kwargs)

    def response(self, *args: Any, **kwargs: Any) -> flask.Response:
        body = write_json(self._prepare_response_obj(args, kwargs), self._style)
        return flask.Response(body, mimetype=self._style.mimetype)


def _request_class(spec: Spec) -> type[flask.Request]:
    """The class of requests, whose form fields may be as long as the body unless the spec limits them.

    The contract's clients send whole messages in the form field ``json``, and Flask's own limit is 500 kB.
    """
    bound: int | None = spec.server.max_body_bytes
    if _is_set(spec, "MAX_FORM_MEMORY_SIZE"):
        bound = spec.flask.MAX_FORM_MEMORY_SIZE

    class BoundedRequest(flask.Request):
        max_form_memory_size = bound

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._uploads = contextlib.ExitStack()

        def _get_file_stream(self, *args: Any, **kwargs: Any) -> IO[bytes]:
            return self._uploads.enter_context(super()._get_file_stream(*args, **kwargs))

        def close(self) -> None:
            """Close the uploaded files, including those of a body that the form parser rejected part way."""
            super().close()
            self._uploads.close()

    return BoundedRequest


def _flask_config(spec: Spec) -> dict[str, Any]:
    """The settings that somebody has made; Flask keeps its own defaults for the others."""
    fields = dataclasses.fields(FlaskSpec)
    return {field.name: getattr(spec.flask, field.name) for field in fields if _is_set(spec, field.name)}


def _is_set(spec: Spec, name: str) -> bool:
    is_given = spec.origin("flask", name).kind is not OriginKind.DEFAULT
    return is_given or getattr(spec.flask, name) != getattr(FlaskSpec(), name)


def _add_routes(app: flask.Flask, dispatcher: Dispatcher, style: JsonStyle, spec: Spec) -> None:
    plain = JsonCodec(style)
    passing = PassthroughCodec(style)
    timeout_seconds = spec.server.request_timeout_seconds

    def answer(operation: Operation) -> flask.Response:
        is_passing = operation is Operation.PREDICT and spec.unit.is_passthrough
        component = dispatcher.component
        is_kept = component is not None and component.uses_flask
        wire = None if operation in READ_PATHS else _read_message(is_checked=not is_passing, is_kept=is_kept)
        waiter = WAITER.get()
        note = None if waiter is None else waiter.note
        future = dispatcher.submit(operation, wire, passing if is_passing else plain, note, copy_context())
        try:
            reply = _wait(future, timeout_seconds)
        except ComponentFailed as failure:
            raise _for_handlers(failure) from failure.__cause__
        return flask.Response(reply.body, status=reply.status, mimetype=style.mimetype)

    def add(name: str, view: View, methods: list[str], *paths: str) -> None:
        for path in paths:
            app.add_url_rule(path, name, view, methods=methods)

    def ready() -> flask.Response:
        if not dispatcher.is_ready:
            raise NotServing(dispatcher.describe_state())
        return _text(PROBES["/ready"])

    for operation, (paths, post_paths) in MESSAGE_PATHS.items():
        add(operation.value, partial(answer, operation), ["GET", "POST"], *paths)
        add(f"{operation.value}-post", partial(answer, operation), ["POST"], *post_paths)
    for operation, paths in READ_PATHS.items():
        add(operation.value, partial(answer, operation), ["GET"], *paths)
    document = write_json(describe_interface(spec.name), style)
    add("openapi", lambda: _describe_interface(document), ["GET"], "/seldon.json")
    add("ping", lambda: _text(PROBES[PING]), ["GET"], PING)
    add("live", lambda: _text(PROBES["/live"]), ["GET"], "/live")
    add("ready", ready, ["GET"], "/ready")


def _describe_interface(document: bytes) -> flask.Response:
    """The interface's description, which a client may keep as long as its tag is the same."""
    response = flask.Response(document, mimetype="application/json")
    response.cache_control.no_cache = True
    response.headers["Content-Disposition"] = "inline; filename=seldon.json"
    response.add_etag()
    response.make_conditional(flask.request)
    return response


def _for_handlers(failure: ComponentFailed) -> Exception:
    """What is raised for a failure of the class: its own exception, where the class brought handlers for such."""
    cause = failure.__cause__
    if not flask.current_app.config.get(_FAILURE) or not isinstance(cause, Exception):
        return failure
    setattr(flask.g, _FAILURE, failure)
    return cause


def _text(word: str) -> flask.Response:
    return flask.Response(word, mimetype="text/html")  # the contract's type for /health/ping


def _wait(future: Future[EncodedResponse], timeout_seconds: float | None) -> EncodedResponse:
    """Wait for an answer; one that comes too late is not computed if it has not been begun.

    The time counts from the request's arrival, where the server has noted it.

    Raises:
        NotServing: the server has given up on it.
        RequestTimeout: it did not come in time.
    """
    waiter = WAITER.get()
    left = timeout_seconds
    if waiter is not None:
        waiter.wait_for(future)
        if timeout_seconds is not None:
            left = max(0.0, timeout_seconds - (time.monotonic() - waiter.arrived))
    try:
        return future.result(left)
    except concurrent.futures.CancelledError:
        raise NotServing("nobody waits for the answer any more") from None
    except concurrent.futures.TimeoutError as error:
        future.cancel()
        raise RequestTimeout(f"no answer within {timeout_seconds} seconds") from error


def _read_message(*, is_checked: bool, is_kept: bool) -> Any:
    """Find the request's message, in the contract's order (section 2.2): a text of JSON, or the value of its parts.

    Args:
        is_checked: whether a body has to be one of JSON.
        is_kept: whether the class may read it again from ``flask.request``.

    Raises:
        PayloadError: there is none.
        UnsupportedMediaType: the body is compressed.
    """
    request = flask.request
    if is_checked and request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("a body with a Content-Encoding is not read; send it as it is")
    if request.mimetype == "multipart/form-data":
        return _join_parts()
    text: str | None = request.form.get("json") or request.args.get("json")
    if text:
        return text
    if is_checked and not request.is_json:
        raise PayloadError(
            "Can't find JSON in data: the Content-Type is not application/json; send the header"
            " Content-Type: application/json"
        )
    body = request.get_data(cache=is_kept)
    charset = request.mimetype_params.get("charset", "utf-8") if is_checked else "utf-8"
    return body if _JSON_CHARSET.match(charset) is not None else _decode_body(body, charset)


_JSON_CHARSET = re.compile(r"utf[-_]?(8|16|32)", re.IGNORECASE)
"""Those that JSON's own rules tell apart."""
_CHARSETS = re.compile(
    r"(us-)?ascii|latin-?[0-9]+|iso[-_]?8859[-_]?[0-9]+|(windows|cp)-?125[0-9]|koi8-[ru]|shift_jis|euc-(jp|kr)|gbk|gb18030|big5",
    re.IGNORECASE,
)
"""What clients name; some of Python's other encodings take time that grows with the square of a body's length."""


def _decode_body(body: bytes, charset: str) -> str:
    """The text of a body in an encoding that JSON's own rules do not tell from others.

    Raises:
        PayloadError: it is not in that encoding, or the encoding is unknown.
    """
    if _CHARSETS.fullmatch(charset) is None:
        raise PayloadError(f"Can't find JSON in data: unknown charset {charset[:40]}")
    try:
        return body.decode(charset)
    except (LookupError, UnicodeError) as error:
        raise PayloadError(f"Can't find JSON in data: charset {charset}: {error}") from error


def _join_parts() -> dict[str, Any]:
    """The parts of a multipart body as one message (contract section 2.2, point 1).

    Raises:
        PayloadError: a part has no name, or cannot be read.
    """
    form, files = flask.request.form, flask.request.files
    if None in form or None in files:
        raise PayloadError("a part of the body has no name")
    names = [name for parts in (form, files) for name, _ in parts.items(multi=True)]
    if not names and flask.request.content_length:
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
    """A file's content: bytes in base64 for binData, text for strData, for any other part the JSON value."""
    content: bytes = file.read()
    if name == "binData":
        return base64.b64encode(content).decode("ascii")
    if name != "strData":
        return _parse_part(name, content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PayloadError(f"file {name} is not UTF-8: {error}") from error


def _answer_error(error: Exception) -> flask.Response:
    failure = _describe(error)
    response = flask.jsonify(failure.body)
    response.status_code = failure.http
    if isinstance(error, HTTPException):
        # such as Allow, which a 405 must have
        response.headers.update({k: v for k, v in error.get_headers() if k not in ("Content-Type", "Content-Length")})
    return response


def _describe(error: Exception) -> Failure:
    failure = flask.g.pop(_FAILURE, None)
    if failure is not None:  # the class's own exception, which no handler of its own has taken
        return describe(failure)
    if not isinstance(error, HTTPException):
        if not isinstance(error, SeldonSpecError):
            logger.error("unexpected: %s", error, exc_info=error)
        return describe(error)
    return describe_http(error.code or 500, str(error))


def _allow_origins(response: flask.Response) -> flask.Response:
    """Let pages of any origin ask, as the original does (contract section 2.3)."""
    for name, value in cors_headers(flask.request.headers.get("Origin")):
        if name == "Vary":
            response.vary.add(value)
        else:
            response.headers[name] = value
    if flask.request.method == "OPTIONS" and "Access-Control-Request-Method" in flask.request.headers:
        response.headers.update(preflight_headers(flask.request.headers.get("Access-Control-Request-Headers")))
    return response
