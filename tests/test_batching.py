"""Batching: requests that wait are answered by one call of the class, and none of them can tell."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seldon_spec.config.model import BatchingSpec, ServiceType, UnitSpec
from seldon_spec.errors import ComponentFailed, NotServing, PayloadError
from seldon_spec.inference.call import BaseContext, Call, find_request_id
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.contract import SeldonResponse
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.observability.metrics import Exposition, Metrics
from seldon_spec.protocols.seldon_v1.grpc_methods import CompressedProtoCodec
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.transport.grpc.messages import decompress

JSON, PROTO = JsonCodec(), ProtoCodec()
WAIT_SECONDS = 10


class Doubling:
    """Each row by itself; remembers how many rows each call had."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, rows: Any, _names: Any) -> Any:
        self.calls.append(len(rows))
        if np.any(rows == -1):
            raise ValueError("minus one")
        rows += rows  # a class may write into what it is given
        return rows


def body(rows: Any, **more: Any) -> bytes:
    return json.dumps({"data": {"ndarray": rows}, **more}).encode()


def proto(rows: list[list[float]]) -> bytes:
    flat = [value for row in rows for value in row]
    message = SeldonMessage(data={"tensor": {"shape": [len(rows), len(rows[0])], "values": flat}})
    wire: bytes = message.SerializeToString()
    return wire


class Queue:
    """A dispatcher whose only model thread is held, so that all calls wait and are seen at once."""

    def __init__(self, user: object, batching: BatchingSpec | None, **more: Any) -> None:
        self.metrics = Metrics()
        threads = ModelThreads(1)
        self.dispatcher = Dispatcher(lambda: Adapter(user, UnitSpec(), **more), threads, self.metrics, batching)
        self.dispatcher.start().result(WAIT_SECONDS)
        self._threads = threads

    def hold(self) -> threading.Event:
        """Keep the model thread until the event is set."""
        release = threading.Event()
        self._threads.submit(lambda: release.wait(WAIT_SECONDS))
        return release

    def run_on_thread(self, task: Callable[[], None]) -> None:
        self._threads.submit(task)

    def ask(
        self, *wires: tuple[Codec, bytes], operation: Operation = Operation.PREDICT, then: Any = None
    ) -> list[Call]:
        """Post all, one by one as several connections would, and wait until each has been answered."""
        release = self.hold()
        answered = threading.Semaphore(0)

        def take(call: Call) -> None:
            if then is not None:
                then(call)
            answered.release()

        calls = [Call(operation, wire, codec, take, BaseContext(f"r{i}")) for i, (codec, wire) in enumerate(wires)]
        for call in calls:
            self.dispatcher.post([call])
        release.set()
        for _ in calls:
            assert answered.acquire(timeout=WAIT_SECONDS)
        return calls


@contextmanager
def queued(user: object, max_rows: int | None = 100, **more: Any) -> Iterator[Queue]:
    queue = Queue(user, None if max_rows is None else BatchingSpec(max_rows), **more)
    try:
        yield queue
    finally:
        queue.dispatcher.stop()


def bodies(calls: Sequence[Call]) -> list[bytes]:
    replies = [call.response for call in calls]
    return [b"" if reply is None else reply.body for reply in replies]


VALUES = st.integers(-3, 3) | st.floats(-1e6, 1e6)
TABLES = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=1, max_size=4)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([JSON, PROTO]), TABLES), min_size=1, max_size=12), st.integers(2, 9))
def test_merged_answers_are_the_single_ones(asked: list[tuple[Codec, list[list[float]]]], max_rows: int) -> None:
    """Byte for byte, errors included: a row with -1 makes the class raise."""
    wires = [(codec, body(rows) if codec is JSON else proto(rows)) for codec, rows in asked]
    user = Doubling()
    with queued(user, max_rows) as merged, queued(Doubling(), None) as single:
        together, alone = merged.ask(*wires), single.ask(*wires)
    assert bodies(together) == bodies(alone)
    assert [str(call.error) for call in together] == [str(call.error) for call in alone]
    assert all(rows <= max(max_rows, *(len(rows) for _, rows in asked)) for rows in user.calls)


def test_rest_and_grpc_are_answered_together() -> None:
    user = Doubling()
    tensor = b'{"data":{"tensor":{"shape":[1,2],"values":[1.0,2.0]}}}'
    with queued(user) as queue:
        queue.ask((JSON, tensor), (PROTO, proto([[3.0, 4.0]])), (JSON, tensor))
    assert user.calls == [3]


def test_a_lone_request_is_a_call_of_its_own() -> None:
    user = Doubling()
    with queued(user) as queue:
        (call,) = queue.ask((JSON, body([[1, 2], [3, 4]])))
    assert user.calls == [2]
    assert json.loads(bodies([call])[0])["data"]["ndarray"] == [[2, 4], [6, 8]]
    assert "seldon_spec_batch_requests_count" not in Exposition(queue.metrics).render().decode()


def test_calls_that_wait_are_bounded_by_max_rows() -> None:
    user = Doubling()
    with queued(user, 4) as queue:
        queue.ask(*[(JSON, body([[i]] * rows)) for i, rows in enumerate([1, 1, 3, 5, 1, 2, 1])])
    assert max(user.calls) == 5  # one request's own rows are never divided
    assert sum(user.calls) == 14
    assert len(user.calls) < 7


def test_calls_that_wait_are_bounded_by_the_size_of_their_messages() -> None:
    """Compressed messages are small while they wait."""
    message = SeldonMessage(data={"tensor": {"shape": [1, 1024, 1024], "values": [1.0] * (1 << 20)}})
    wire, codec = (
        gzip.compress(message.SerializeToString(), 1),
        CompressedProtoCodec(partial(decompress, "gzip", max_bytes=1 << 24)),
    )
    doubling = Doubling()
    with queued(doubling, 1000) as queue:
        calls = queue.ask(*[(codec, wire)] * 10)
    assert all(call.response for call in calls)
    assert doubling.calls == [8, 2]


def test_an_error_is_isolated_and_what_cannot_be_read_is_answered_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    user = Doubling()
    with queued(user) as queue:
        calls = queue.ask((JSON, body([[1]])), (JSON, b"{"), (JSON, body([[-1]])), (JSON, body([[3]])))
    assert [type(call.error) for call in calls] == [type(None), PayloadError, ComponentFailed, type(None)]
    assert json.loads(bodies(calls)[3])["data"]["ndarray"] == [[6]]
    assert user.calls == [3, 1, 1, 1]
    logged = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert logged == ["predict: minus one"]  # of the one request that it belongs to


class Tagging(Doubling):
    """Tags and metrics of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.tagged = 0

    def tags(self) -> dict[str, int]:
        self.tagged += 1
        return {"tagged": self.tagged}

    def metrics(self) -> list[dict[str, Any]]:
        return [{"type": "COUNTER", "key": "asked", "value": 1}]


def test_tags_metrics_and_puid_stay_with_their_request() -> None:
    user = Tagging()
    with queued(user) as queue:
        calls = queue.ask(*[(JSON, body([[i]], meta={"puid": f"p{i}", "tags": {"own": i}})) for i in range(3)])
    metas = [json.loads(text)["meta"] for text in bodies(calls)]
    assert user.calls == [3]
    assert [meta["puid"] for meta in metas] == ["p0", "p1", "p2"]
    assert [meta["tags"] for meta in metas] == [{"own": i, "tagged": i + 1} for i in range(3)]
    assert [meta["metrics"] for meta in metas] == [[{"type": "COUNTER", "key": "asked", "value": 1}]] * 3
    page = Exposition(queue.metrics).render().decode()
    assert next(line for line in page.splitlines() if line.startswith("asked_total")).endswith(" 3.0")


class TellsOnce(Doubling):
    def predict(self, rows: Any, _names: Any) -> Any:
        return SeldonResponse(super().predict(rows, _names), tags={"rows": len(rows)})


class Sums(Doubling):
    def predict(self, rows: Any, _names: Any) -> Any:
        return [float(np.sum(super().predict(rows, _names)))]


@pytest.mark.parametrize("kind", [TellsOnce, Sums])
def test_what_cannot_be_told_apart_is_asked_singly_from_then_on(
    kind: type[Doubling], caplog: pytest.LogCaptureFixture
) -> None:
    user = kind()
    wires = [(JSON, body([[i]])) for i in range(3)]
    with queued(user) as queue, queued(kind(), None) as single:
        alone = bodies(single.ask(*wires))
        assert bodies(queue.ask(*wires)) == alone
        assert bodies(queue.ask(*wires)) == alone
    assert user.calls == [3, 1, 1, 1, 1, 1, 1]
    assert len([record for record in caplog.records if "server.batching is off" in record.message]) == 1


class WithMeta(Doubling):
    def predict(self, rows: Any, _names: Any, meta: Any = None) -> Any:  # noqa: ARG002
        return super().predict(rows, _names)


class WithRaw(Doubling):
    def predict_raw(self, _request: Any) -> Any:
        self.calls.append(1)
        return {"strData": "raw"}


class Scoring(Doubling):
    def score(self, rows: Any, _names: Any) -> Any:
        return rows.sum()


ALONE: dict[str, tuple[type[Doubling], ServiceType]] = {
    "meta": (WithMeta, ServiceType.MODEL),
    "raw": (WithRaw, ServiceType.MODEL),
    "score": (Scoring, ServiceType.OUTLIER_DETECTOR),
}


@pytest.mark.parametrize(("kind", "service_type"), ALONE.values(), ids=ALONE.keys())
def test_classes_that_look_at_each_request_are_not_batched(kind: type[Doubling], service_type: ServiceType) -> None:
    user = kind()
    with queued(user, service_type=service_type) as queue:
        calls = queue.ask(*[(JSON, body([[i]])) for i in range(3)])
    assert [call.error for call in calls] == [None] * 3
    assert user.calls == [1, 1, 1]


class Router:
    def __init__(self) -> None:
        self.calls: list[int] = []

    def route(self, rows: Any, _names: Any) -> int:
        self.calls.append(len(rows))
        return 0

    def transform_input(self, rows: Any, _names: Any) -> Any:
        self.calls.append(len(rows))
        return rows


@pytest.mark.parametrize(
    ("operation", "calls"), [(Operation.ROUTE, [1, 1]), (Operation.TRANSFORM_INPUT, [2]), (Operation.PREDICT, [])]
)
def test_only_verbs_from_rows_to_rows_are_batched(operation: Operation, calls: list[int]) -> None:
    user = Router()
    with queued(user) as queue:
        queue.ask((JSON, body([[1]])), (JSON, body([[2]])), operation=operation)
    assert user.calls == calls


def test_a_class_sees_the_ids_of_the_requests_that_it_answers() -> None:
    seen: list[str | None] = []

    class Seeing(Doubling):
        def predict(self, rows: Any, _names: Any) -> Any:
            seen.append(find_request_id())
            return super().predict(rows, _names)

        def tags(self) -> dict[str, Any]:
            return {"id": find_request_id()}

    with queued(Seeing()) as queue:
        calls = queue.ask((JSON, body([[1]])), (JSON, body([[2]])))
    assert seen == ["r0,r1"]
    assert [json.loads(text)["meta"]["tags"]["id"] for text in bodies(calls)] == ["r0", "r1"]


def test_a_call_that_nobody_wants_is_not_asked() -> None:
    user = Doubling()
    with queued(user) as queue:
        release = threading.Event()
        queue._threads.submit(lambda: release.wait(WAIT_SECONDS))
        kept, dropped = [queue.dispatcher.submit(Operation.PREDICT, body([[i]] * (i + 1)), JSON) for i in range(2)]
        assert dropped.cancel()
        release.set()
        assert json.loads(kept.result(WAIT_SECONDS).body)["data"]["ndarray"] == [[0]]
    assert user.calls == [1]


GIVEN_UP: dict[str, tuple[list[list[float]], list[int]]] = {
    "behind another group": ([[1], [2, 2]], [1]),
    "beside one that raises": ([[1], [3], [-1]], [3, 1, 1]),
}


@pytest.mark.parametrize(("rows", "calls"), GIVEN_UP.values(), ids=GIVEN_UP.keys())
def test_a_call_that_is_given_up_while_it_waits_for_others_is_not_asked(
    rows: list[list[float]], calls: list[int]
) -> None:
    """The second one, when the first one is answered; both have been read by then."""
    user = Doubling()
    with queued(user) as queue:
        release = threading.Event()
        queue._threads.submit(lambda: release.wait(WAIT_SECONDS))
        first, second, *others = [queue.dispatcher.submit(Operation.PREDICT, body([row]), JSON) for row in rows]
        first.add_done_callback(lambda _: second.cancel())
        release.set()
        assert first.result(WAIT_SECONDS).body
        assert [type(other.exception(WAIT_SECONDS)) for other in others] == [ComponentFailed] * len(others)
        queue._threads.submit(list).result(WAIT_SECONDS)  # the thread is through with all of them
    assert second.cancelled()
    assert user.calls == calls


def test_waiting_for_others_is_no_time_of_the_model() -> None:
    with queued(Doubling()) as queue:
        groups = queue.ask((JSON, body([[1]])), (JSON, body([[1, 2]])))
        again = queue.ask(*[(JSON, body([[i]])) for i in (1, -1, 3)])
    assert groups[1].predict_started_at >= groups[0].ended_at
    assert again[2].predict_started_at >= again[1].ended_at >= again[1].predict_started_at >= again[0].ended_at
    assert all(call.waited_seconds == call.predict_started_at - call.decoded_at for call in (*groups, *again))


def test_a_class_that_bears_one_row_at_a_time_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    class Single:
        def predict(self, rows: Any, _names: Any) -> Any:
            if len(rows) != 1:
                raise ValueError("one row")
            return rows

    with queued(Single()) as queue:
        for _ in range(2):
            calls = queue.ask((JSON, body([[1]])), (JSON, body([[2]])))
            assert [call.error for call in calls] == [None, None]
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "predict: a batch of 2 requests raised; each is processed alone, as after any failed batch: one row"
    ]


def test_what_waits_when_the_server_stops_is_told_so() -> None:
    with queued(Doubling()) as queue:
        release, entered = threading.Event(), threading.Event()
        queue._threads.submit(lambda: entered.set() or release.wait(WAIT_SECONDS))  # type: ignore[func-returns-value]
        assert entered.wait(WAIT_SECONDS)
        futures = [queue.dispatcher.submit(Operation.PREDICT, body([[i]]), JSON) for i in range(3)]
        queue.dispatcher.stop()
        assert [type(future.exception(WAIT_SECONDS)) for future in futures] == [NotServing] * 3
        release.set()


DELAYS: dict[str, Callable[[], BatchingSpec]] = {
    "until the rows are there": lambda: BatchingSpec(max_rows=2, max_delay_ms=WAIT_SECONDS * 1000),
    "until the time is over": lambda: BatchingSpec(max_rows=100, max_delay_ms=1),
}


@pytest.mark.parametrize("make", DELAYS.values(), ids=DELAYS.keys())
def test_a_delay_ends_with_enough_rows_or_in_time(make: Callable[[], BatchingSpec]) -> None:
    """The thread is free here: the second request comes while the first one waits, or never."""
    user = Doubling()
    queue = Queue(user, make())
    count = 2 if make().max_rows == 2 else 1
    futures = [queue.dispatcher.submit(Operation.PREDICT, body([[i]]), JSON) for i in range(count)]
    answers = [json.loads(future.result(WAIT_SECONDS).body) for future in futures]
    queue.dispatcher.stop()
    assert [answer["data"]["ndarray"] for answer in answers] == [[[2 * i]] for i in range(count)]
    assert user.calls == [count]


def test_several_threads_lose_and_double_nothing() -> None:
    counted: list[int] = []

    class Counting:
        def predict(self, rows: Any, _names: Any) -> Any:
            counted.append(len(rows))
            return rows

    dispatcher = Dispatcher(lambda: Adapter(Counting(), UnitSpec()), ModelThreads(3), Metrics(), BatchingSpec(5))
    dispatcher.start().result(WAIT_SECONDS)
    futures = [dispatcher.submit(Operation.PREDICT, body([[i]]), JSON) for i in range(300)]
    answers = [json.loads(future.result(WAIT_SECONDS).body)["data"]["ndarray"] for future in futures]
    dispatcher.stop()
    assert answers == [[[i]] for i in range(300)]
    assert sum(counted) == 300


def test_a_call_is_answered_though_a_thread_finds_none_while_the_unwanted_ones_are_removed() -> None:
    """The thread looks for calls just when the only one is out of the queue, to see whether it is wanted."""
    is_idle = threading.Semaphore(0)

    class Looked(Call):
        """Lets the model thread look at the queue when it is seen whether the call is wanted."""

        @property
        def is_held(self) -> bool:
            look()
            return False

        @is_held.setter
        def is_held(self, value: bool) -> None: ...

    def look() -> None:
        if threading.current_thread() is threading.main_thread():
            release.set()
            queue.run_on_thread(is_idle.release)
            assert is_idle.acquire(timeout=WAIT_SECONDS)

    answered = threading.Semaphore(0)
    with queued(Doubling()) as queue:
        release = queue.hold()
        call = Looked(Operation.PREDICT, body([[1.0]]), JSON, lambda _call: answered.release())
        queue.dispatcher.post([call])
        queue.dispatcher.remove_unwanted()
        assert answered.acquire(timeout=WAIT_SECONDS)
    assert bodies([call]) == [b'{"data":{"names":["t:0"],"ndarray":[[2.0]]},"meta":{}}\n']
