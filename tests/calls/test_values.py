"""What a call takes and returns: the same over every transport, and of the same kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.extra.numpy as st_numpy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec import AsyncClient, Client, Result
from seldon_spec.calls.seldon_format import encode_feedback
from seldon_spec.calls.values import make_message
from seldon_spec.inference.message import FeedbackMessage, Operation
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

Connect = Callable[..., Client]

TARGETS = ["rest", "grpc", "https", "grpcs", "process"]
PROTOCOLS = ["seldon", "v2"]

VALUES: dict[str, Any] = {
    "floats": np.array([[1.5, 2.0], [3.0, 4.0]]),
    "one row": np.array([1.0, 2.0, 3.0]),
    "no rows": np.empty((0, 4)),
    "not finite": np.array([[np.nan, np.inf, -np.inf]]),
    "booleans": np.array([[True, False]]),
    "text array": np.array([["a", "é"]], object),
    "large": np.arange(30000.0).reshape(100, 300),
    "rows": [[1.0, 2.5], [3.0, 4.0]],
    "rows of text": [["a", "b"], ["c", "d"]],
    "text": "hello",
    "bytes": b"\xff\x00abc",
    "ascii bytes": b"abc",
    "json": {"a": [1.5, 2.5], "b": {"c": None}},
}


def is_same(first: Any, second: Any) -> bool:
    """Return whether two values are equal and of the same kind; text arrays may be of objects."""
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "OU":
            return second.dtype.kind in "OU" and first.tolist() == second.tolist()
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
    return type(first) is type(second) and bool(first == second)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_the_value_is_of_the_kind_of_the_argument(value: Any, target: str, protocol: str, connect: Connect) -> None:
    found = connect(target, protocol).predict(value)
    assert is_same(value, found), found


@pytest.mark.parametrize("protocol", ["auto", "v2"])
@pytest.mark.parametrize("target", TARGETS)
def test_named_arrays_are_named_arrays(target: str, protocol: str, connect: Connect) -> None:
    sent = {"a": np.array([[1, 2]], np.int32), "b": np.array([[1.5], [2.5]], np.float32)}
    client = connect(target, protocol)
    for found in (client.infer(sent), client.predict(sent)):
        assert list(found) == ["a", "b"]
        assert all(is_same(sent[name], found[name]) for name in sent)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("target", TARGETS)
def test_arrays_of_a_result_can_be_changed(target: str, protocol: str, connect: Connect) -> None:
    found = connect(target, protocol).predict(np.ones((100, 100)))
    found += 1
    assert found.sum() == 20000


@pytest.mark.parametrize("target", TARGETS)
def test_the_result_has_names_tags_metrics_and_the_id(target: str, connect: Connect) -> None:
    client = connect(target, "seldon")
    found = client.call("predict", np.ones((1, 2)), names=["x", "y"], request_id="my-request")
    assert isinstance(found, Result)
    assert found.names == ["t:0", "t:1"]
    assert found.tags == {"version": "7"}
    assert [metric["key"] for metric in found.metrics] == ["calls"]
    assert found.request_id == "my-request"
    assert np.array_equal(np.asarray(found), [[1, 1]])
    assert client.call("predict", "text").request_id not in (None, "my-request")
    tagged = client.call("predict", "text", tags={"mine": "yes"})
    assert tagged.tags == {"mine": "yes", "version": "7"}


@pytest.mark.parametrize("target", TARGETS)
def test_the_result_of_an_inference(target: str, connect: Connect) -> None:
    sent = {"a": np.array([[1.0]]), "b": np.array([[2.0], [3.0]])}
    found = connect(target).call("infer", sent, request_id="my-request", tags={"mine": 3})
    assert (found.tags, found.request_id) == ({"version": "7"}, "my-request")
    assert found.names == list(found.outputs) == ["a", "b"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_operation(target: str, connect: Connect) -> None:
    client, array = connect(target), np.array([[1.0, 2.0]])
    assert client.transform_input(array).tolist() == [[2, 3]]
    assert client.transform_output(array).tolist() == [[0, 1]]
    assert client.route(array) == 2
    assert client.aggregate([array, array]).tolist() == [[2, 4]]
    assert client.aggregate([[[1.0]], [[2.0]]]) == [[3.0]]
    assert client.ready()
    client.wait_ready(timeout=30)
    assert client.metadata()["versions"] == [""]


@pytest.mark.parametrize("target", TARGETS)
def test_feedback(target: str, connect: Connect) -> None:
    client = connect(target)
    reward = TARGETS.index(target) / 4
    client.feedback(np.array([[1.0]]), reward, truth=[1.0, 2.0])
    assert client.predict("feedback").endswith(f"([[1.0]], {reward}, [1.0, 2.0], None)]")
    client.feedback([[1.0]], 1)
    assert client.predict("feedback").endswith("([[1.0]], 1.0, [], None)]")


@pytest.mark.parametrize("is_grpc", [False, True], ids=["json", "protobuf"])
def test_feedback_has_the_branches_of_the_response(is_grpc: bool) -> None:
    codec: JsonCodec | ProtoCodec = ProtoCodec() if is_grpc else JsonCodec()
    meta = {"routing": {"router": 1}, "puid": "id", "tags": {"a": 1}}
    request, truth = make_message(np.array([[1.0]]), ["x"]), make_message([2.0])
    found = codec.decode(Operation.FEEDBACK, encode_feedback(codec, request, 0.5, truth, meta)).message
    assert isinstance(found, FeedbackMessage)
    assert (found.payload.tolist(), found.names, found.reward) == ([[1.0]], ["x"], 0.5)
    assert (found.truth.tolist(), found.routing) == ([2.0], {"router": 1})


@pytest.mark.parametrize("target", ["rest", "grpc", "process"])
def test_the_metadata_of_the_open_inference_protocol(target: str, connect: Connect) -> None:
    found = connect(target, "v2").metadata()
    assert (found["name"], found["inputs"], found["outputs"]) == ("model", [], [])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("target", ["rest", "grpc", "process"])
def test_tables_of_pandas(target: str, protocol: str, connect: Connect) -> None:
    pandas = pytest.importorskip("pandas")
    client = connect(target, protocol)
    numbers = pandas.DataFrame({"x": [1.5, 2.0], "y": [3.0, 4.0]}, index=["r", "s"])
    found = client.predict(numbers)
    assert isinstance(found, pandas.DataFrame)
    assert found.to_numpy().tolist() == numbers.to_numpy().tolist()
    assert list(found.index) == ["r", "s"]
    mixed = client.predict(pandas.DataFrame({"x": [1.5, 2.0], "y": ["a", "b"]}))
    assert mixed.to_numpy().astype(str).tolist() == [["1.5", "a"], ["2.0", "b"]]
    assert client.predict(numbers[:0]).shape == (0, 2)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_are_sent_and_named(library: str, protocol: Any) -> None:
    tables = pytest.importorskip(library)

    class Doubled:
        def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
            return tables.DataFrame({f"twice {name}": X[:, index] * 2 for index, name in enumerate(names)})

    with Client(Doubled, protocol=protocol) as client:
        found = client.predict(tables.DataFrame({"x": [1, 2], "y": [1.5, 2.5]}))
    assert list(found.columns) == ["twice x", "twice y"]
    assert found.to_numpy().tolist() == [[2, 3], [4, 5]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("target", ["rest", "grpc", "process"])
def test_tables_of_polars(target: str, protocol: str, connect: Connect) -> None:
    polars = pytest.importorskip("polars")
    found = connect(target, protocol).predict(polars.DataFrame({"x": [1.5, 2.0], "y": [3.0, 4.0]}))
    assert isinstance(found, polars.DataFrame)
    assert found.rows() == [(1.5, 3.0), (2.0, 4.0)]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (object(), "not 'object'"),
        ([[1, 2], [3]], "differ in length"),
        (np.array([1j]), "complex|form"),
    ],
    ids=["object", "ragged", "complex"],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_value_without_a_form(value: Any, error: str, protocol: str, connect: Connect) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        connect("process", protocol).predict(value)


@pytest.fixture(scope="module")
def identity() -> Iterator[Client]:
    class Identity:
        def predict(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
            return X

    with Client(Identity, protocol="v2") as client:
        yield client


@given(
    st_numpy.arrays(
        st.sampled_from(["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">i4", ">f8"]),
        st_numpy.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    )
)
def test_arrays_of_every_type_and_shape(identity: Client, array: Any) -> None:
    found = identity.predict(array)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.shape == array.shape
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


@given(st_numpy.arrays("f8", st_numpy.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)))
def test_floats_of_seldon_s_protocol(connect: Connect, array: Any) -> None:
    assert is_same(array, connect("process", "seldon").predict(array))


@pytest.mark.parametrize("target", TARGETS)
def test_coroutines(target: str, sources: dict[str, tuple[Any, dict[str, Any]]]) -> None:
    source, options = sources[target]

    async def run() -> None:
        async with AsyncClient(source, max_connections=3, **options) as client:
            await client.wait_ready(30)
            arrays = [np.full((2, 2), float(index)) for index in range(20)]
            found = await asyncio.gather(*(client.predict(array) for array in arrays))
            assert all(map(is_same, arrays, found))
            assert await client.route([[1]]) == 2
            assert (await client.infer(arrays[3])).tolist() == arrays[3].tolist()
            assert (await client.transform_input(arrays[0])).tolist() == [[1, 1], [1, 1]]
            assert (await client.transform_output(arrays[1])).tolist() == [[0, 0], [0, 0]]
            assert (await client.aggregate(arrays[:3])).tolist() == [[3, 3], [3, 3]]
            assert (await client.call("predict", "x")).tags == {"version": "7"}
            await client.feedback([[1.0]], 1.0)
            assert await client.ready()
            assert "versions" in await client.metadata()

    asyncio.run(run())
