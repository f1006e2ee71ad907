"""Graphs with servers that are slow, or fail: shadows, and branches that run beside each other."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.config.graph import CallStep, ChainStep, CombineStep, ShadowStep, Step
from seldon_spec.config.model import ComponentSpec, ServiceType, Spec
from seldon_spec.errors import ComponentFailed, RemoteFailed, ResultError
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.graph.shadows import MAX_SHADOWS
from seldon_spec.inference.message import Operation
from seldon_spec.inference.metrics_sink import NullMetrics
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.remote import connect_component
from tests.remote.peers import WAIT_SECONDS, HttpPeer, respond

JSON = JsonCodec()
REQUEST = json.dumps({"data": {"ndarray": [[1.0, 2.0]]}}).encode()
RESPONSE = respond(b'{"data": {"ndarray": [[5.0, 5.0]]}}')
LOCAL, REMOTE, OTHER = CallStep("local"), CallStep("remote"), CallStep("other")

Begin = Callable[[Step, dict[str, HttpPeer]], Dispatcher]


class Dropped(NullMetrics):
    """Counts what is dropped."""

    def __init__(self) -> None:
        self.shadows: list[str] = []

    def count_dropped_shadow(self, step: str) -> None:
        self.shadows.append(step)


def hang(peer: HttpPeer, connection: socket.socket) -> None:
    """Respond when the test says so."""
    peer.release.wait(WAIT_SECONDS)
    connection.sendall(RESPONSE)


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    found = HttpPeer(hang, {"/ready": respond()})
    yield found
    found.stop()


@pytest.fixture
def dropped() -> Dropped:
    return Dropped()


@pytest.fixture
def begin(
    make_component: Callable[..., ComponentSpec],
    make_graph: Callable[..., Spec],
    start: Callable[..., Dispatcher],
    dropped: Dropped,
) -> Begin:
    def begin(step: Step, peers: dict[str, HttpPeer]) -> Dispatcher:
        remote = {name: ComponentSpec(ServiceType.MODEL, url=peer.url) for name, peer in peers.items()}
        large, small = (make_component("large", class_name=f"Large.{name}") for name in ("Large", "Small"))
        local = {name: make_component(name) for name in ("local", "second")}
        components = {**local, "large": large, "small": small, **remote}
        return start(make_graph(step, components), connect=connect_component, metrics=dropped)

    return begin


def ask(dispatcher: Dispatcher, wire: bytes = REQUEST) -> Any:
    return json.loads(dispatcher.submit(Operation.PREDICT, wire, JSON).result(WAIT_SECONDS).body)


def test_no_request_waits_for_the_server_of_a_shadow(begin: Begin, peer: HttpPeer, calls: list[Any]) -> None:
    dispatcher = begin(ShadowStep(LOCAL, ChainStep((REMOTE, CallStep("second")))), {"remote": peer})
    for _ in range(3):
        assert ask(dispatcher)["data"]["ndarray"] == [[1.0, 2.0]]
    assert peer.received.wait(WAIT_SECONDS)
    ask(dispatcher)  # the server has still not responded
    assert [name for name, *_ in calls] == ["local"] * 4
    peer.release.set()
    for _ in range(10_000):
        if ("second", "predict", [[5.0, 5.0]]) in calls:  # the shadow continues, after requests that wait
            break
        ask(dispatcher)
    else:
        pytest.fail("the shadow was never completed")


def test_shadows_that_are_too_many_are_dropped(begin: Begin, peer: HttpPeer, dropped: Dropped) -> None:
    dispatcher = begin(ShadowStep(LOCAL, REMOTE), {"remote": peer})
    for _ in range(MAX_SHADOWS + 3):
        ask(dispatcher)
    assert dropped.shadows == ["remote"] * 3


def test_shadows_of_large_messages_are_fewer(
    begin: Begin, peer: HttpPeer, dropped: Dropped, recorder_folder: Path
) -> None:
    (recorder_folder / "Large.py").write_text(
        "class Large:\n    def predict(self, X, names):\n        return bytes(40 << 20)\n"
        "class Small:\n    def predict(self, X, names):\n        return [[1]]\n"
    )
    step = ChainStep((CallStep("large"), ShadowStep(CallStep("small"), REMOTE)))
    dispatcher = begin(step, {"remote": peer})
    for _ in range(3):
        ask(dispatcher)
    assert dropped.shadows == ["remote"] * 2


def test_calls_that_wait_for_a_thread_are_not_made_after_an_error(begin: Begin, peer: HttpPeer) -> None:
    def fail_once(failing: HttpPeer, connection: socket.socket) -> None:
        failing.release.wait(WAIT_SECONDS)
        connection.sendall(RESPONSE if len(failing.posts) > 1 else respond(b"{}", "500 Internal Server Error"))

    failing = HttpPeer(fail_once, {})
    try:
        step = CombineStep("average", None, (OTHER, *[REMOTE] * 60))
        dispatcher = begin(step, {"remote": peer, "other": failing})
        reply = dispatcher.submit(Operation.PREDICT, REQUEST, JSON)
        assert peer.received.wait(WAIT_SECONDS)
        failing.release.set()
        with pytest.raises(RemoteFailed):
            reply.result(WAIT_SECONDS)
        peer.release.set()
        ask(dispatcher)  # its calls come after those that were waiting
        assert len(peer.posts) < 60 + 60
    finally:
        failing.stop()


@pytest.mark.parametrize("routing", ['{"a": "x"}', '{"a": null}', '{"a": [1]}', '{"a": 1e400}', '{"a": 5000000000}'])
def test_branches_of_a_server_that_are_no_numbers(routing: str, begin: Begin) -> None:
    body = '{"data": {"ndarray": [[5.0]]}, "meta": {"requestPath": {"b": null, "c": "d:1"}, "routing": %s}}'
    wrong = HttpPeer(lambda _peer, connection: connection.sendall(respond((body % routing).encode())), {})
    right = HttpPeer(lambda _peer, connection: connection.sendall(respond((body % '{"e": 1}').encode())), {})
    try:
        with pytest.raises(ResultError, match=r"meta\.routing") as caught:
            ask(begin(REMOTE, {"remote": wrong}))
        assert caught.value.component == "remote"
        meta = ask(begin(ChainStep((REMOTE, LOCAL)), {"remote": right}))["meta"]
        assert meta["routing"] == {"e": 1}
        assert meta["requestPath"]["c"] == "d:1"
    finally:
        wrong.stop()
        right.stop()


def test_a_graph_is_ready_without_the_servers_of_shadows(begin: Begin, reserve_ports: Any, peer: HttpPeer) -> None:
    with reserve_ports(1) as (port,):
        absent = copy.copy(peer)
        absent.url = f"http://127.0.0.1:{port}"
        dispatcher = begin(ShadowStep(LOCAL, REMOTE), {"remote": absent})
        assert dispatcher.is_ready
        assert dispatcher.describe_state() == "ready"
        needed = begin(ChainStep((ShadowStep(LOCAL, REMOTE), REMOTE)), {"remote": absent})
        assert not needed.is_ready
        assert "component remote" in needed.describe_state()


def test_an_error_is_logged_with_the_name_of_its_component(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    failing = json.dumps({"data": {"ndarray": [[1.0]]}, "meta": {"tags": {"fail": "second"}}}).encode()
    with pytest.raises(ComponentFailed):
        ask(begin(ChainStep((LOCAL, CallStep("second"))), {}), failing)
    assert "predict: component second: second fails" in caplog.text
