"""The replacements for functions and classes of ``seldon_core`` behave as the contract specifies."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.compat import conversion as utils
from seldon_spec.compat import metrics, microservice, prediction_pb2, prediction_pb2_grpc, user_model
from seldon_spec.compat.finder import REPLACEMENTS
from seldon_spec.compat.storage import Storage
from seldon_spec.compat.user_model import SeldonComponent
from seldon_spec.inference.component.contract import (
    SeldonMicroserviceException,
    SeldonNotImplementedError,
    SeldonResponse,
)

VERBS = ("predict", "transform_input", "transform_output", "route", "aggregate")
GETTERS = ("health_status", "health_status_raw", "class_names", "feature_names", "tags", "metrics")
HOOKS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(VERBS, ([], [])),
    **{f"{name}_raw": ({},) for name in (*VERBS, "send_feedback")},
    **dict.fromkeys((*GETTERS, "init_metadata", "metadata"), ()),
    "send_feedback": ([], [], 1.0, []),
}


@pytest.mark.parametrize(("name", "arguments"), HOOKS.items(), ids=HOOKS)
def test_the_base_class_implements_no_hook(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(SeldonNotImplementedError, match=f"{name} is not implemented"):
        getattr(SeldonComponent(any_argument=1), name)(*arguments)


def test_the_base_class_has_nothing_to_load() -> None:
    SeldonComponent().load()


SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3)


@given(shape=SHAPES, kind=st.sampled_from(["tensor", "ndarray", "tftensor"]))
def test_an_array_comes_back_from_a_message_and_from_its_json(shape: list[int], kind: str) -> None:
    array = np.arange(np.prod(shape), dtype=float).reshape(shape)
    datadef = utils.array_to_grpc_datadef(kind, array, ["a"])
    assert datadef.WhichOneof("data_oneof") == kind
    assert list(datadef.names) == ["a"]
    np.testing.assert_array_equal(utils.grpc_datadef_to_array(datadef), array)
    tree = utils.array_to_rest_datadef(kind, array, ["a"])
    assert set(tree) == {"names", kind}
    np.testing.assert_array_equal(utils.rest_datadef_to_array(tree), array)


@pytest.mark.parametrize(
    "names",
    [["a", "b"], ("a", "b"), np.array(["a", "b"]), prediction_pb2.DefaultData(names=["a", "b"]).names],
    ids=["list", "tuple", "array", "of a message"],
)
def test_names_may_be_in_any_form(names: Any) -> None:
    assert list(utils.array_to_grpc_datadef("ndarray", [[1, 2]], names).names) == ["a", "b"]
    assert utils.array_to_rest_datadef("ndarray", [[1, 2]], names) == {"names": ["a", "b"], "ndarray": [[1, 2]]}


def test_an_array_that_no_tensor_holds_is_refused() -> None:
    with pytest.raises(SeldonMicroserviceException):
        utils.array_to_grpc_datadef("tensor", np.array([1j]))


def test_an_array_as_a_list_value() -> None:
    assert utils.array_to_list_value([[1, 2], [3, 4]])[1][0] == 3


MESSAGES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "text": ({"strData": "a"}, "a", "strData"),
    "bytes": ({"binData": "AAE="}, b"\x00\x01", "binData"),
    "json": ({"jsonData": {"a": [1.5, None]}}, {"a": [1.5, None]}, "jsonData"),
    "array": ({"data": {"ndarray": [[1.0, 2.0]]}, "meta": {"tags": {"k": "v"}}}, [[1.0, 2.0]], "data"),
    "tensor": ({"data": {"tensor": {"shape": [2], "values": [1.0, 2.0]}}}, [1.0, 2.0], "data"),
}


@pytest.mark.parametrize(("tree", "payload", "member"), MESSAGES.values(), ids=MESSAGES)
def test_the_parts_of_a_message_are_the_same_on_both_transports(tree: Any, payload: Any, member: str) -> None:
    message = utils.json_to_seldon_message(tree)
    assert utils.seldon_message_to_json(message) == tree
    found, meta, datadef, name = utils.extract_request_parts(message)
    assert (np.asarray(found).tolist() if member == "data" else found) == payload
    assert np.asarray(utils.get_data_from_proto(message)).tolist() == np.asarray(found).tolist()
    assert (meta, name) == (tree.get("meta", {}), member)
    assert datadef == message.data
    found, meta, part, name = utils.extract_request_parts_json(tree)
    assert (np.asarray(found).tolist() if member == "data" else found) == payload
    assert (meta, part, name) == (tree.get("meta"), tree[member], member)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: utils.json_to_seldon_message({"no": "member"}), id="unknown member"),
        pytest.param(lambda: utils.json_to_seldon_messages({"seldonMessages": 1}), id="no list"),
        pytest.param(lambda: utils.json_to_feedback({"reward": "much"}), id="reward"),
        pytest.param(lambda: utils.get_data_from_proto(prediction_pb2.SeldonMessage()), id="empty message"),
        pytest.param(lambda: utils.extract_request_parts_json({"meta": {}}), id="no payload"),
    ],
)
def test_what_is_no_message_is_a_mistake_of_the_client(call: Callable[[], object]) -> None:
    with pytest.raises(SeldonMicroserviceException) as caught:
        call()
    assert caught.value.status_code == 400


def test_lists_and_feedback_come_back() -> None:
    tree = {"seldonMessages": [{"strData": "a"}, {"strData": "b"}]}
    assert utils.seldon_messages_to_json(utils.json_to_seldon_messages(tree)) == tree
    assert utils.seldon_messages_to_json(utils.json_to_seldon_messages(tree["seldonMessages"])) == tree
    feedback = {"request": {"strData": "a"}, "reward": 0.5}
    assert utils.feedback_to_json(utils.json_to_feedback(feedback)) == feedback
    assert utils.json_to_seldon_message(None) == prediction_pb2.SeldonMessage()


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPAT_B", "Yes")
    monkeypatch.delenv("COMPAT_A", raising=False)
    assert utils.getenv("COMPAT_A", "COMPAT_B") == "Yes"
    assert utils.getenv("COMPAT_A", default=3) == 3
    assert utils.getenv_as_bool("COMPAT_A", "COMPAT_B")
    assert not utils.getenv_as_bool("COMPAT_A")
    monkeypatch.setenv("COMPAT_A", "off")
    assert not utils.getenv_as_bool("COMPAT_A", default=True)


METRIC_LISTS: dict[str, tuple[Any, bool]] = {
    "of every type": (
        [metrics.create_counter("a", 1), metrics.create_gauge("b", 2), metrics.create_timer("c", 3)],
        True,
    ),
    "none": ([], True),
    "no list": ({"key": "a", "type": "COUNTER", "value": 1}, False),
    "no value": ([{"key": "a", "type": "COUNTER"}], False),
    "unknown type": ([{"key": "a", "type": "counter", "value": 1}], False),
    "text": ([{"key": "a", "type": "COUNTER", "value": "one"}], False),
    "tuple key": ([{("a",): 1}], False),
}


@pytest.mark.parametrize(("metric_list", "is_valid"), METRIC_LISTS.values(), ids=METRIC_LISTS)
def test_metrics_are_checked(metric_list: Any, is_valid: bool) -> None:
    assert metrics.validate_metrics(metric_list) is is_valid


@pytest.mark.parametrize("create", [metrics.create_counter, metrics.create_gauge, metrics.create_timer])
def test_a_metric_is_not_created_with_a_value_that_is_no_number(create: Any) -> None:
    for value in ("one", None, [1]):
        with pytest.raises(TypeError):
            create("a", value)


def test_parameters_are_parsed() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "a", "type": "INT", "value": "3"},
        {"name": "b", "type": "FLOAT", "value": "0.5"},
        {"name": "c", "type": "BOOL", "value": "false"},
        {"name": "d", "type": "STRING", "value": 7},
    ]
    assert microservice.parse_parameters(rows) == {"a": 3, "b": 0.5, "c": False, "d": "7"}
    with pytest.raises(SeldonMicroserviceException, match="MANY"):
        microservice.parse_parameters([{"name": "a", "type": "MANY", "value": "3"}])


def test_a_model_s_files_are_found_and_linked(tmp_path: Path) -> None:
    source = tmp_path / "model"
    source.mkdir()
    (source / "weights").write_text("1")
    assert Storage.download(str(source)) == str(source)
    assert Storage.download(source.as_uri()) == str(source)
    out = Storage.download(source.as_uri(), str(tmp_path / "out"))
    assert (Path(out) / "weights").read_text() == "1"
    assert (Path(out) / "weights").is_symlink()
    assert Storage.download(str(source / "weights"), out) == out


@pytest.mark.parametrize(
    ("uri", "message"),
    [("s3://bucket/model", "image.model_files"), ("gs://bucket", "/mnt/models"), ("no/such/path", "does not exist")],
)
def test_a_remote_model_is_an_error_with_a_fix(uri: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        Storage.download(uri)


class Echo(prediction_pb2_grpc.ModelServicer):  # type: ignore[misc, name-defined]
    def Predict(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return request


def test_a_stub_reaches_a_servicer() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    prediction_pb2_grpc.add_ModelServicer_to_server(Echo(), server)  # type: ignore[attr-defined]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = prediction_pb2_grpc.ModelStub(channel)  # type: ignore[attr-defined]
            assert stub.Predict(prediction_pb2.SeldonMessage(strData="a")).strData == "a"
            with pytest.raises(grpc.RpcError) as caught:
                stub.SendFeedback(prediction_pb2.Feedback())
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    finally:
        server.stop(None).wait()


class Asked:
    """A class whose plain methods are called through the functions of ``seldon_core.user_model``."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return [X, list(names)]

    def transform_input(self, X: Any, names: Any, meta: Any) -> Any:  # noqa: ARG002, N803
        return SeldonResponse([X], {"meta": meta})

    def transform_output(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
        raise SeldonNotImplementedError("later")

    def route(self, X: Any, names: Any) -> int:  # noqa: ARG002, N803
        return 1

    def aggregate(self, Xs: Any, names: Any) -> Any:  # noqa: ARG002, N803
        return Xs[0]

    def send_feedback(self, X: Any, names: Any, reward: Any, truth: Any, routing: Any) -> Any:  # noqa: ARG002, N803
        return [reward, truth, routing]

    def health_status(self) -> str:
        return "fine"

    def tags(self) -> Any:
        return {"t": 1}

    def metrics(self) -> Any:
        return [metrics.create_gauge("g", 1)]

    def class_names(self) -> Any:
        return ["c"]

    def feature_names(self) -> Any:
        return ["f"]


ROWS = np.array([[1.0]])
CALLS: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "predict": (lambda user: user_model.client_predict(user, 1, ("n",), meta={"a": 1}).data, [1, ["n"]], []),
    "transform_input": (lambda user: user_model.client_transform_input(user, 1, [], meta=5).data, [1], 1),
    "transform_output": (lambda user: user_model.client_transform_output(user, 1, []).data, 1, 1),
    "route": (lambda user: user_model.client_route(user, 1, [], meta={}).data, 1, SeldonNotImplementedError),
    "aggregate": (lambda user: user_model.client_aggregate(user, [1], []).data, 1, SeldonNotImplementedError),
    "feedback": (lambda user: user_model.client_send_feedback(user, 1, [], 0.5, 2, 3).data, [0.5, 2, 3], None),
    "health": (user_model.client_health_status, "fine", SeldonNotImplementedError),
    "tags": (user_model.client_custom_tags, {"t": 1}, {}),
    "metrics": (lambda user: [m["key"] for m in user_model.client_custom_metrics(user, None, "predict")], ["g"], []),
    "class_names": (lambda user: list(user_model.client_class_names(user, ROWS)), ["c"], ["t:0"]),
    "class_names-flat": (lambda user: user_model.client_class_names(user, ROWS[0]), [], []),
    "feature_names": (lambda user: user_model.client_feature_names(user, ["o"]), ["f"], ["o"]),
}


@pytest.mark.parametrize(("call", "expected", "without"), CALLS.values(), ids=CALLS)
def test_a_class_s_own_methods_are_called(call: Callable[[Any], Any], expected: Any, without: Any) -> None:
    assert call(Asked()) == expected
    if without is SeldonNotImplementedError:
        with pytest.raises(SeldonNotImplementedError):
            call(object())
    else:
        assert call(object()) == without


def test_bad_metrics_are_the_users_error() -> None:
    bad = type("Bad", (), {"metrics": lambda self: [{("k",): 1}]})()  # noqa: ARG005
    with pytest.raises(SeldonMicroserviceException, match="Bad metric created during request") as caught:
        user_model.client_custom_metrics(bad, None, "predict")
    assert (caught.value.status_code, caught.value.reason) == (500, "MICROSERVICE_BAD_METRIC")


RESPONSES: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "ndarray": ({"data": {"ndarray": [[1]]}}, ROWS, {"data": {"names": ["c"], "ndarray": [[1.0]]}}),
    "tensor": (
        {"data": {"tensor": {"shape": [1], "values": [1]}}},
        [[1.0]],
        {"data": {"names": ["c"], "tensor": {"shape": [1, 1], "values": [1.0]}}},
    ),
    "names alone": ({"data": {"names": ["a"]}}, ROWS, {"data": {"names": ["c"], "ndarray": [[1.0]]}}),
    "text": ({"strData": "a"}, "b", {"strData": "b"}),
    "response": ({"strData": "a"}, SeldonResponse("b"), {"strData": "b"}),
}


@pytest.mark.parametrize(("request_tree", "result", "expected"), RESPONSES.values(), ids=RESPONSES)
def test_responses_are_constructed_alike_for_both_transports(
    request_tree: dict[str, Any], result: Any, expected: dict[str, Any]
) -> None:
    meta = {"puid": "p", "tags": {"q": 2}}
    gauge = {"key": "g", "type": "GAUGE", "value": 1.0}
    whole = {**expected, "meta": {"puid": "p", "tags": {"q": 2, "t": 1, "r": 3}, "metrics": [gauge]}}
    arguments = (result, meta, [gauge], {"r": 3})
    assert utils.construct_response_json(Asked(), False, request_tree, *arguments) == whole
    message = utils.json_to_seldon_message(request_tree)
    built = utils.construct_response(Asked(), False, message, *arguments)
    assert utils.seldon_message_to_json(built) == whole
    short = utils.construct_response_json(Asked(), False, {**request_tree, "meta": meta}, result)
    assert short["meta"] == {"puid": "p", "tags": {"t": 1}}


def test_the_parts_of_feedback() -> None:
    tree = {"request": {"data": {"ndarray": [[1]]}}, "truth": {"data": {"ndarray": [2]}}, "reward": 0.5}
    datadef, features, truth, reward = utils.extract_feedback_request_parts(utils.json_to_feedback(tree))
    assert (datadef.WhichOneof("data_oneof"), features.tolist(), truth.tolist(), reward) == ("ndarray", [[1]], [2], 0.5)


def test_a_status_of_the_class_counts() -> None:
    class Teapot(SeldonMicroserviceException):
        status_code = 418

    assert Teapot("x").status_code == 418
    assert Teapot("x", 402).status_code == 402
    assert SeldonMicroserviceException("x").status_code == 400


def test_the_page_lists_every_name() -> None:
    """The messages and the services' names are many, and made from the schema: the page does not list those."""
    page = (Path(__file__).parents[2] / "docs" / "imports.md").read_text(encoding="utf-8")
    rows = {
        row[0]: row[1:]
        for row in (re.findall(r"`([\w.]+)`", line) for line in page.splitlines() if line.startswith("|"))
        if row
    }
    listed = {name: rows[name] for name, module in REPLACEMENTS.items() if module is not None and "pb2" not in name}
    assert listed == {name: list(import_module(str(REPLACEMENTS[name])).__all__) for name in listed}
    assert {"seldon_core.proto.prediction_pb2", "seldon_core.proto.prediction_pb2_grpc"} < rows.keys()
