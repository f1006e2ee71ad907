"""Arrays as JSON: in the Seldon protocol, in V2, and as LitServe's and BentoML's services here take them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.workloads import Array, Form


def encode_seldon(form: Form, array: Array) -> bytes:
    """A SeldonMessage."""
    if form is Form.NDARRAY:
        return _dump({"data": {"ndarray": array.tolist()}})
    return _dump({"data": {"tensor": {"shape": list(array.shape), "values": array.ravel().tolist()}}})


def decode_seldon(body: bytes) -> Array:
    """Return the array of a SeldonMessage of any payload type."""
    data = json.loads(body)["data"]
    if "ndarray" in data:
        return np.array(data["ndarray"], dtype=np.float64)
    return _reshape(data["tensor"]["values"], data["tensor"]["shape"])


def encode_v2(_form: Form, array: Array) -> bytes:
    """An inference request with one input."""
    tensor = {"name": "x", "shape": list(array.shape), "datatype": "FP64", "data": array.ravel().tolist()}
    return _dump({"inputs": [tensor]})


def decode_v2(body: bytes) -> Array:
    """The array of an inference response with one output."""
    (tensor,) = json.loads(body)["outputs"]
    return _reshape(tensor["data"], tensor["shape"])


def encode_v2_binary(_form: Form, array: Array) -> bytes:
    """An inference request of the binary extension, which asks for a binary response."""
    return write_v2_header(array) + array.astype("<f8").tobytes()


def write_v2_header(array: Array) -> bytes:
    """The JSON in front of the bytes of the array."""
    parameters = {"binary_data_size": array.nbytes}
    tensor = {"name": "x", "shape": list(array.shape), "datatype": "FP64", "parameters": parameters}
    return _dump({"inputs": [tensor], "parameters": {"binary_data_output": True}})


def decode_v2_binary(body: bytes) -> Array:
    """The array of an inference response with one binary output, whose bytes are the last of the body."""
    tree, _ = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    (tensor,) = tree["outputs"]
    size = tensor["parameters"]["binary_data_size"]
    array: Array = np.frombuffer(body[-size:], dtype="<f8").reshape(tensor["shape"])
    return array


def encode_litserve(_form: Form, array: Array) -> bytes:
    """What peers/litserve_app.py takes."""
    return _dump({"input": array.tolist()})


def decode_litserve(body: bytes) -> Array:
    """What peers/litserve_app.py gives."""
    return np.array(json.loads(body)["output"], dtype=np.float64)


def encode_bentoml(_form: Form, array: Array) -> bytes:
    """What peers/bentoml_app.py takes: its arguments by name."""
    return _dump({"x": array.tolist()})


def decode_bentoml(body: bytes) -> Array:
    """What peers/bentoml_app.py gives: the array alone."""
    return np.array(json.loads(body), dtype=np.float64)


def _dump(tree: Any) -> bytes:
    return json.dumps(tree, separators=(",", ":")).encode()


def _reshape(values: list[float], shape: list[int]) -> Array:
    return np.array(values, dtype=np.float64).reshape(shape)
