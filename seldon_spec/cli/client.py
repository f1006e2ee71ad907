"""One message to a running server, over REST or gRPC, and the question whether it is ready."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from seldon_spec.errors import SeldonSpecError
from seldon_spec.spec.model import Spec

PREDICTIONS = "/api/v1.0/predictions"
ANSWER_SECONDS = 300
PROBE_SECONDS = 4
MAX_DATA_BYTES = 1024 * 1024 * 1024


class BadData(SeldonSpecError):
    """The DATA of the command line is not a message."""


class NoAnswer(SeldonSpecError):
    """The server could not be asked, or refused the request."""


def read_message(data: str) -> bytes:
    """The message that DATA means, as JSON.

    Args:
        data: a JSON array of rows, a whole message as a JSON object, ``@`` with the name of a file, or ``-`` for stdin.

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
        raise BadData(f"DATA is not JSON: {reason}{where}") from None
    if isinstance(value, list):
        return json.dumps({"data": {"ndarray": value}}).encode()
    if isinstance(value, dict):
        return text.encode() if isinstance(text, str) else text
    raise BadData('DATA is neither a JSON array, e.g. [[1, 2]], nor a whole message, e.g. {"strData": "text"}')


def _read(data: str) -> str | bytes:
    if data == "-":
        return sys.stdin.buffer.read(MAX_DATA_BYTES)
    if data.startswith("@"):
        try:
            with Path(data[1:]).open("rb") as stream:
                return stream.read(MAX_DATA_BYTES)
        except (OSError, ValueError) as error:
            raise BadData(f"{data[1:]} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return data


def ask_server(url: str, message: bytes) -> str:
    """Send a message to ``http://…`` or ``grpc://…``; the answer as JSON text.

    Raises:
        NoAnswer: there is no server, or its answer is an error.
    """
    parts = urlsplit(url)
    try:
        is_usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable or parts.scheme not in ("http", "https", "grpc"):
        raise NoAnswer(f"{url} is not a server's URL; allowed: http://HOST:PORT, https://HOST:PORT, grpc://HOST:PORT")
    return _ask_grpc(parts, message) if parts.scheme == "grpc" else _ask_rest(parts, message)


def _ask_rest(parts: SplitResult, message: bytes) -> str:
    # No proxy of the environment stands between: a model is asked where it is said to be.
    secure = parts.scheme == "https"
    connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connect(str(parts.hostname), parts.port, timeout=ANSWER_SECONDS)
    path = parts.path.rstrip("/") or PREDICTIONS
    status, body = _exchange(connection, "POST", path, message)
    text = body.decode("utf-8", "replace")
    if status != http.client.OK:
        raise NoAnswer(f"{parts.geturl()} answered {status}: {_reason(text)}")
    return text


def _exchange(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NoAnswer(f"no answer from {connection.host}:{connection.port}: {reason}") from None
    finally:
        connection.close()


def _reason(text: str) -> str:
    try:
        status: Any = json.loads(text)["status"]
        return f"{status['reason']}: {status['info']}"
    except (ValueError, KeyError, TypeError):
        return text[:500]


def _ask_grpc(parts: SplitResult, message: bytes) -> str:
    import grpc
    from google.protobuf import json_format

    from seldon_spec.proto import SeldonMessage

    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    try:
        request = json_format.Parse(message, SeldonMessage())
    except json_format.ParseError as error:
        raise BadData(f"DATA is not a message: {error}") from None
    unlimited = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_http_proxy", 0),
    ]
    with grpc.insecure_channel(f"{host}:{parts.port or 5000}", options=unlimited) as channel:
        call = channel.unary_unary(
            "/seldon.protos.Model/Predict",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=SeldonMessage.FromString,
        )
        try:
            answer = call(request, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise NoAnswer(f"{parts.geturl()} answered {error.code().name}: {error.details()}") from None
    return json.dumps(json_format.MessageToDict(answer), sort_keys=True, separators=(",", ":"))


def check_ready(spec: Spec) -> None:
    """Ask the spec's server on this machine whether it is ready.

    Raises:
        NoAnswer: it is not there, or not ready.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(spec.server.host, spec.server.host)  # noqa: S104 - compared only
    status, _ = _exchange(
        http.client.HTTPConnection(host, spec.ports.http, timeout=PROBE_SECONDS), "GET", "/ready", None
    )
    if status != http.client.OK:
        raise NoAnswer(f"{host}:{spec.ports.http} is not ready: /ready answered {status}")
