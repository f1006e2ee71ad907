"""Random graphs: in process, over REST, over gRPC, and by a reference that is written from the executor's semantics.

All of them make the same calls in the same order, and return the same response, ``meta`` and feedback.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seldon_spec.config.graph import (
    CallStep,
    ChainStep,
    CombineStep,
    Method,
    RouteStep,
    ShadowStep,
    SplitStep,
    Step,
    list_children,
    list_components,
)
from seldon_spec.config.model import ComponentSpec, ServiceType, Spec
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.json_proto import feedback_from_tree
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage, json_form
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.remote.component import connect

FACTORS = {"m0": 2.0, "m1": 3.0, "m2": 0.5, "t0": 4.0, "t1": 0.25, "r0": 1.0, "r1": 1.0, "k0": 2.0, "k1": 1.0}
TYPES = {"m": ServiceType.MODEL, "t": ServiceType.TRANSFORMER, "r": ServiceType.ROUTER, "k": ServiceType.COMBINER}

# ----- the reference


@dataclass
class Sent:
    """A message in the reference."""

    data: Any
    tags: dict[str, Any] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)


class Stop(Exception):
    """A component fails."""


class Reference:
    """Traverses the steps; ``routing``, ``path`` and ``calls`` are what the request left."""

    def __init__(self) -> None:
        self.routing: dict[str, int] = {}
        self.path: dict[str, str] = {}
        self.calls: list[Any] = []

    def _respond(self, name: str, method: str, sent: Sent, data: Any) -> Sent:
        self.calls.append([name, method, np.array(sent.data).tolist()])
        self.path[name] = f"{name}:1"
        if sent.tags.get("fail") == name:
            raise Stop(name)
        own = {f"tag of {name}": True, "last": name}
        return Sent(data, {**sent.tags, **own}, [*sent.metrics, f"calls_{name}"])

    def run(self, step: Step, sent: Sent) -> Sent:
        if isinstance(step, CallStep):
            return self._respond(step.component, step.method.value, sent, sent.data * FACTORS[step.component])
        if isinstance(step, ChainStep):
            for each in step.steps:
                sent = self.run(each, sent)
            return sent
        if isinstance(step, ShadowStep):
            return self.run(step.step, sent)
        if isinstance(step, RouteStep):
            branch = int(sent.tags.get(f"branch of {step.router}", 0))
            response = self._respond(step.router, "route", sent, None)
            if not -2 <= branch < len(step.branches):
                raise Stop(step.router)
            self.routing[step.name] = branch
            sent = Sent(sent.data, response.tags, response.metrics)
            if branch == -2:
                return sent
            return self._all(step, sent)[0] if branch == -1 else self.run(step.branches[branch], sent)
        if isinstance(step, SplitStep):
            self.routing[step.name] = int(np.argmax(step.weights))
            return self.run(step.branches[self.routing[step.name]], sent)
        self.routing[step.name] = -1
        responses = self._all(step, sent)
        datas = [response.data for response in responses]
        tags = {tag: value for response in responses for tag, value in response.tags.items()}
        metrics = [metric for response in responses for metric in response.metrics]
        joined = Sent(datas, tags, metrics)
        if step.combiner is None:
            return replace(joined, data=np.mean(datas, axis=0))
        return self._respond(step.combiner, "aggregate", joined, np.sum(datas, axis=0) * FACTORS[step.combiner])

    def _all(self, step: RouteStep | CombineStep, sent: Sent) -> list[Sent]:
        return [self.run(branch, sent) for branch in step.branches]

    def list_receivers(self, step: Step, routing: Mapping[str, int]) -> Iterator[str]:
        if isinstance(step, CallStep):
            yield step.component
        if isinstance(step, RouteStep):
            yield step.router
        children: tuple[Step, ...] = list_children(step)
        if isinstance(step, ShadowStep):
            children = children[:1]
        elif isinstance(step, (RouteStep, SplitStep)) and routing.get(step.name, -1) != -1:
            children = () if routing[step.name] == -2 else (children[routing[step.name]],)
        for child in children:
            yield from self.list_receivers(child, routing)
        if isinstance(step, CombineStep) and step.combiner is not None:
            yield step.combiner


# ----- random graphs


@st.composite
def graphs(draw: Callable[..., Any]) -> Step:
    numbers = count()
    routers = ["r0", "r1"]

    def make(depth: int) -> Step:
        kinds = ["call", "call", "chain", "split", "combine", "average", "shadow"]
        kind = draw(st.sampled_from(kinds + ["route"] * bool(routers))) if depth else "call"
        if kind == "call":
            name = draw(st.sampled_from(["m0", "m1", "m2", "t0", "t1"]))
            methods = [Method.PREDICT] if name[0] == "m" else [Method.TRANSFORM_INPUT, Method.TRANSFORM_OUTPUT]
            return CallStep(name, draw(st.sampled_from(methods)))
        if kind == "shadow":
            return ShadowStep(make(depth - 1), CallStep("m0"))
        name = f"step-{next(numbers)}"
        if kind == "route":
            router = routers.pop()
            name = draw(st.sampled_from([name, router]))
        branches = tuple(make(depth - 1) for _ in range(draw(st.integers(1, 3))))
        if kind == "chain":
            return ChainStep(branches)
        if kind == "route":
            return RouteStep(name, router, branches)
        if kind == "split":
            chosen = draw(st.integers(0, len(branches) - 1))
            return SplitStep(name, tuple(1e12 if i == chosen else 1e-12 for i in range(len(branches))), branches)
        return CombineStep(name, draw(st.sampled_from(["k0", "k1"])) if kind == "combine" else None, branches)

    return make(draw(st.integers(0, 3)))


REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "branch of r0": st.integers(-2, 2),
        "branch of r1": st.integers(-2, 2),
        "fail": st.sampled_from(["no component", "m0", "t1", "r0", "k0"]),
        "last": st.just("client"),
    },
)

# ----- the ways to run a graph


@pytest.fixture(scope="module")
def components(make_component: Callable[..., ComponentSpec]) -> dict[str, ComponentSpec]:
    changing = ("m1", "t1", "r1")
    return {
        name: make_component(name, TYPES[name[0]], factor=factor, changes=name in changing)
        for name, factor in FACTORS.items()
    }


@pytest.fixture(scope="module")
def ports(
    components: dict[str, ComponentSpec], serve_in_thread: Callable[..., AbstractContextManager[Any]]
) -> Iterator[dict[str, tuple[int, int]]]:
    """The REST and gRPC ports of servers of all components."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name, component in components.items():
            spec = component.spec
            assert spec is not None
            running = stack.enter_context(
                serve_in_thread(
                    spec.folder,
                    spec.class_name,
                    service_type=spec.service_type,
                    parameters=spec.parameters,
                    unit=spec.unit,
                )
            )
            found[name] = (running.http_port, running.grpc_port)
        yield found


class Way:
    """Starts a graph, and sends requests to it."""

    def __init__(self, name: str, folder: Path, components: Mapping[str, ComponentSpec]) -> None:
        self.name = name
        self.is_json = not name.endswith("protobuf")
        self._codec: JsonCodec | ProtoCodec = JsonCodec() if self.is_json else ProtoCodec()
        self._folder = folder
        self._components = components
        self._clients: dict[str, Any] = {}
        self._closes: list[Callable[[], None]] = []

    def start(self, step: Step) -> Dispatcher:
        components = {name: self._components[name] for name in list_components(step)}
        spec = Spec(None, self._folder, "graph", graph=step, components=components)
        dispatcher = dispatcher_for(spec, connect=self._connect)
        dispatcher.start().result(20)
        return dispatcher

    def _connect(self, name: str, component: ComponentSpec, graph: Spec) -> Any:
        if name not in self._clients:
            client: Any = connect(name, component, graph.folder)
            self._closes.append(client.close)
            client.close = lambda: None  # the next graph uses it as well
            self._clients[name] = client
        return self._clients[name]

    def ask(self, dispatcher: Dispatcher, operation: Operation, tree: Any) -> Any:
        """Return the response as JSON, or the error's status, component and text."""
        try:
            body = dispatcher.submit(operation, self._encode(operation, tree), self._codec).result(20).body
        except SeldonSpecError as error:
            failure = describe(error)
            return failure.http, error.component, failure.info.rpartition(": ")[2]
        return json.loads(body) if self.is_json else json_form.message_to_tree(SeldonMessage.FromString(body))

    def _encode(self, operation: Operation, tree: Any) -> bytes:
        if self.is_json:
            return json.dumps(tree).encode()
        if operation is Operation.FEEDBACK:
            wire: bytes = feedback_from_tree(tree).SerializeToString()
        else:
            wire = json_form.tree_to_message(tree, SeldonMessage()).SerializeToString()
        return wire

    def close(self) -> None:
        for close in self._closes:
            close()


@pytest.fixture(scope="module")
def ways(
    components: dict[str, ComponentSpec], ports: dict[str, tuple[int, int]], recorder_folder: Path
) -> Iterator[list[Way]]:
    by_rest = {n: replace(c, url=f"http://127.0.0.1:{ports[n][0]}") for n, c in components.items()}
    by_grpc = {n: replace(c, url=f"grpc://127.0.0.1:{ports[n][1]}") for n, c in components.items()}
    mixed = {n: (components, by_rest, by_grpc)[index % 3][n] for index, n in enumerate(components)}
    ways = [
        Way(f"{place}, {encoding}", recorder_folder, specs)
        for place, specs in (("local", components), ("rest", by_rest), ("grpc", by_grpc), ("mixed", mixed))
        for encoding in ("json", "protobuf")
    ]
    yield ways
    for way in ways:
        way.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(step=graphs(), tags=REQUESTS)
def test_all_ways_are_equal(step: Step, tags: dict[str, Any], ways: list[Way], calls: list[Any]) -> None:
    request: dict[str, Any] = {
        "data": {"names": ["a", "b"], "ndarray": [[1.0, 2.0], [3.0, 4.0]]},
        "meta": {"puid": "p", "tags": tags},
    }
    reference = Reference()
    expected: Sent | None
    try:
        expected = reference.run(step, Sent(np.array(request["data"]["ndarray"]), tags))
    except Stop as stop:
        expected, failed = None, str(stop)
    for way in ways:
        calls.clear()
        dispatcher = way.start(step)
        try:
            response = way.ask(dispatcher, Operation.PREDICT, request)
            if expected is None:
                assert isinstance(response, tuple), f"{way.name}: {response}"
                assert response[:2] == (500, failed), way.name
                continue
            seen = [list(call) for call in calls if call[1] != "send_feedback"]
            _check(response, expected, reference, way.name)
            _check_calls(_without_shadows(seen, step), reference.calls, step, way.name)
            calls.clear()
            feedback = {"request": request, "response": response, "reward": 0.5}
            acknowledged = way.ask(dispatcher, Operation.FEEDBACK, feedback)
            receivers = list(dict.fromkeys(reference.list_receivers(step, reference.routing)))
            assert [c[0] for c in calls if c[1] == "send_feedback"] == receivers[::-1], way.name
            for name, method, seen_values in calls:
                if method == "send_feedback" and name[0] == "r":
                    routed = {step.router: step.name for step in _routes(step)}[name]
                    assert seen_values == [0.5, reference.routing[routed]]
            assert acknowledged["meta"]["requestPath"] == {receivers[0]: f"{receivers[0]}:1"}, way.name
        finally:
            dispatcher.stop()


def _check(response: Any, expected: Sent, reference: Reference, way: str) -> None:
    assert isinstance(response, dict), f"{way}: {response}"
    meta = response["meta"]
    assert np.allclose(response["data"]["ndarray"], expected.data, rtol=1e-12), way
    assert meta["tags"] == expected.tags if expected.tags else "tags" not in meta, way
    assert [metric["key"] for metric in meta.get("metrics", [])] == expected.metrics, way
    assert meta.get("routing", {}) == reference.routing, way
    assert meta.get("requestPath", {}) == reference.path, way
    assert meta["puid"] == "p"


def _routes(step: Step) -> Iterator[RouteStep]:
    if isinstance(step, RouteStep):
        yield step
    for child in list_children(step):
        yield from _routes(child)


def _without_shadows(seen: list[Any], step: Step) -> list[Any] | None:
    """Return the calls without those of shadows; None if they cannot be distinguished from others."""
    return None if _has_shadow(step) else seen


def _has_shadow(step: Step) -> bool:
    return isinstance(step, ShadowStep) or any(_has_shadow(child) for child in list_children(step))


def _check_calls(seen: list[Any] | None, expected: list[Any], step: Step, way: str) -> None:
    """Compare the calls; those of the branches of a combiner overlap if servers are called, so only of each component."""
    del step
    if seen is None:
        return
    if way.startswith("local"):
        assert seen == expected, way
    else:
        assert sorted(map(str, seen)) == sorted(map(str, expected)), way
