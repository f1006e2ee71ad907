# ruff: noqa: ARG002, ARG004, ARG005, N803 - the signatures of the hooks are what is tested
"""Hooks get the arguments that their parameters ask for, also behind decorators, over REST and gRPC."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from seldon_spec.config.model import ServiceType, UnitSpec
from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.message import Operation
from seldon_spec.inference.metrics_sink import NullMetrics
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage, SeldonMessageList
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

GOT: dict[str, Any] = {}


def got(**values: Any) -> Any:
    """Note the arguments of a call; the result suits every hook."""
    GOT.clear()
    GOT.update(values)
    return np.int64(0)  # both an array and the branch of a router


def unnamed(method: Any) -> Any:
    """A decorator as many people write it, without functools.wraps."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return inner


def wrapped(method: Any) -> Any:
    @functools.wraps(method)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return inner


def narrow(method: Any) -> Any:
    """A wrapper that takes less than what it wraps."""

    @functools.wraps(method)
    def inner(self: Any, X: Any, names: Any = None) -> Any:
        return method(self, X, names)

    return inner


def with_self(method: Any) -> Any:
    def inner(self: Any, *args: Any, **kwargs: Any) -> Any:
        return method(self, *args, **kwargs)

    return inner


def positional(method: Any) -> Any:
    def inner(*args: Any) -> Any:
        return method(*args)

    return inner


def by_keyword(method: Any) -> Any:
    def inner(self: Any, X: Any, **kwargs: Any) -> Any:
        return method(self, X, **kwargs)

    return inner


def repeated(times: int, on_error: Callable[..., Any] = print) -> Any:
    """A decorator with arguments, one of them a callable."""

    def decorate(method: Any) -> Any:
        def inner(*args: Any, **kwargs: Any) -> Any:
            results = [method(*args, **kwargs) for _ in range(times)]
            return results[-1] if results else on_error()

        return inner

    return decorate


def asynchronous(method: Any) -> Any:
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return inner


class Timed:
    """A decorator that is a class."""

    def __init__(self, method: Any) -> None:
        self.method = method

    def __get__(self, obj: Any, kind: Any = None) -> Any:
        return functools.partial(self, obj)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.method(*args, **kwargs)


class TimedByCall(Timed):
    def __get__(self, obj: Any, kind: Any = None) -> Any:
        return functools.partial(self.__call__, obj)


def plain(method: Any) -> Any:
    return method


DECORATORS: dict[str, Callable[[Any], Any]] = {
    "none": plain,
    "unnamed": unnamed,
    "wrapped": wrapped,
    "self": with_self,
    "twice": lambda method: unnamed(unnamed(method)),
    "mixed": lambda method: wrapped(with_self(unnamed(method))),
    "with-arguments": repeated(2),
    "class": Timed,
    "class-by-call": TimedByCall,
    "class-within": lambda method: unnamed(TimedByCall(method)),
    "async": asynchronous,
    "partial": lambda method: functools.partialmethod(method),
}


class Shapes:
    """Methods, and by their names what they get."""

    @staticmethod
    def x(self: Any, X: Any) -> Any:
        return got(X=X)

    @staticmethod
    def x_names(self: Any, X: Any, names: Any = None) -> Any:
        return got(X=X, names=names)

    @staticmethod
    def x_any(self: Any, features: Any, columns: Any) -> Any:
        return got(X=features, names=columns)

    @staticmethod
    def x_names_meta(self: Any, X: Any, names: Any, meta: Any) -> Any:
        return got(X=X, names=names, meta=meta)

    @staticmethod
    def x_meta(self: Any, X: Any, meta: Any = None) -> Any:
        return got(X=X, meta=meta)

    @staticmethod
    def x_meta_names(self: Any, X: Any, meta: Any, feature_names: Any = ()) -> Any:
        return got(X=X, names=feature_names, meta=meta)

    @staticmethod
    def x_keyword_only(self: Any, X: Any, *, meta: Any, features_names: Any = None) -> Any:
        return got(X=X, names=features_names, meta=meta)

    @staticmethod
    def all_keyword_only(self: Any, *, X: Any, names: Any, meta: Any = None) -> Any:
        return got(X=X, names=names, meta=meta)

    @staticmethod
    def positional_only(self: Any, X: Any, names: Any, meta: Any, /) -> Any:
        return got(X=X, names=names, meta=meta)

    @staticmethod
    def x_default_gap(self: Any, X: Any, names: Any = None, other: Any = "o", meta: Any = None) -> Any:
        return got(X=X, names=names, other=other, meta=meta)

    @staticmethod
    def args(self: Any, *args: Any) -> Any:
        return got(X=args[0], names=args[1])

    @staticmethod
    def x_args(self: Any, X: Any, *args: Any) -> Any:
        return got(X=X, names=args[0])

    @staticmethod
    def kwargs(self: Any, X: Any, names: Any = None, **kwargs: Any) -> Any:
        return got(X=X, names=names, meta=kwargs.get("meta"))

    @staticmethod
    def args_kwargs(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(("X", "names"), args, strict=True))
        given.update(kwargs)
        return got(**given)


SHAPES: dict[str, set[str]] = {
    "x": {"X"},
    "x_names": {"X", "names"},
    "x_any": {"X", "names"},
    "x_names_meta": {"X", "names", "meta"},
    "x_meta": {"X", "meta"},
    "x_meta_names": {"X", "names", "meta"},
    "x_keyword_only": {"X", "names", "meta"},
    "all_keyword_only": {"X", "names", "meta"},
    "positional_only": {"X", "names", "meta"},
    "x_default_gap": {"X", "names", "other", "meta"},
    "args": {"X", "names"},
    "x_args": {"X", "names"},
    "kwargs": {"X", "names", "meta"},
    "args_kwargs": {"X", "names", "meta"},
}
DATA_HOOKS = {
    "predict": Operation.PREDICT,
    "transform_input": Operation.TRANSFORM_INPUT,
    "transform_output": Operation.TRANSFORM_OUTPUT,
    "route": Operation.ROUTE,
}
META = {"puid": "p"}
VALUES = {"X": [[1.0, 2.0]], "names": ["a", "b"], "meta": META, "other": "o"}
MESSAGE = {"data": {"names": ["a", "b"], "ndarray": [[1.0, 2.0]]}, "meta": META}


def record(metrics: object) -> list[dict[str, Any]]:
    return NullMetrics().record("m", metrics)


def ask(model: object, operation: Operation, tree: Any, **more: Any) -> None:
    """Make the same call over REST and over gRPC, each of which leaves the same values."""
    kind = {Operation.AGGREGATE: SeldonMessageList, Operation.FEEDBACK: Feedback}.get(operation, SeldonMessage)
    wire = json_format.ParseDict(tree, kind()).SerializeToString()
    seen = []
    for request in (JsonCodec().decode(operation, json.dumps(tree)), ProtoCodec().decode(operation, wire)):
        GOT.clear()
        Adapter(model, UnitSpec(id="u"), **more).call(request, record)
        seen.append({name: _listed(value) for name, value in GOT.items()})
    assert seen[0] == seen[1]


def _listed(value: Any) -> Any:
    if isinstance(value, list):
        return [_listed(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def named(name: str, shape: str) -> Any:
    """A method of this name."""
    method = getattr(Shapes, shape)
    copy = type(method)(method.__code__, method.__globals__, name, method.__defaults__, method.__closure__)
    copy.__kwdefaults__ = method.__kwdefaults__
    return copy


def check(expected: set[str]) -> None:
    assert {name: _listed(value) for name, value in GOT.items()} == {name: VALUES[name] for name in expected}


@pytest.mark.parametrize("name", DATA_HOOKS)
@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_data_hook_gets_what_it_takes(shape: str, decorator: str, name: str) -> None:
    model = type("Model", (), {name: DECORATORS[decorator](named(name, shape))})()
    ask(model, DATA_HOOKS[name], MESSAGE)
    check(SHAPES[shape])


class _Base:
    def predict(self, X: Any, names: Any) -> Any:
        return got(X=X, names=names)


class _BaseWithMeta:
    def predict(self, X: Any, names: Any, meta: Any) -> Any:
        return got(X=X, names=names, meta=meta)


class Inherits(_Base):
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        return super().predict(*args, **kwargs)


class InheritsMeta(_BaseWithMeta):
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        return super().predict(*args, **kwargs)


class ForwardsToOwn:
    def predict(self, X: Any, names: Any = None, **kwargs: Any) -> Any:
        return self.work(X, names, **kwargs)

    def work(self, X: Any, names: Any, meta: Any = None) -> Any:
        return got(X=X, names=names, meta=meta)


class ForwardsElsewhere:
    def __init__(self) -> None:
        self.model = _Base()

    def predict(self, X: Any, names: Any = None, **kwargs: Any) -> Any:
        return self.model.predict(X, names, **kwargs)


class Narrow:
    @narrow
    def predict(self, X: Any, names: Any = None, meta: Any = "none") -> Any:
        return got(X=X, names=names)


class ByKeyword:
    @by_keyword
    def predict(self, X: Any, names: Any = None, meta: Any = None) -> Any:
        return got(X=X, names=names, meta=meta)


class Positional:
    @positional
    def predict(self, X: Any, names: Any = None, meta: Any = None) -> Any:
        return got(X=X, names=names, meta=meta)


class Static:
    @staticmethod
    @unnamed
    def predict(X: Any, names: Any = None) -> Any:
        return got(X=X, names=names)


class OfClass:
    @classmethod
    @unnamed
    def predict(cls, X: Any, meta: Any = None) -> Any:
        return got(X=X, meta=meta)


class Dispatched:
    @functools.singledispatchmethod
    def predict(self, X: Any, names: Any = None) -> Any:
        return got(X=X, names=names)


class CallableObject:
    def __call__(self, X: Any, names: Any = None, meta: Any = None) -> Any:
        return got(X=X, names=names, meta=meta)


class AttributeOfInstance:
    def __init__(self, predict: Any) -> None:
        self.predict = predict


def _alone(X: Any) -> Any:
    return got(X=X)


def _with_option(option: Any, X: Any, names: Any = None) -> Any:
    return got(X=X, names=names)


class _Closed:
    """Its hook has a closure, and is no wrapper."""

    def __new__(cls) -> Any:
        def helper(value: Any) -> Any:
            return value

        class Closed:
            def predict(self, *args: Any, **kwargs: Any) -> Any:
                return got(X=helper(args[0]), names=args[1], meta=kwargs["meta"])

        return Closed()


MODELS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "super": (Inherits, {"X", "names"}),
    "super-meta": (InheritsMeta, {"X", "names", "meta"}),
    "own-method": (ForwardsToOwn, {"X", "names", "meta"}),
    "other-object": (ForwardsElsewhere, {"X", "names"}),
    "narrow-wrapper": (Narrow, {"X", "names"}),
    "keyword-wrapper": (ByKeyword, {"X", "names", "meta"}),
    "positional-wrapper": (Positional, {"X", "names", "meta"}),
    "static": (Static, {"X", "names"}),
    "class-method": (OfClass, {"X", "meta"}),
    "single-dispatch": (Dispatched, {"X", "names"}),
    "callable-object": (lambda: AttributeOfInstance(CallableObject()), {"X", "names", "meta"}),
    "function": (lambda: AttributeOfInstance(_alone), {"X"}),
    "wrapped-function": (lambda: AttributeOfInstance(unnamed(_alone)), {"X"}),
    "wrapped-bound-method": (lambda: AttributeOfInstance(unnamed(_Base().predict)), {"X", "names"}),
    "partial": (lambda: AttributeOfInstance(functools.partial(_with_option, 1)), {"X", "names"}),
    "wrapped-partial": (lambda: AttributeOfInstance(unnamed(functools.partial(_with_option, 1))), {"X", "names"}),
    "closure": (_Closed, {"X", "names", "meta"}),
}


@pytest.mark.parametrize(("make", "expected"), MODELS.values(), ids=MODELS)
def test_a_method_of_another_kind_gets_what_it_takes(make: Callable[[], Any], expected: set[str]) -> None:
    ask(make(), Operation.PREDICT, MESSAGE)
    check(expected)


def test_a_function_whose_signature_is_unknown_gets_x_and_names() -> None:
    with pytest.raises(ComponentFailed, match="not supported between instances of 'list' and 'str'"):
        Adapter(AttributeOfInstance(max), UnitSpec()).call(
            JsonCodec().decode(Operation.PREDICT, '{"strData":"x"}'), record
        )


@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_combiner_gets_meta_only_by_name(decorator: str) -> None:
    decorate = DECORATORS[decorator]
    tree = {"seldonMessages": [MESSAGE]}
    for shape, expected in (("x", {"X"}), ("x_names", {"X", "names"}), ("x_names_meta", {"X", "names", "meta"})):
        ask(type("Model", (), {"aggregate": decorate(named("aggregate", shape))})(), Operation.AGGREGATE, tree)
        assert set(GOT) == expected
        if "meta" in expected:
            assert GOT["meta"]["puid"] == "p"
    ask(type("Model", (), {"aggregate": decorate(named("aggregate", "args_kwargs"))})(), Operation.AGGREGATE, tree)
    assert set(GOT) == {"X", "names"}


@pytest.mark.parametrize("decorator", ["none", "unnamed", "wrapped", "class"])
@pytest.mark.parametrize(("shape", "expected"), [("x", {"X"}), ("x_names", {"X", "names"}), ("x_meta", {"X", "meta"})])
def test_a_detector_s_scores(shape: str, expected: set[str], decorator: str) -> None:
    hooks = {"score": DECORATORS[decorator](named("score", shape)), "predict": lambda self, X: X}
    ask(type("Model", (), hooks)(), Operation.PREDICT, MESSAGE, service_type=ServiceType.OUTLIER_DETECTOR)
    check(expected)


class Feedbacks:
    @staticmethod
    def whole(self: Any, X: Any, names: Any, reward: Any, truth: Any, routing: Any = None) -> Any:
        got(X=X, names=names, reward=reward, truth=truth, routing=routing)

    @staticmethod
    def without(self: Any, features: Any, feature_names: Any, reward: Any, truth: Any) -> Any:
        got(X=features, names=feature_names, reward=reward, truth=truth)

    @staticmethod
    def routing_first(self: Any, X: Any, routing: Any, names: Any, reward: Any, truth: Any) -> Any:
        got(X=X, names=names, reward=reward, truth=truth, routing=routing)

    @staticmethod
    def keyword_only(self: Any, X: Any, names: Any, *, reward: Any, truth: Any, routing: Any) -> Any:
        got(X=X, names=names, reward=reward, truth=truth, routing=routing)

    @staticmethod
    def few(self: Any, X: Any, reward: Any) -> Any:
        got(X=X, reward=reward)

    @staticmethod
    def kwargs(self: Any, X: Any, names: Any, reward: Any, truth: Any, **kwargs: Any) -> Any:
        got(X=X, names=names, reward=reward, truth=truth, **kwargs)

    @staticmethod
    def args_kwargs(self: Any, *args: Any, **kwargs: Any) -> Any:
        got(**dict(zip(("X", "names", "reward", "truth"), args, strict=True)), **kwargs)


FEEDBACK = {"X", "names", "reward", "truth", "routing"}
FEEDBACKS = {
    "whole": FEEDBACK,
    "without": FEEDBACK - {"routing"},
    "routing_first": FEEDBACK,
    "keyword_only": FEEDBACK,
    "few": {"X", "reward"},
    "kwargs": FEEDBACK,
    "args_kwargs": FEEDBACK,
}


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("shape", FEEDBACKS)
def test_feedback_gives_what_the_hook_takes(shape: str, decorator: str) -> None:
    method = getattr(Feedbacks, shape)
    method.__name__ = "send_feedback"
    tree = {
        "request": MESSAGE,
        "reward": 0.5,
        "truth": {"data": {"ndarray": [[3.0]]}},
        "response": {"meta": {"routing": {"u": 1}}},
    }
    ask(type("Model", (), {"send_feedback": DECORATORS[decorator](method)})(), Operation.FEEDBACK, tree)
    values = {**VALUES, "reward": 0.5, "truth": [[3.0]], "routing": 1}
    assert {name: _listed(value) for name, value in GOT.items()} == {name: values[name] for name in FEEDBACKS[shape]}


@pytest.mark.parametrize("decorator", ["unnamed", "wrapped", "class", "async", "twice"])
def test_hooks_without_arguments_and_of_whole_messages_may_be_decorated(decorator: str) -> None:
    decorate = DECORATORS[decorator]
    hooks = {
        "tags": decorate(lambda self: {"t": 1}),
        "metrics": decorate(lambda self: [{"key": "k", "type": "GAUGE", "value": 1}]),
        "class_names": decorate(lambda self: ["c"]),
        "health_status": decorate(lambda self: "fine"),
        "transform_input_raw": decorate(lambda self, message: {"strData": "raw"}),
        "predict": lambda self, X, names: [[1]],
    }
    adapter = Adapter(type("Model", (), hooks)(), UnitSpec())
    for operation, text in (
        (Operation.PREDICT, '{"data":{"names":["c"],"ndarray":[[1]]},"meta":{"metrics":[],"tags":{"t":1}}}'),
        (Operation.HEALTH, '{"meta":{"tags":{"t":1}},"strData":"fine"}'),
        (Operation.TRANSFORM_INPUT, '{"strData":"raw"}'),
    ):
        request = JsonCodec().decode(operation, '{"data":{"ndarray":[[1]]}}')
        answer = json.loads(JsonCodec().encode(adapter.call(request, record), request).body)
        if operation is not Operation.TRANSFORM_INPUT:
            assert [metric["key"] for metric in answer["meta"].pop("metrics")] == ["k"]
        expected = json.loads(text)
        expected.get("meta", {}).pop("metrics", None)
        assert answer == expected


def test_a_method_that_takes_no_payload_fails_with_python_s_own_words() -> None:
    model = type("Model", (), {"predict": lambda self: 1})()
    with pytest.raises(ComponentFailed, match="takes 1 positional argument but 3 were given"):
        Adapter(model, UnitSpec()).call(JsonCodec().decode(Operation.PREDICT, '{"strData":"x"}'), record)
