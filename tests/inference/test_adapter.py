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
from seldon_spec.inference.component.adapter import Adapter, build_component
from seldon_spec.inference.message import Message, Operation, PayloadType, RawResult, Request, Result, Transport
from seldon_spec.protocols.seldon_v1.raw_messages import name_method, split_metrics

UNIT = UnitSpec()
MODEL = ServiceType.MODEL


def record(metrics: object) -> list[dict[str, Any]]:
    assert isinstance(metrics, list)
    return list(metrics)


class Wire:
    """A codec whose wire is the message itself."""

    def __init__(self, transport: Transport = Transport.REST) -> None:
        self.transport = transport

    def decode(self, operation: Operation, wire: Any) -> Request:
        return Request(operation, wire, self)

    def read_message(self, operation: Operation, tree: Any) -> Message:
        assert isinstance(tree, Message)
        return tree

    def read_raw(self, operation: Operation, tree: Any) -> Any:
        return tree

    def split_metrics(self, answer: Any) -> tuple[list[Any], Any]:
        return split_metrics(answer)

    def name_method(self, answer: Any, method: str) -> Any:
        return name_method(answer, method)

    def encode(self, result: Result | RawResult, request: Request) -> Any:
        raise NotImplementedError


def given(operation: Operation, message: Any, transport: Transport = Transport.REST) -> Request:
    return Wire(transport).decode(operation, message)


def settle(adapter: Adapter, request: Request, recorder: Any = record) -> Result:
    result = adapter.call(request, recorder)
    assert isinstance(result, Result)
    return result


def call(
    user: object, payload: object = "x", operation: Operation = Operation.PREDICT, unit: UnitSpec = UNIT
) -> Result:
    return settle(Adapter(user, unit), given(operation, Message(PayloadType.TEXT, payload, ["a"], {"puid": "p"})))


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
    assert call(_model(predict)).payload == expected


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

    assert [call(kind()).payload[1] for kind in (Static, OfClass, OfInstance)] == [["a"], "OfClass", "lambda"]


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
    assert result.payload == ["x"]


def test_without_predict_the_answer_is_empty_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert call(type("Bare", (), {})()).payload == []
    assert "Bare has no predict" in caplog.text


def test_flat_results_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    results = iter([np.zeros((1, 1)), [[1]], [np.zeros(2)], {"a": 1}, "x", np.zeros(2), [1, 2]])
    adapter = Adapter(_model(lambda self, X, names: next(results)), UNIT)
    for told in [0, 0, 0, 0, 0, 1, 1]:
        adapter.call(given(Operation.PREDICT, Message(PayloadType.TEXT, "")), record)
        assert len(caplog.records) == told
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
    result = call(Base())
    assert (result.payload, result.tags, result.metrics) == ([], {}, [])
    assert result.class_names is not None
    assert result.class_names(["t:0"]) == ["t:0"]
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
    result = settle(Adapter(Model(), unit), given(Operation.PREDICT, Message(PayloadType.TEXT, "")), recording)
    assert order == ["predict", "record runtime", "metrics", "record own", "tags"]
    assert result.payload == "y"
    assert result.tags == {"a": "runtime", "b": "own"}
    assert result.metrics == [{"key": "own"}, {"key": "runtime"}]
    assert result.request_path == {"m": "i:1"}


def test_a_bad_metric_passes() -> None:
    def refuse(metrics: object) -> list[dict[str, Any]]:
        raise BadMetric("bad")

    user = _model(lambda self, X, names: SeldonResponse("y", metrics=[{}]))
    with pytest.raises(BadMetric):
        Adapter(user, UNIT).call(given(Operation.PREDICT, Message(PayloadType.TEXT, "")), refuse)


def test_class_names_as_method_attribute_and_property() -> None:
    class Method:
        def class_names(self) -> list[str]:
            return ["m"]

    class Attribute:
        class_names = ("a",)

    class Property:
        @property
        def class_names(self) -> list[str]:
            return ["p"]

    class Late:
        def __init__(self) -> None:
            self.class_names = ["l"]

    names = []
    for kind in (Method, Attribute, Property, Late):
        class_names = call(kind()).class_names
        assert class_names is not None
        names.append(class_names(["t:0"]))
    assert names == [["m"], ("a",), ["p"], ["l"]]
    assert call(_model(lambda self, X, names: X)).class_names is None


def test_health() -> None:
    assert call(_model(None), operation=Operation.HEALTH).payload == "healthy"
    user = type("Model", (), {"health_status": lambda self: {"fine": True}, "tags": lambda self: {"t": 1}})()
    result = call(user, operation=Operation.HEALTH)
    assert (result.payload, result.tags) == ({"fine": True}, {"t": 1})


def test_parameters_and_load() -> None:
    class Model:
        def __init__(self, a: int = 0) -> None:
            self.a = a

        def load(self) -> None:
            self.a += 1

        def predict(self, X: Any, names: Any) -> Any:
            return [self.a]

    adapter = build_component(Model, {"a": 5}, UNIT, MODEL)
    assert settle(adapter, given(Operation.PREDICT, Message(PayloadType.TEXT, ""))).payload == [6]


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
