"""TensorFlow's tensors: every type there and back, how missing values are filled, and what is too much."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seldon_spec.errors import PayloadError, UnwritableResult
from seldon_spec.protocols.seldon_v1.proto import TensorProto
from seldon_spec.protocols.seldon_v1.tftensor import decode_tftensor, encode_tftensor

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8", "c16", "?"]


def parse(text: str) -> Any:
    return json_format.Parse(text, TensorProto())


def tensor(dtype: str, shape: list[int], **members: Any) -> Any:
    tree = {"dtype": f"DT_{dtype}", "tensorShape": {"dim": [{"size": size} for size in shape]}, **members}
    return parse(json.dumps(tree))


@given(st.data(), st.sampled_from(DTYPES), st.sampled_from("<>"))
def test_every_array_comes_back_exactly(data: Any, name: str, order: str) -> None:
    dtype = np.dtype(f"{order}{name}")
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)))
    wire = encode_tftensor(array).SerializeToString()
    back = decode_tftensor(TensorProto.FromString(wire))
    assert (back.dtype, back.shape) == (np.dtype(name), array.shape)
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


@given(st.binary(max_size=100))
def test_any_bytes_are_a_tensor_or_refused(wire: bytes) -> None:
    try:
        message = TensorProto.FromString(wire)
    except Exception:
        return
    try:
        array = decode_tftensor(message)
    except PayloadError:
        return
    assert isinstance(array, np.ndarray)


# As TensorFlow reads them: contract section 4.4.
LISTS: dict[str, tuple[Any, list[Any], str]] = {
    "float": (tensor("FLOAT", [2], floatVal=[0.5, 2]), [0.5, 2.0], "float32"),
    "double": (tensor("DOUBLE", [2, 1], doubleVal=[1, 2.5]), [[1.0], [2.5]], "float64"),
    "int8": (tensor("INT8", [2], intVal=[-1, 2]), [-1, 2], "int8"),
    "uint8": (tensor("UINT8", [2], intVal=[200, 2]), [200, 2], "uint8"),
    "uint16": (tensor("UINT16", [1], intVal=[65535]), [65535], "uint16"),
    "int64": (tensor("INT64", [1], int64Val=["9007199254740993"]), [9007199254740993], "int64"),
    "uint64": (tensor("UINT64", [1], uint64Val=["18446744073709551615"]), [2**64 - 1], "uint64"),
    "bool": (tensor("BOOL", [2], boolVal=[True, False]), [True, False], "bool"),
    "half": (tensor("HALF", [1], halfVal=[0x3C00]), [1.0], "float16"),
    "bfloat16": (tensor("BFLOAT16", [2], halfVal=[0x3F80, 0xC000]), [1.0, -2.0], "float32"),
    "complex": (tensor("COMPLEX64", [1], scomplexVal=[1, 2]), [1 + 2j], "complex64"),
    "strings": (tensor("STRING", [2], stringVal=["YQ==", "YmM="]), [b"a", b"bc"], "object"),
    "content": (tensor("INT64", [2], tensorContent="BQAAAAAAAAD6/////////w=="), [5, -6], "int64"),
    "content-first": (tensor("INT32", [1], tensorContent="BwAAAA==", intVal=[9]), [7], "int32"),
    "number-as-type": (parse('{"dtype":1,"tensor_shape":{"dim":[{"size":1}]},"float_val":[3]}'), [3.0], "float32"),
    "reference": (TensorProto.FromString(b"\x08\x65\x2a\x04\x00\x00\x40\x40"), 3.0, "float32"),  # type: ignore[dict-item]
    "scalar": (tensor("FLOAT", [], floatVal=[3]), 3.0, "float32"),  # type: ignore[dict-item]
    "padded": (tensor("INT32", [2, 2], intVal=[1, 7]), [[1, 7], [7, 7]], "int32"),
    "zeros": (tensor("DOUBLE", [2]), [0.0, 0.0], "float64"),
    "padded-strings": (tensor("STRING", [2], stringVal=["YQ=="]), [b"a", b"a"], "object"),
    "empty": (tensor("FLOAT", [0, 3]), [], "float32"),
}


@pytest.mark.parametrize(("message", "values", "dtype"), LISTS.values(), ids=LISTS.keys())
def test_lists_and_content(message: Any, values: Any, dtype: str) -> None:
    array = decode_tftensor(message)
    assert (array.tolist(), array.dtype.name) == (values, dtype)
    array[...] = array  # it can be written


REFUSED = {
    "too-many": tensor("INT32", [1], intVal=[1, 2]),
    "half-a-value": tensor("INT32", [1], tensorContent="AAA="),
    "content-too-short": tensor("INT32", [3], tensorContent="AQAAAAIAAAA="),
    "content-of-one-for-many": tensor("INT32", [2, 2], tensorContent="BwAAAA=="),
    "content-too-long": tensor("INT32", [1], tensorContent="AAAAAAAAAAA="),
    "half-a-complex": tensor("COMPLEX64", [1], scomplexVal=[1]),
    "negative-size": tensor("INT32", [-1], intVal=[1]),
    "unknown-rank": parse('{"dtype":"DT_INT32","tensorShape":{"unknownRank":true}}'),
    "no-type": parse("{}"),
    "quantised": tensor("QINT8", [1], intVal=[1]),
    "variant": tensor("VARIANT", [1]),
    "strings-in-content": tensor("STRING", [1], tensorContent="AAAA"),
    "dimensions": tensor("FLOAT", [1] * 33, floatVal=[1]),
    "long-empty": tensor("FLOAT", [0, 2**40]),
}


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED.keys())
def test_refused(message: Any) -> None:
    with pytest.raises(PayloadError, match=r"data\.tftensor"):
        decode_tftensor(message)


@pytest.mark.parametrize("shape", [[2**40], [1000, 1000], [2**31, 2**31, 2**31]], ids=str)
@pytest.mark.parametrize("dtype", ["DOUBLE", "STRING", "BFLOAT16"])
def test_padding_allocates_nothing_that_the_message_does_not_explain(shape: list[int], dtype: str) -> None:
    message = tensor(dtype, shape)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match="send them all"):
            decode_tftensor(message)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_single_value_stands_in_its_list_and_several_in_the_content() -> None:
    assert encode_tftensor(np.array([1.5])) == tensor("DOUBLE", [1], doubleVal=[1.5])
    assert encode_tftensor(np.array([5, -6])) == tensor("INT64", [2], tensorContent="BQAAAAAAAAD6/////////w==")
    assert encode_tftensor(np.zeros((0, 2), np.float32)) == tensor("FLOAT", [0, 2])
    assert encode_tftensor(np.array([1 + 2j])) == tensor("COMPLEX128", [1], dcomplexVal=[1, 2])


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.zeros(1, "longdouble")], ids=str)
def test_types_that_tensorflow_does_not_have(array: Any) -> None:
    with pytest.raises(UnwritableResult, match="no form in a tftensor"):
        encode_tftensor(array)
