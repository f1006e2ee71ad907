# ruff: noqa: ARG002, ARG003, ARG005, N803 - the signatures of the hooks are what is tested
"""The user's object: which hooks it has, how each is called, and in which order."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seldon_spec.config.model import ServiceType, UnitSpec
from seldon_spec.errors import BadMetric, ComponentFailed
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.build import build_component
from seldon_spec.inference.message import Message, Operation, PayloadType
from seldon_spec.inference.request import Request
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

UNIT = UnitSpec()
MODEL = ServiceType.MODEL


def record(metrics: object) -> list[dict[str, Any]]:
    assert isinstance(metrics, list)
    return list(metrics)


class Unchanged(JsonCodec):
    """Hands a message over as it is."""

    def receive(self, message: Message, _keeps_rows: Any = None) -> Message:
        return message


def given(operation: Operation, message: Message) -> Request:
    return Request(operation, message, Unchanged())


def respond(adapter: Adapter, request: Request, recorder: Any = record) -> Message:
    return adapter.call(request, recorder).message


def call(
    user: object, payload: object = "x", operation: Operation = Operation.PREDICT, unit: UnitSpec = UNIT
) -> Message:
    return respond(Adapter(user, unit), given(operation, Message(PayloadType.TEXT, payload, ["a"], {"puid": "p"})))


def _model(predict: object) -> object:
    return type("Model", (), {"predict": predict})()


SIGNATURES: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "x-names": (lambda self, X, names: [X, names], ["x", ["a"]]),
    "x-default": (lambda self, X, features_names=None: [X, features_names], ["x", ["a"]]),
    "x-names-meta": (lambda self, X, names, meta: [X, names, meta], ["x", ["a"], {"puid": "p"}]),
    "x-names-meta-default": (lambda self, X, names=None, meta=None: [X, names, meta], ["x", ["a"], {"puid": "p"}]),
    "keywords": (lambda self, X, names, **more: [X, names, more], ["x", ["a"], {"meta": {"puid": "p"}}]),
    "anything": (lambda self, *args, **more: [*args, more], ["x", ["a"], {"meta": {"puid": "p"}}]),
    "other-default": (lambda self, X, names, other="o": [X, names, other], ["x", ["a"], "o"]),
    "meta-without-names": (lambda self, X, meta: [X, meta], ["x", {"puid": "p"}]),
    "x-alone": (lambda self, X: [X], ["x"]),
}


@pytest.mark.parametrize(("predict", "expected"), SIGNATURES.values(), ids=SIGNATURES.keys())
def test_signatures(predict: Callable[..., Any], expected: list[Any]) -> None:
    assert call(_model(predict)).original == expected


def test_static_class_and_instance_methods() -> None:
    class Static:
        @staticmethod
        def predict(X: Any, names: Any) -> Any:
            return [X, names]

    class OfClass:
        @classmethod
        def predict(cls, X: Any, names: Any, meta: Any = None) -> Any:
            return [X, cls.__name__]

    class OfInstance:
        def __init__(self) -> None:
            self.predict = lambda X, names: [X, "lambda"]

    originals = [call(each()).original for each in (Static, OfClass, OfInstance)]
    assert originals == [["x", ["a"]], ["x", "OfClass"], ["x", "lambda"]]


def test_a_type_error_of_the_users_runs_nothing_twice() -> None:
    calls: list[object] = []

    def predict(self: object, X: object, names: object, meta: object = None) -> None:
        calls.append(X)
        raise TypeError("mine")

    with pytest.raises(ComponentFailed, match="mine"):
        call(_model(predict))
    assert calls == ["x"]


@pytest.mark.parametrize(
    "predict", [None, lambda self: 1, lambda self, X, names, more: 1], ids=["none", "no-x", "four"]
)
def test_a_predict_that_cannot_be_called_fails_each_call(predict: object) -> None:
    with pytest.raises(ComponentFailed) as caught:
        call(_model(predict))
    assert isinstance(caught.value.__cause__, TypeError)


def test_the_traceback_begins_in_the_users_code() -> None:
    def predict(self: object, X: object, names: object) -> None:
        raise ValueError("mine")

    with pytest.raises(ComponentFailed) as caught:
        call(_model(predict))
    assert caught.value.__cause__ is not None
    frames = traceback.extract_tb(caught.value.__cause__.__traceback__)
    assert [frame.name for frame in frames] == ["predict"]


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), StopIteration(), NotImplementedError()], ids=repr
)
def test_whatever_the_user_raises_is_a_failure(error: BaseException) -> None:
    def predict(self: object, X: object, names: object) -> None:
        raise error

    with pytest.raises(ComponentFailed) as caught:
        call(_model(predict))
    assert caught.value.__cause__ is error


def test_async_predict_is_awaited() -> None:
    async def predict(self: object, X: object, names: object) -> object:
        return [X]

    from seldon_spec.inference.executor import ModelThreads

    threads = ModelThreads()
    threads.start()
    result = threads.submit(lambda: call(_model(predict))).result(10)
    threads.stop()
    assert result.original == ["x"]


def test_without_predict_the_answer_is_empty_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert call(type("Bare", (), {})()).original == []
    assert "Bare has no predict" in caplog.text


def test_flat_results_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    results = iter([np.zeros((1, 1)), [[1]], [np.zeros(2)], {"a": 1}, "x", np.zeros(2), [1, 2]])
    adapter = Adapter(_model(lambda self, X, names: next(results)), UNIT)
    for logged in [0, 0, 0, 0, 0, 1, 1]:
        adapter.call(given(Operation.PREDICT, Message(PayloadType.TEXT, "")), record)
        assert len(caplog.records) == logged
    assert "fewer than two dimensions" in caplog.text


class SeldonMicroserviceException(Exception):
    pass


class SeldonNotImplementedError(SeldonMicroserviceException):
    pass


class SeldonResponse:
    def __init__(self, data: object, tags: object = None, metrics: object = None) -> None:
        self.data, self.tags, self.metrics = data, tags, metrics


class Base:
    """Like seldon_core's base class: every method says that it is not implemented."""

    def _missing(self, *args: object) -> Any:
        raise SeldonNotImplementedError("not implemented")

    predict = tags = metrics = class_names = health_status = _missing

    def load(self) -> None:
        pass


def test_hooks_that_say_they_are_not_implemented_are_not_there() -> None:
    message = call(Base())
    assert (message.original, message.meta) == ([], {"puid": "p"})
    table = type("Table", (Base,), {"predict": lambda self, X, names: [[1]]})()
    assert call(table).names == ["t:0"]
    assert call(Base(), operation=Operation.HEALTH).payload == "not implemented - assuming healthy"


def test_order_and_merging() -> None:
    order: list[str] = []

    class Model:
        def predict(self, X: Any, names: Any) -> Any:
            order.append("predict")
            return SeldonResponse("y", {"a": "runtime"}, [{"key": "runtime"}])

        def metrics(self) -> list[dict[str, str]]:
            order.append("metrics")
            return [{"key": "own"}]

        def tags(self) -> dict[str, str]:
            order.append("tags")
            return {"a": "own", "b": "own"}

    def recording(metrics: object) -> list[dict[str, Any]]:
        assert isinstance(metrics, list)
        order.append(f"record {metrics[0]['key']}")
        return list(metrics)

    unit = UnitSpec(id="m", image="i:1")
    message = respond(Adapter(Model(), unit), given(Operation.PREDICT, Message(PayloadType.TEXT, "")), recording)
    assert order == ["predict", "record runtime", "metrics", "record own", "tags"]
    assert message.payload == "y"
    assert message.meta == {
        "tags": {"a": "runtime", "b": "own"},
        "metrics": [{"key": "own"}, {"key": "runtime"}],
        "requestPath": {"m": "i:1"},
    }


def test_a_bad_metric_passes() -> None:
    def refuse(metrics: object) -> list[dict[str, Any]]:
        raise BadMetric("bad")

    user = _model(lambda self, X, names: SeldonResponse("y", metrics=[{}]))
    with pytest.raises(BadMetric):
        Adapter(user, UNIT).call(given(Operation.PREDICT, Message(PayloadType.TEXT, "")), refuse)


def test_class_names_as_method_attribute_and_property() -> None:
    class Table:
        def predict(self, X: Any, names: Any) -> Any:
            return [[1]]

    class Method(Table):
        def class_names(self) -> list[str]:
            return ["m"]

    class Attribute(Table):
        class_names = ("a",)

    class Property(Table):
        @property
        def class_names(self) -> list[str]:
            return ["p"]

    class Late(Table):
        def __init__(self) -> None:
            self.class_names = ["l"]

    names = [call(each()).names for each in (Method, Attribute, Property, Late, Table)]
    assert names == [["m"], ("a",), ["p"], ["l"], ("t:0",)]


def test_health() -> None:
    assert call(_model(None), operation=Operation.HEALTH).payload == "healthy"
    user = type("Model", (), {"health_status": lambda self: {"fine": True}, "tags": lambda self: {"t": 1}})()
    message = call(user, operation=Operation.HEALTH)
    assert (message.payload, message.meta) == ({"fine": True}, {"puid": "p", "tags": {"t": 1}})


def test_parameters_and_load() -> None:
    class Model:
        def __init__(self, a: int = 0) -> None:
            self.a = a

        def load(self) -> None:
            self.a += 1

        def predict(self, X: Any, names: Any) -> Any:
            return [self.a]

    adapter = build_component(Model, {"a": 5}, UNIT, MODEL)
    assert respond(adapter, given(Operation.PREDICT, Message(PayloadType.TEXT, ""))).original == [6]


@pytest.mark.parametrize("error", [AttributeError("gone"), ValueError("bad"), SystemExit(2)], ids=repr)
def test_a_load_that_raises_ends_the_start(error: BaseException) -> None:
    def load(self: object) -> None:
        raise error

    with pytest.raises(ComponentFailed) as caught:
        build_component(type("Model", (), {"load": load}), {}, UNIT, MODEL)
    assert caught.value.__cause__ is error


def test_a_load_that_is_not_implemented_is_none() -> None:
    def load(self: object) -> None:
        raise NotImplementedError

    assert isinstance(build_component(type("Model", (), {"load": load}), {}, UNIT, MODEL), Adapter)


def test_a_parameter_that_the_class_does_not_take_is_its_own_error() -> None:
    with pytest.raises(ComponentFailed, match="threshold") as caught:
        build_component(type("Model", (), {"__init__": lambda self: None}), {"threshold": 1}, UNIT, MODEL)
    assert isinstance(caught.value.__cause__, TypeError)
