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
