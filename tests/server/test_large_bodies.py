"""Large arrays in binary form: received into memory that the class may change and keep, whatever the pieces."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import grpc
import numpy as np
import pytest

from seldon_spec.inference.arrays import Array
from seldon_spec.protocols.open_inference_v2.proto import message_class
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

SERVED = """
import numpy as np

class Served:
    kept = []

    def predict(self, X, names):
        assert X.flags.writeable and X.flags.aligned
        if X.size == 1:  # what was kept of earlier requests
            return np.array([[array.min(), array.max()] for array in self.kept])
        self.kept.append(X)
        X += 1
        return X
"""
COUNT = 300_000
"""So many doubles are more than a large body, and no multiple of a page."""

MAX_MESSAGE_BYTES = 64 << 20
WAIT_SECONDS = 30
SPLITS = {"at once": 1 << 30, "frames": 16384, "pieces": 50_001}
LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
REQUEST, RESPONSE = message_class("ModelInferRequest"), message_class("ModelInferResponse")


@pytest.fixture
def server(start: Callable[..., Any]) -> Iterator[Any]:
    server = start(SERVED, server={"max_message_bytes": MAX_MESSAGE_BYTES}).wait_until_ready()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log


def write_request(values: Array, padding: int = 0) -> bytes:
    """Return a request with a binary tensor, behind JSON of any length."""
    parameters = {"binary_data_size": values.nbytes}
    tensor = {"name": "x", "datatype": "FP64", "shape": [len(values)], "parameters": parameters}
    tree = {"parameters": {"binary_data_output": True}, "inputs": [tensor]}
    text = json.dumps(tree).encode() + b" " * padding
    head = "POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nInference-Header-Content-Length: %d"
    return (head % (len(text) + values.nbytes, len(text))).encode() + b"\r\n\r\n" + text + values.tobytes()


def read_response(stream: Any) -> tuple[int, Array]:
    """Return the status of a response, and the doubles at the end of its body, if it has any."""
    status = int(stream.readline().split()[1])
    lines = dict(line.lower().split(b": ") for line in iter(stream.readline, b"\r\n"))
    body = stream.read(int(lines[b"content-length"]))
    size = int(lines.get(b"inference-header-content-length", len(body)))
    return status, np.frombuffer(body[size:], np.float64)


def connect(server: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.http_port), WAIT_SECONDS)


def read_kept(server: Any) -> list[list[float]]:
    """Return the least and the greatest value of each array that the class has kept."""
    with connect(server) as client, client.makefile("rb") as stream:
        client.sendall(write_request(np.zeros(1)))
        status, found = read_response(stream)
    assert status == 200
    return found.reshape(-1, 2).tolist()


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_arrays_that_the_class_keeps_and_changes_stay_as_they_are(server: Any, split: int) -> None:
    with connect(server) as client, client.makefile("rb") as stream:
        for number in range(4):
            request = write_request(np.full(COUNT, float(number)), padding=number)
            for at in range(0, len(request), split):
                client.sendall(request[at : at + split])
            status, found = read_response(stream)
            assert status == 200
            np.testing.assert_array_equal(found, np.full(COUNT, number + 1.0))
    assert read_kept(server) == [[number + 1.0] * 2 for number in range(4)]


def test_a_request_behind_a_large_body_is_read(server: Any) -> None:
    with connect(server) as client, client.makefile("rb") as stream:
        for number in range(3):
            client.sendall(write_request(np.full(COUNT, float(number))) + LIVE + write_request(np.zeros(2)))
            assert read_response(stream)[1].max() == number + 1
            assert read_response(stream)[0] == 200
            assert read_response(stream)[1].tolist() == [1, 1]


def test_a_connection_is_lost_within_a_large_body(server: Any) -> None:
    request = write_request(np.full(COUNT, 5.0))
    for size in (2000, 600_000, len(request) - 1):
        with connect(server) as client:
            client.sendall(request[:size])
            client.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""
        with connect(server) as client:
            client.sendall(request[:size])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with connect(server) as client, client.makefile("rb") as stream:
        client.sendall(request)
        assert read_response(stream)[1].min() == 6
    assert read_kept(server) == [[6, 6]]


def test_a_large_body_that_stops_is_refused(start: Callable[..., Any]) -> None:
    server = start(SERVED, server={"body_timeout_seconds": 1}).wait_until_ready()
    request = write_request(np.zeros(COUNT))
    with connect(server) as client, client.makefile("rb") as stream:
        client.sendall(request[:-1])
        assert read_response(stream)[0] == 408
        client.sendall(request[-1:])  # what is late is discarded
        assert stream.read() == b""


def write_raw(values: Array) -> bytes:
    tensor = {"name": "x", "datatype": "FP64", "shape": values.shape}
    made: bytes = REQUEST(model_name="m", inputs=[tensor], raw_input_contents=[values.tobytes()]).SerializeToString()
    return made


def write_tensor(values: Array) -> bytes:
    made: bytes = SeldonMessage(data={"tensor": {"shape": [len(values)], "values": values}}).SerializeToString()
    return made


def read_raw(body: bytes) -> Array:
    return np.frombuffer(RESPONSE.FromString(body).raw_output_contents[0], np.float64)


def read_tensor(body: bytes) -> Array:
    return np.array(SeldonMessage.FromString(body).data.tensor.values)


@pytest.mark.parametrize(
    ("method", "write", "read"),
    [
        ("/inference.GRPCInferenceService/ModelInfer", write_raw, read_raw),
        ("/seldon.protos.Model/Predict", write_tensor, read_tensor),
    ],
    ids=["raw", "tensor"],
)
def test_arrays_over_grpc_are_the_class_s_own(
    server: Any, method: str, write: Callable[[Array], bytes], read: Callable[[bytes], Array]
) -> None:
    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    with ExitStack() as stack:
        calls = [
            stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options)).unary_unary(
                method, None, None
            )
            for _ in range(2)
        ]
        for number in range(4):
            sent = [calls[each].future(write(np.full(COUNT + each, float(number)))) for each in (0, 1, 0)]
            for each, response in zip((0, 1, 0), sent, strict=True):
                found = read(response.result(WAIT_SECONDS))
                np.testing.assert_array_equal(found, np.full(COUNT + each, number + 1.0))
    assert sorted(read_kept(server)) == [[number + 1.0] * 2 for number in range(4) for _ in range(3)]
