"""The dialects of the servers: the path of a request, its encoding, and the decoding of a response."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from benchmarks import json_bodies, proto_bodies
from benchmarks.workloads import Array, Form, Transport, Workload

JSON: Mapping[str, str] = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to ask for a prediction.

    Args:
        path: of the URL; a ``{workload}`` in it becomes the workload's name.
        encode: form and array to the body or message of a request.
        decode: the body or message of a response to its array; ValueError, KeyError, TypeError or IndexError if it
            has none.
        headers: an array to the headers of a REST request that describe its body.
        relative_tolerance: the allowed relative difference of numbers, beside that of the model.
    """

    transport: Transport
    path: str
    encode: Callable[[Form, Array], bytes]
    decode: Callable[[bytes], Array]
    headers: Callable[[Array], Mapping[str, str]] = lambda _array: JSON
    relative_tolerance: float = 0.0

    def path_of(self, workload: Workload) -> str:
        """Where requests of the workload go."""
        return self.path.format(workload=workload.name)

    def request(self, workload: Workload) -> bytes:
        """The body or message of the workload's request."""
        return self.encode(workload.form, workload.make_array())

    def headers_of(self, workload: Workload) -> Mapping[str, str]:
        """The headers that describe the body of the workload's request."""
        return self.headers(workload.make_array())


def frame(message: bytes) -> bytes:
    """Return a message as in the body of an HTTP/2 request: not compressed, after its length."""
    return struct.pack(">BI", 0, len(message)) + message


def _describe_binary(array: Array) -> Mapping[str, str]:
    length = len(json_bodies.write_v2_header(array))
    return {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(length)}


SELDON_REST = Dialect(Transport.REST, "/api/v1.0/predictions", json_bodies.encode_seldon, json_bodies.decode_seldon)
SELDON_GRPC = Dialect(
    Transport.GRPC, "/seldon.protos.Model/Predict", proto_bodies.encode_seldon, proto_bodies.decode_seldon
)
V2_REST = Dialect(
    Transport.REST, f"/v2/models/{proto_bodies.V2_MODEL}/infer", json_bodies.encode_v2, json_bodies.decode_v2
)
V2_GRPC = Dialect(
    Transport.GRPC, "/inference.GRPCInferenceService/ModelInfer", proto_bodies.encode_v2, proto_bodies.decode_v2
)
V2_BINARY = replace(
    V2_REST, encode=json_bodies.encode_v2_binary, decode=json_bodies.decode_v2_binary, headers=_describe_binary
)
V2_RAW = replace(V2_GRPC, encode=proto_bodies.encode_v2_raw)
V2: Mapping[Form, Dialect] = {
    Form.JSON: V2_REST,
    Form.BINARY: V2_BINARY,
    Form.TYPED: V2_GRPC,
    Form.RAW: V2_RAW,
}
"""The Open Inference Protocol, complete."""
V2_WITHOUT_BINARY: Mapping[Form, Dialect] = {Form.JSON: V2_REST, Form.TYPED: V2_GRPC, Form.RAW: V2_RAW}
V2_ROUNDED: Mapping[Form, Dialect] = {**V2, Form.JSON: replace(V2_REST, relative_tolerance=1e-15)}
"""For a server that writes 17 digits of a number as JSON, the last of which may be wrong."""
LITSERVE = Dialect(Transport.REST, "/predict", json_bodies.encode_litserve, json_bodies.decode_litserve)
BENTOML = Dialect(Transport.REST, "/predict", json_bodies.encode_bentoml, json_bodies.decode_bentoml)
FIXED_REST = replace(SELDON_REST, path="/{workload}")
FIXED_GRPC = replace(SELDON_GRPC, path="/fixed/{workload}")
