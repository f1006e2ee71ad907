"""The time that ``seldon_spec.Client`` adds to a call, in the CPU time of its process; ``python -m benchmarks.client``.

Each row is a kind of call of a server on this machine, whose class returns X. ``bare`` is the same exchange without the
client: the bytes of the request sent over a kept connection, and for arrays the codec's work on both messages.
"""

from __future__ import annotations

import http.client
import inspect
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import grpc
import numpy as np

from seldon_spec import Client
from seldon_spec.calls.protocol_choice import Protocol
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.message import Message, Operation, PayloadType
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

PROTOCOLS: tuple[Protocol, ...] = ("seldon", "v2")
HTTP, GRPC, METRICS = 19411, 19412, 19413
SMALL, LARGE = np.array([[5.1, 3.5, 1.4, 0.2]]), np.random.default_rng(0).random((100, 100))
ROUNDS, CALLS = 7, 300


class Echo:
    """The served class."""

    def predict(self, X: Array, names: object) -> Array:  # noqa: ARG002, N803
        """Return X."""
        return X


def measure(call: Callable[[], object]) -> float:
    """Return the CPU time of one call in milliseconds, the best of several rounds."""
    call()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        times.append((time.process_time() - start) / CALLS * 1000)
    return min(times)


def transfer(codec: JsonCodec | ProtoCodec, array: Array, send: Callable[[bytes], bytes]) -> None:
    """Send an array and read the response, without the client."""
    body = codec.write_request(Message(PayloadType.ARRAY, array, meta={}))
    codec.decode(Operation.PREDICT, send(body)).message  # noqa: B018 - parsed when it is read


def make_bare(is_grpc: bool, array: Array) -> Callable[[], object]:  # noqa: FBT001
    """Return the exchange of an array without the client."""
    if is_grpc:
        method = grpc.insecure_channel(f"127.0.0.1:{GRPC}").unary_unary("/seldon.protos.Seldon/Predict", None, None)
        return partial(transfer, ProtoCodec(), array, method)
    connection = http.client.HTTPConnection("127.0.0.1", HTTP)

    def post(body: bytes) -> bytes:
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        return connection.getresponse().read()

    return partial(transfer, JsonCodec(), array, post)


def compare() -> None:
    """Print a row for each kind of call."""
    print(f"{'call':28}{'client':>10}{'bare':>10}{'ratio':>8}  ms of CPU")
    for name, array in (("1x4", SMALL), ("100x100", LARGE)):
        for kind, url in (("REST", f"http://127.0.0.1:{HTTP}"), ("gRPC", f"grpc://127.0.0.1:{GRPC}")):
            bare = measure(make_bare(kind == "gRPC", array))
            for protocol in PROTOCOLS:
                with Client(url, protocol=protocol) as client:
                    ours = measure(partial(client.predict, array))
                print(f"{f'{kind} {protocol} {name}':28}{ours:10.3f}{bare:10.3f}{ours / bare:8.2f}")
        with Client(Echo) as client:
            print(f"{f'in process {name}':28}{measure(partial(client.predict, array)):10.3f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Echo.py").write_text(f"from __future__ import annotations\n{inspect.getsource(Echo)}")
        Path(folder, "seldon.yaml").write_text("class_name: Echo\n")
        ports = {"HTTP": HTTP, "GRPC": GRPC, "METRICS": METRICS}
        variables = {f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(port) for name, port in ports.items()}
        server = subprocess.Popen(
            [sys.executable, "-m", "seldon_spec", "serve", folder],
            env={**os.environ, **variables},
            stderr=subprocess.DEVNULL,
        )
        try:
            with Client(f"http://127.0.0.1:{HTTP}") as waiting:
                waiting.wait_ready()
            compare()
        finally:
            server.terminate()
            server.wait()
