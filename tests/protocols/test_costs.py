"""What a request may cost beside its time: modules that it does not need, and memory."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from seldon_spec.inference.arrays import default_names
from seldon_spec.inference.component.response import build_response_message
from seldon_spec.inference.message import Message, Operation, PayloadType, Tensor, TensorMessage
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.seldon_v1 import proto_message
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding
from seldon_spec.protocols.seldon_v1.fast import json_writer as json_write

_IMPORTS = """
import sys
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.inference.message import Operation
from seldon_spec.config.model import UnitSpec
class Model:
    def predict(self, X, names):
        return X
codec = JsonCodec()
request = codec.decode(Operation.PREDICT, b'{"data":{"ndarray":[[1.5]]}}')
codec.encode(Adapter(Model(), UnitSpec()).call(request, list), request)
print({name.split(".")[0] for name in sys.modules} & {"simdjson", "csimdjson", "google", "grpc", "flask"})
"""

_MEMORY = """
import re, sys
from pathlib import Path
import simdjson
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.config.model import UnitSpec

def measure(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

class Model:
    def predict(self, X, names):
        return X

codec = JsonCodec() if sys.argv[1] == "json" else ProtoCodec()
component = Adapter(Model(), UnitSpec())
idle = measure("VmRSS")
request = codec.decode(Operation.PREDICT, Path(sys.argv[2]).read_bytes())
body = codec.encode(component.call(request, list), request).content
print(measure("VmHWM") - idle, len(body))
"""


def _run(code: str, *args: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *args], check=True, capture_output=True, text=True, timeout=120
    ).stdout


def test_numbers_over_rest_need_neither_protobuf_nor_another_parser() -> None:
    assert _run(_IMPORTS).strip() == "set()"


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not report the peak memory of a process"
)
@pytest.mark.parametrize("encoding", [ArrayEncoding.NDARRAY, ArrayEncoding.TENSOR], ids=["ndarray", "tensor"])
@pytest.mark.parametrize("wire", ["json", "protobuf"])
def test_a_large_request_costs_less_than_three_times_its_size(
    wire: str, encoding: ArrayEncoding, tmp_path: Path
) -> None:
    array = np.random.default_rng(0).standard_normal((1000, 1000))
    message = Message(PayloadType.ARRAY, array, [], {}, encoding)
    body = json_write.write_message(message, JsonStyle()) if wire == "json" else proto_message.encode_message(message)
    (tmp_path / "body").write_bytes(body)
    peak, size = map(int, _run(_MEMORY, wire, str(tmp_path / "body")).split())
    assert size >= len(body)
    assert peak < 3 * len(body)  # about two; the rest is how the allocator happens to grow


def test_a_wide_response_to_tensors_has_no_names() -> None:
    wide = np.zeros((1, 1 << 18))
    request = TensorMessage(PayloadType.TENSORS, [Tensor("x", wide)])
    tracemalloc.start()
    try:
        message = build_response_message(wide, Operation.PREDICT, request, {})
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()
    assert message.payload is wide


def test_empty_responses_of_many_widths_leave_nothing_behind() -> None:
    """Their names are long, however short the request is that leads to them."""
    tracemalloc.start()
    try:
        for width in range(1 << 16, (1 << 16) + 8):
            names = default_names(width)
            empty = np.zeros((0, width))
            message = Message(PayloadType.ARRAY, empty, names, {}, ArrayEncoding.TENSOR, has_default_names=True)
            json_write.write_message(message, JsonStyle())
        del names, message
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
