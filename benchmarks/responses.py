"""Send single requests over HTTP/1.1 and grpcio, and check their responses."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

import grpc
import numpy as np

from benchmarks.dialects import Dialect
from benchmarks.workloads import Array, Model, Transport, Workload

TIMEOUT_SECONDS = 120.0


class NotServed(Exception):
    """No response, or an error: retry while the server starts."""


class WrongResponse(Exception):
    """A successful response with a wrong result."""


def ask(port: int, dialect: Dialect, workload: Workload, request: bytes, seconds: float = TIMEOUT_SECONDS) -> bytes:
    """Return the body or message of the response to one request.

    Raises:
        NotServed: no server listens, the HTTP status is not 200, or the gRPC status is not OK.
    """
    path = dialect.path_of(workload)
    if dialect.transport is Transport.REST:
        return _post(port, path, request, dialect.headers_of(workload), seconds)
    return _call(port, path, request, seconds)


def _post(port: int, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("POST", path, body, dict(headers))
        response = connection.getresponse()
        payload = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotServed(f"POST {path}: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise NotServed(f"POST {path}: HTTP {response.status} {payload[:300]!r}")
    return payload


def _call(port: int, path: str, message: bytes, seconds: float) -> bytes:
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", unlimited) as channel:
        try:
            payload: bytes = channel.unary_unary(path, None, None)(message, timeout=seconds)
        except grpc.RpcError as error:
            raise NotServed(f"{path}: {error.code().name} {(error.details() or '')[:300]}") from error
    return payload


def check_response(payload: bytes, dialect: Dialect, model: Model, wanted: Array) -> None:
    """Compare a response with the local result of the model.

    Raises:
        WrongResponse: it cannot be read, has another shape, or a number differs.
    """
    try:
        got = dialect.decode(payload)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise WrongResponse(f"it cannot be read ({error!r}): {payload[:300]!r}") from error
    if got.shape != wanted.shape:
        raise WrongResponse(f"its shape is {got.shape}, not {wanted.shape}")
    if not np.allclose(got, wanted, rtol=max(model.relative_tolerance, dialect.relative_tolerance), atol=0.0):
        raise WrongResponse(f"{np.count_nonzero(got != wanted)} of its {wanted.size} numbers differ")
