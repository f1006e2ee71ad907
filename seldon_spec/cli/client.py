"""A client of a running server: one message over REST or gRPC, and the readiness check."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult

from seldon_spec.client import (
    MAX_FILE_BYTES,
    BadData,
    Credentials,
    NoResponse,
    connect,
    open_channel,
    parse_url,
    read_file,
    request,
)
from seldon_spec.config.model import Spec
from seldon_spec.config.secret_names import mask_urls
from seldon_spec.server.sockets import show_address

PREDICTIONS = "/api/v1.0/predictions"
PROBE_TIMEOUT_SECONDS = 4


def read_data(data: str) -> list[Any] | bytes:
    """Return the value given by DATA: a list of rows, or the JSON text of a complete request.

    Args:
        data: a JSON array of rows, a complete request as a JSON object, ``@FILE``, or ``-`` for stdin.

    Raises:
        BadData: it is none of these.
    """
    text = _read(data)
    try:
        value = json.loads(text)
    except RecursionError:
        raise BadData("DATA is nested too deeply") from None
    except ValueError as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        remedy = 'rows are [[1, 2]], and a text is {"strData": "text"}; quote them for the shell'
        raise BadData(f"DATA is not JSON: {reason}{where}\n     = help: {remedy}") from None
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return text.encode() if isinstance(text, str) else text
    raise BadData('DATA is neither a JSON array, e.g. [[1, 2]], nor a complete message, e.g. {"strData": "text"}')


def make_message(data: list[Any] | bytes) -> bytes:
    """Return a message of Seldon's protocol for the value of ``read_data``."""
    return json.dumps({"data": {"ndarray": data}}).encode() if isinstance(data, list) else data


def _read(data: str) -> str | bytes:
    if data == "-":
        return sys.stdin.buffer.read(MAX_FILE_BYTES)
    return read_file(Path(data[1:])) if data.startswith("@") else data


def send_message(url: str, message: bytes, credentials: Credentials) -> str:
    """Send a message of Seldon's protocol to a server; return the response as JSON text.

    Raises:
        BadData: a file of ``credentials`` cannot be read.
        NoResponse: the server cannot be reached, or the response is an error.
    """
    parts = parse_url(url)
    if parts.scheme.startswith("grpc"):
        return _send_grpc(parts, message, credentials)
    return send_rest(parts, parts.path.rstrip("/") or PREDICTIONS, message, credentials)


def send_rest(parts: SplitResult, path: str, message: bytes | None, credentials: Credentials) -> str:
    """Send a JSON body by POST, or a GET request without one; return the body of the response.

    Raises:
        NoResponse: the server cannot be reached, or the response is an error.
    """
    connection = connect(parts, credentials)
    headers = credentials.headers() | ({} if message is None else {"Content-Type": "application/json"})
    status, body, _ = request(connection, "GET" if message is None else "POST", path, message, headers)
    text = body.decode("utf-8", "replace")
    if status != http.client.OK:
        url = mask_urls(parts._replace(path=path).geturl() if message is None else parts.geturl())
        raise NoResponse(f"{url} returned {status}: {_reason(text)}")
    return text


def _reason(text: str) -> str:
    """Return the reason in the body of an error of either protocol."""
    try:
        error: Any = json.loads(text)
        return str(error["error"]) if "error" in error else f"{error['status']['reason']}: {error['status']['info']}"
    except (ValueError, KeyError, TypeError):
        return text[:500]


def _send_grpc(parts: SplitResult, message: bytes, credentials: Credentials) -> str:
    from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
    from seldon_spec.protocols.seldon_v1.proto.json_form import ERRORS, message_to_tree, tree_to_message

    try:
        message_sent = tree_to_message(json.loads(message), SeldonMessage())
    except ERRORS as error:
        raise BadData(f"DATA is not a message: {error}") from None
    response = SeldonMessage()
    with open_channel(parts, credentials) as call:
        response.ParseFromString(call("/seldon.protos.Model/Predict", message_sent.SerializeToString()))
    return json.dumps(message_to_tree(response, is_bare=True), sort_keys=True, separators=(",", ":"))


def check_ready(spec: Spec) -> str:
    """Ask the spec's server on this machine whether it is ready; return its URL.

    Raises:
        NoResponse: it cannot be reached, or is not ready.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(spec.server.host, spec.server.host)  # noqa: S104 - compared only
    status, _, _ = request(_connect_to_spec(spec, host), "GET", "/ready")
    if status != http.client.OK:
        raise NoResponse(f"{host}:{spec.ports.http} is not ready: /ready returned {status}")
    return f"{'http' if spec.server.tls is None else 'https'}://{show_address(host, spec.ports.http)}"


def _connect_to_spec(spec: Spec, host: str) -> http.client.HTTPConnection:
    tls = spec.server.tls
    if tls is None:
        return http.client.HTTPConnection(host, spec.ports.http, timeout=PROBE_TIMEOUT_SECONDS)
    import ssl

    # The certificate is valid for the public name; this connects to a port of this host.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls.client_ca is not None:  # the server's own certificate may be signed by it
        context.load_cert_chain(spec.folder / tls.certificate, spec.folder / tls.key)
    return http.client.HTTPSConnection(host, spec.ports.http, timeout=PROBE_TIMEOUT_SECONDS, context=context)
