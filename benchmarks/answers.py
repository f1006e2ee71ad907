"""Real answers to real requests, over HTTP/1.1 and through grpcio, and whether they are right."""

from __future__ import annotations

import http.client

import grpc
import numpy as np

from benchmarks.dialects import Dialect
from benchmarks.workloads import Array, Model, Transport, Workload

TIMEOUT_SECONDS = 120.0


class NotServed(Exception):
    """No answer, or one that is an error: while a server starts, a reason to ask again."""


class WrongAnswer(Exception):
    """An answer that is called good, and is not."""


def ask(port: int, dialect: Dialect, workload: Workload, request: bytes, seconds: float = TIMEOUT_SECONDS) -> bytes:
    """The body or message of the answer to one request.

    Raises:
        NotServed: nobody listens, the HTTP status is not 200, or the gRPC status is not OK.
    """
    send = _post if dialect.transport is Transport.REST else _call
    return send(port, dialect.path_of(workload), request, seconds)


def _post(port: int, path: str, body: bytes, seconds: float) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotServed(f"POST {path}: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise NotServed(f"POST {path}: HTTP {response.status} {answer[:300]!r}")
    return answer


def _call(port: int, path: str, message: bytes, seconds: float) -> bytes:
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", unlimited) as channel:
        try:
            answer: bytes = channel.unary_unary(path, None, None)(message, timeout=seconds)
        except grpc.RpcError as error:
            raise NotServed(f"{path}: {error.code().name} {(error.details() or '')[:300]}") from error
    return answer


def check_answer(answer: bytes, dialect: Dialect, model: Model, wanted: Array) -> None:
    """Compare an answer with what the model computes here.

    Raises:
        WrongAnswer: it cannot be read, has another shape, or a number in it is another.
    """
    try:
        got = dialect.decode(answer)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise WrongAnswer(f"it cannot be read ({error!r}): {answer[:300]!r}") from error
    if got.shape != wanted.shape:
        raise WrongAnswer(f"its shape is {got.shape}, not {wanted.shape}")
    if not np.allclose(got, wanted, rtol=model.relative_tolerance, atol=0.0):
        raise WrongAnswer(f"{np.count_nonzero(got != wanted)} of its {wanted.size} numbers are other ones")
