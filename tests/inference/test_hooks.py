# ruff: noqa: ARG005, N803, N806 - the signatures of the hooks are what is tested
"""Whole-message hooks and the rarer plain ones: precedence, arguments, and what falls through."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from seldon_spec.config.model import ServiceType, UnitSpec
from seldon_spec.errors import BadMetric, ComponentFailed, ResultError
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.contract import SeldonNotImplementedError, SeldonResponse
from seldon_spec.inference.message import Operation
from seldon_spec.inference.metrics_sink import NullMetrics
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec, PassthroughCodec
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage, SeldonMessageList
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

REST, GRPC = JsonCodec(), ProtoCodec()
WIRES: dict[Operation, Any] = {Operation.AGGREGATE: SeldonMessageList, Operation.FEEDBACK: Feedback}


def user(**hooks: Any) -> object:
    return type("Model", (), hooks)()


def ask_rest(model: object, operation: Operation, text: str = "", unit: UnitSpec | None = None, **more: Any) -> Any:
    request = REST.decode(operation, text)
    reply = REST.encode(Adapter(model, unit or UnitSpec(), **more).call(request, record), request)
    return json.loads(reply.body)


def ask_grpc(model: object, operation: Operation, text: str = "{}", unit: UnitSpec | None = None) -> Any:
    wire = json_format.Parse(text, WIRES.get(operation, SeldonMessage)()).SerializeToString()
    request = GRPC.decode(operation, wire)
    reply = GRPC.encode(Adapter(model, unit or UnitSpec()).call(request, record), request)
    return json_format.MessageToDict(SeldonMessage.FromString(reply.body))


def record(metrics: object) -> list[dict[str, Any]]:
    return NullMetrics().record("m", metrics)


def says(word: str) -> Callable[..., Any]:
    """A hook for whole messages that answers in JSON's form."""
    return lambda self, message: {"strData": word}


def declines(self: object, *args: Any) -> Any:
    raise SeldonNotImplementedError("not here")


NAMES = {
    Operation.PREDICT: "predict",
    Operation.TRANSFORM_INPUT: "transform_input",
    Operation.TRANSFORM_OUTPUT: "transform_output",
    Operation.ROUTE: "route",
    Operation.AGGREGATE: "aggregate",
}
PLAIN: dict[Operation, str] = {Operation.AGGREGATE: '{"seldonMessages":[{"strData":"x"}]}'}


@pytest.mark.parametrize("operation", NAMES, ids=lambda operation: operation.value)
def test_a_hook_of_the_transport_comes_first_then_raw_then_the_plain_one(operation: Operation) -> None:
    name, text = NAMES[operation], PLAIN.get(operation, '{"strData":"x"}')
    hooks: dict[str, Any] = {
        f"{name}_rest": says("rest"),
        f"{name}_grpc": says("grpc"),
        f"{name}_raw": says("raw"),
        name: lambda self, X, names: 1 if operation is Operation.ROUTE else "plain",
    }
    assert ask_rest(user(**hooks), operation, text) == {"strData": "rest"}
    assert ask_grpc(user(**hooks), operation, text) == {"strData": "grpc"}
    hooks[f"{name}_rest"] = hooks[f"{name}_grpc"] = declines
    assert ask_rest(user(**hooks), operation, text) == ask_grpc(user(**hooks), operation, text) == {"strData": "raw"}
    hooks[f"{name}_raw"] = declines
    assert "meta" in ask_rest(user(**hooks), operation, text)
    assert "meta" in ask_grpc(user(**hooks), operation, text)


def test_a_hook_for_the_other_transport_is_not_called() -> None:
    model = user(transform_input_rest=says("rest"), transform_input=lambda self, X, names: "plain")
    assert ask_grpc(model, Operation.TRANSFORM_INPUT, '{"strData":"x"}')["strData"] == "plain"


def test_a_raw_hook_gets_messages_by_name_as_their_list() -> None:
    model = user(aggregate_raw=lambda self, messages: {"jsonData": messages})
    first, second = {"strData": "x"}, {"data": {"ndarray": [1]}}
    for sent, got in (
        ({"b": first, "a": second}, [first, second]),
        ([first, second], [first, second]),
        ({"seldonMessages": [first]}, {"seldonMessages": [first]}),
        ({"x": 1}, {"x": 1}),
        ({}, {}),
    ):
        assert ask_rest(model, Operation.AGGREGATE, json.dumps(sent)) == {"jsonData": got}


def test_deprecated_hooks_are_told_once_at_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        adapter = Adapter(user(predict_rest=says("x"), send_feedback_grpc=says("y")), UnitSpec())
        for _ in range(2):
            adapter.call(REST.decode(Operation.PREDICT, "{}"), record)
    assert [record.message for record in caplog.records] == [
        "Model has deprecated hooks: predict_rest, send_feedback_grpc; use *_raw instead"
    ]


def test_raw_hooks_get_what_was_sent_and_send_what_they_return() -> None:
    got: list[Any] = []

    def predict_raw(self: object, message: Any) -> Any:
        got.append(message)
        return message

    model = user(predict_raw=predict_raw, tags=lambda self: {"never": 1}, metrics=lambda self: 1 / 0)
    for text in ("[1,2]", '{"x":1}', '"text"', "null", '{"meta":{}}'):
        assert ask_rest(model, Operation.PREDICT, text) == json.loads(text)
    assert got[:2] == [[1, 2], {"x": 1}]
    assert ask_grpc(model, Operation.PREDICT, '{"meta":{"puid":"p","routing":{"a":1}}}') == {
        "meta": {"puid": "p", "routing": {"a": 1}}
    }
    assert type(got[-1]).DESCRIPTOR.full_name == "seldon.protos.SeldonMessage"


def test_a_raw_answer_in_the_other_wire_s_form_is_translated() -> None:
    message = SeldonMessage(strData="proto")
    assert ask_rest(user(predict_raw=lambda self, m: message), Operation.PREDICT, "{}") == {"strData": "proto"}
    assert ask_grpc(user(predict_raw=says("dict")), Operation.PREDICT) == {"strData": "dict"}


@pytest.mark.parametrize("answer", ["text", [1], None, {"unknown": 1}], ids=repr)
def test_a_raw_answer_that_is_no_message_fails_on_grpc_whose_answers_have_a_type(answer: Any) -> None:
    assert ask_rest(user(predict_raw=lambda self, m: answer), Operation.PREDICT, "{}") == answer
    with pytest.raises(ResultError):
        ask_grpc(user(predict_raw=lambda self, m: answer), Operation.PREDICT)


STATUS: dict[str, tuple[Any, int | None]] = {
    "teapot": ({"status": {"code": 418}}, 418),
    "fine": ({"status": {"code": 201}}, 201),
    "none": ({"status": {}}, None),
    "text": ({"status": {"code": "404"}}, None),
    "bool": ({"status": {"code": True}}, None),
    "out-of-range": ({"status": {"code": 7}}, None),
    "informational": ({"status": {"code": 100}}, None),
    "no-object": ({"status": 418}, None),
    "list": ([418], None),
}


@pytest.mark.parametrize(("answer", "status"), STATUS.values(), ids=STATUS.keys())
def test_the_status_in_a_raw_prediction_is_http_s(answer: Any, status: int | None) -> None:
    for operation, expected in ((Operation.PREDICT, status), (Operation.TRANSFORM_INPUT, None)):
        model = user(predict_raw=lambda self, m: answer, transform_input_raw=lambda self, m: answer)
        request = REST.decode(operation, "{}")
        assert REST.encode(Adapter(model, UnitSpec()).call(request, record), request).status == expected


@pytest.mark.parametrize("is_shown", [True, False], ids=["shown", "hidden"])
def test_metrics_in_a_raw_answer_are_counted(is_shown: bool) -> None:
    counted: list[Any] = []

    def count(metrics: object) -> list[dict[str, Any]]:
        counted.append(metrics)
        return []

    metrics = [{"key": "k", "type": "GAUGE", "value": 0.0}, {"key": "c", "value": 1}]
    answer = {"meta": {"metrics": metrics, "tags": {"a": 1}}}
    shown = answer if is_shown else {"meta": {"tags": {"a": 1}}}
    unit = UnitSpec(has_metrics_in_response=is_shown)
    request = REST.decode(Operation.PREDICT, "{}")
    reply = REST.encode(Adapter(user(predict_raw=lambda self, m: answer), unit).call(request, count), request)
    assert json.loads(reply.body) == shown
    wire = GRPC.decode(Operation.PREDICT, json_format.ParseDict(answer, SeldonMessage()).SerializeToString())
    result = GRPC.encode(Adapter(user(predict_raw=lambda self, m: m), unit).call(wire, count), wire)
    expected = json_format.MessageToDict(json_format.ParseDict(shown, SeldonMessage()))
    assert json_format.MessageToDict(SeldonMessage.FromString(result.body)) == expected
    assert counted[0] == [metrics[0], {"key": "c", "type": "COUNTER", "value": 1}] == counted[1]
    assert answer["meta"]["metrics"] is metrics


@pytest.mark.parametrize("metrics", [[{"value": 1}], [{"key": "k"}], [5], {"key": "k"}], ids=repr)
def test_a_bad_metric_in_a_raw_answer(metrics: Any) -> None:
    with pytest.raises(BadMetric):
        ask_rest(user(predict_raw=lambda self, m: {"meta": {"metrics": metrics}}), Operation.PREDICT, "{}")


def test_own_metrics_can_be_kept_out_of_answers_those_of_the_request_pass() -> None:
    model = user(predict=lambda self, X, names: X, metrics=lambda self: [{"key": "o", "type": "GAUGE", "value": 1}])
    text = '{"strData":"x","meta":{"metrics":[{"key":"r","type":"GAUGE","value":1}]}}'
    unit = UnitSpec(has_metrics_in_response=False)
    for answer in (ask_rest(model, Operation.PREDICT, text, unit), ask_grpc(model, Operation.PREDICT, text, unit)):
        assert [metric["key"] for metric in answer["meta"]["metrics"]] == ["r"]


FEEDBACK = '{"request":{"data":{"ndarray":[[1]]}},"reward":0.5,"response":{"meta":{"routing":{"u":1,"0":7}}}}'


def test_feedback_hooks_for_whole_messages() -> None:
    def rest(self: object, text: str) -> Any:
        return {"strData": f"rest {json.loads(text)['reward']}"}

    def grpc(self: object, feedback: Any) -> Any:
        return {"strData": f"grpc {feedback.reward}"}

    def raw(self: object, feedback: Any) -> Any:
        return SeldonMessage(strData=f"raw {feedback.reward}")

    hooks: dict[str, Any] = {"send_feedback_rest": rest, "send_feedback_grpc": grpc, "send_feedback_raw": raw}
    for word, name in (("rest", "send_feedback_rest"), ("grpc", "send_feedback_grpc"), ("raw", "send_feedback_raw")):
        for ask in (ask_rest, ask_grpc):
            assert ask(user(**hooks), Operation.FEEDBACK, FEEDBACK) == {"strData": f"{word} 0.5"}
        del hooks[name]


@pytest.mark.parametrize("name", ["send_feedback_rest", "send_feedback_grpc"])
def test_a_deprecated_feedback_hook_may_return_nothing(name: str) -> None:
    model = user(**{name: lambda self, feedback: None})
    assert ask_rest(model, Operation.FEEDBACK, FEEDBACK) == {}
    request = GRPC.decode(Operation.FEEDBACK, json_format.Parse(FEEDBACK, Feedback()).SerializeToString())
    assert GRPC.encode(Adapter(model, UnitSpec()).call(request, record), request).body == b""


def test_a_raw_feedback_hook_has_to_return_a_message() -> None:
    with pytest.raises(ResultError, match="a raw hook returns a SeldonMessage, not NoneType"):
        ask_grpc(user(send_feedback_raw=lambda self, feedback: None), Operation.FEEDBACK, FEEDBACK)


def test_feedback_may_have_tags_and_metrics_alone() -> None:
    metric = {"key": "k", "type": "GAUGE", "value": 1.0}
    model = user(send_feedback=lambda self, *args, **more: SeldonResponse(None, {"a": "b"}, [metric]))
    for ask in (ask_rest, ask_grpc):
        answer = ask(model, Operation.FEEDBACK, FEEDBACK)
        assert answer["data"] == {"ndarray": []}
        assert answer["meta"]["tags"] == {"a": "b"}
        assert answer["meta"]["metrics"] == [{"key": "k", "type": "GAUGE", "value": 1.0}]


def test_feedback_may_hold_what_is_no_number() -> None:
    text = (
        '{"request":{"data":{"ndarray":[[NaN]]}},"truth":{"data":{"tensor":{"shape":[2],"values":[Infinity,"NaN"]}}}}'
    )
    got: list[Any] = []
    ask_rest(user(send_feedback=lambda self, X, names, reward, truth: got.extend((X, truth))), Operation.FEEDBACK, text)
    np.testing.assert_array_equal(got[0], [[np.nan]])
    np.testing.assert_array_equal(got[1], [np.inf, np.nan])
    echo = user(send_feedback=lambda self, X, names: [[float("nan"), float("-inf")]])
    assert ask_rest(echo, Operation.FEEDBACK, FEEDBACK)["data"]["ndarray"] == [["NaN", "-Infinity"]]
    received: list[str] = []
    ask_rest(user(send_feedback_rest=lambda self, text: received.append(text)), Operation.FEEDBACK, text)
    assert json.loads(received[0])["request"]["data"] == {"ndarray": [["NaN"]]}


def test_metrics_of_a_raw_answer_show_their_method() -> None:
    metrics = [
        {"key": "k", "type": "GAUGE", "value": 1.0, "tags": {"a": "b"}},
        {"key": "l", "type": "GAUGE", "value": 2.0},
    ]
    answer = {"meta": {"metrics": metrics}}
    expected = [{**metrics[0], "tags": {"a": "b", "method": "m"}}, metrics[1]]
    for operation, name in ((Operation.PREDICT, "predict_raw"), (Operation.ROUTE, "route_raw")):
        expected[0]["tags"] = {"a": "b", "method": operation.value}
        assert ask_rest(user(**{name: lambda self, m: answer}), operation, "{}")["meta"]["metrics"] == expected
        proto = json_format.ParseDict(answer, SeldonMessage())
        assert ask_grpc(user(**{name: lambda self, m: proto}), operation)["meta"]["metrics"] == expected  # noqa: B023
    assert metrics[0]["tags"] == {"a": "b"}


FEEDBACK_SIGNATURES: dict[str, tuple[Any, Any]] = {
    "routing": (lambda self, X, names, reward, truth, routing: {"r": routing}, 1),
    "routing-default": (lambda self, X, names, reward, truth, routing=None: {"r": routing}, 1),
    "keywords": (lambda self, X, names, reward, truth, **more: {"r": more["routing"]}, 1),
    "without": (lambda self, X, names, reward, truth: {"r": "none"}, "none"),
}


@pytest.mark.parametrize(("hook", "expected"), FEEDBACK_SIGNATURES.values(), ids=FEEDBACK_SIGNATURES.keys())
def test_routing_is_given_where_the_hook_takes_it(hook: Any, expected: Any) -> None:
    answer = ask_rest(user(send_feedback=hook), Operation.FEEDBACK, FEEDBACK, UnitSpec(id="u"))
    assert answer["jsonData"] == {"r": expected}


def test_a_unit_without_a_name_is_called_0_in_the_routing() -> None:
    hook = FEEDBACK_SIGNATURES["routing"][0]
    assert ask_rest(user(send_feedback=hook), Operation.FEEDBACK, FEEDBACK)["jsonData"] == {"r": 7}


@pytest.mark.parametrize("has_executor", [True, False])
def test_rewards_are_counted_before_the_class_hears_of_them(has_executor: bool) -> None:
    counted: list[Any] = []

    def count(metrics: Any) -> list[dict[str, Any]]:
        counted.extend((metric["key"], metric["value"]) for metric in metrics)
        return []

    def refuse(self: object, *args: Any, **more: Any) -> Any:
        raise ValueError("no")

    adapter = Adapter(user(send_feedback=refuse), UnitSpec(has_executor=has_executor))
    for text in (FEEDBACK, '{"reward":0}'):
        with pytest.raises(ComponentFailed):
            adapter.call(REST.decode(Operation.FEEDBACK, text), count)
    expected = [("seldon_api_model_feedback", 1), ("seldon_api_model_feedback_reward", 0.5)]
    assert counted == (expected if has_executor else [])


def test_health_hooks() -> None:
    model = user(health_status_raw=lambda self: {"strData": "raw"}, metrics=lambda self: 1 / 0)
    assert ask_rest(model, Operation.HEALTH) == {"strData": "raw"}
    model = user(health_status_raw=declines, health_status=lambda self: np.array([[1, 2]]))
    assert ask_rest(model, Operation.HEALTH)["data"]["tensor"] == {"shape": [1, 2], "values": [1, 2]}


DETECTOR = ServiceType.OUTLIER_DETECTOR


@pytest.mark.parametrize(
    "operation", [Operation.PREDICT, Operation.TRANSFORM_INPUT], ids=lambda operation: operation.value
)
def test_an_outlier_detector_is_asked_for_scores_once_before_x_is_changed(operation: Operation) -> None:
    asked: list[Any] = []

    def score(self: object, X: Any, names: Any) -> Any:
        asked.append((X.tolist(), names))
        return X.sum(axis=1)

    def change(self: object, X: Any, names: Any) -> Any:
        X += 100
        return X

    model = user(score=score, predict=change, transform_input=change)
    text = '{"data":{"names":["a"],"ndarray":[[1],[2]]}}'
    answer = ask_rest(model, operation, text, service_type=DETECTOR)
    assert answer["meta"]["tags"] == {"outlierScore": [1, 2]}
    assert answer["data"]["ndarray"] == [[101], [102]]
    assert asked == [([[1], [2]], ["a"])]
    assert ask_rest(model, operation, text)["meta"] == {}  # the hooks of other operations are not called
    assert len(asked) == 1


def test_scores_that_are_not_implemented_or_not_asked() -> None:
    model = user(score=declines, predict=lambda self, X, names: X)
    assert ask_rest(model, Operation.PREDICT, '{"strData":"x"}', service_type=DETECTOR)["meta"] == {}
    model = user(score=lambda self, X, names: 1 / 0)
    assert ask_rest(model, Operation.TRANSFORM_OUTPUT, '{"strData":"x"}', service_type=DETECTOR)["strData"] == "x"
    with pytest.raises(ComponentFailed):
        ask_rest(model, Operation.PREDICT, '{"strData":"x"}', service_type=DETECTOR)


@pytest.mark.parametrize("tags", [[1], 5, "x"], ids=repr)
def test_tags_that_are_no_dict(tags: Any) -> None:
    with pytest.raises(ResultError, match="tags are a dict"):
        ask_rest(user(tags=lambda self: tags), Operation.PREDICT, '{"strData":"x"}')


class TestPassthrough:
    codec = PassthroughCodec()

    def ask(self, wire: Any, **hooks: Any) -> bytes:
        request = self.codec.decode(Operation.PREDICT, wire)
        return self.codec.encode(Adapter(user(**hooks), UnitSpec()).call(request, record), request).body

    @pytest.mark.parametrize("wire", [b"\xff{", b"", "text", "{}"], ids=repr)
    def test_bodies_pass_both_ways_as_they_are(self, wire: bytes | str) -> None:
        expected = wire if isinstance(wire, bytes) else wire.encode()
        assert self.ask(wire, predict_raw=lambda self, body: body) == expected
        assert self.ask(wire, predict_rest=lambda self, body: body) == expected

    def test_only_raw_hooks_read_bodies(self) -> None:
        with pytest.raises(Exception, match="PAYLOAD_PASSTHROUGH is on"):
            self.ask(b'{"strData":"x"}', predict=lambda self, X, names: X)

    def test_what_is_no_body_cannot_be_sent(self) -> None:
        with pytest.raises(ResultError, match="sends bytes or text, not dict"):
            self.ask({"strData": "x"}, predict_raw=lambda self, body: body)
