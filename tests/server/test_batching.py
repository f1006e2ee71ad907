"""Batching over real connections: REST and gRPC together, beside what is answered by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

SOURCE = """
import numpy as np
from gated import pass_gate

class Served:
    def __init__(self):
        self.rows = []

    def predict(self, X, names):
        if X.shape[1] == 1:
            pass_gate()
            return X
        if (X < 0).any():
            raise ValueError("negative")
        self.rows.append(len(X))
        return X * 2

    def tags(self):
        return {"rows": self.rows[-1] if self.rows else 0}
"""


def ask_rest(server: Any, values: list[float]) -> tuple[int, Any]:
    tensor = {"tensor": {"shape": [1, len(values)], "values": values}}
    status, body = server.rest("POST", "/predict", json.dumps({"data": tensor, "meta": {"puid": f"p{values[0]}"}}))
    return status, json.loads(body)


def ask_grpc(channel: grpc.Channel, values: list[float]) -> Any:
    message = SeldonMessage(data={"tensor": {"shape": [1, len(values)], "values": values}})
    ask = channel.unary_unary("/seldon.protos.Model/Predict", lambda m: m.SerializeToString(), SeldonMessage.FromString)
    return ask(message, timeout=20)


def wait_until_queued(server: Any, count: int, asked: Sequence[Future[Any]] = ()) -> None:
    while True:
        assert not any(each.done() for each in asked)
        found = re.search(r"^seldon_spec_queued_requests\{.*\} (\S+)$", server.metrics(), re.MULTILINE)
        if found and float(found[1]) == count:
            return


def test_what_waits_is_answered_by_one_call(start: Callable[..., Any], gate: Any) -> None:
    server = start(SOURCE, server={"batching": {"max_rows": 100}}).wait_until_ready()
    with ThreadPoolExecutor(16) as pool, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        held = pool.submit(ask_rest, server, [0.0])
        gate.wait_until_entered()
        rest = [pool.submit(ask_rest, server, [float(i), 1.0]) for i in range(4)]
        wrong = pool.submit(ask_rest, server, [-1.0, 1.0, 1.0])
        form = pool.submit(server.rest, "GET", '/predict?json={"data":{"tensor":{"shape":[1,2],"values":[7,8]}}}')
        calls = [pool.submit(ask_grpc, channel, [10.0 + i, 1.0]) for i in range(3)]
        wait_until_queued(server, 9)
        gate.release()
        assert held.result()[0] == 200
        answers = [each.result() for each in rest]
        messages = [each.result() for each in calls]
        assert wrong.result()[0] == 500
        queried = form.result()
    assert [status for status, _ in answers] == [200] * 4
    assert [answer["data"]["tensor"]["values"] for _, answer in answers] == [[2.0 * i, 2.0] for i in range(4)]
    assert [answer["meta"]["puid"] for _, answer in answers] == [f"p{float(i)}" for i in range(4)]
    assert [list(message.data.tensor.values) for message in messages] == [[20.0 + 2 * i, 2.0] for i in range(3)]
    assert json.loads(queried[1])["data"]["tensor"]["values"] == [14, 16]
    rows = {answer["meta"]["tags"]["rows"] for _, answer in answers}
    rows |= {int(message.meta.tags["rows"].number_value) for message in messages}
    assert rows <= {7, 8}  # one call; the message in the query has integers, and an array of them is another one
    page = server.metrics()
    assert "seldon_spec_batch_requests_count{deployment_name" in page
    assert sum(float(n) for n in re.findall(r"^seldon_spec_batch_requests_sum\{.*\} (\S+)$", page, re.MULTILINE)) >= 7
    assert server.stop() == 0


OTHERS = """
import numpy as np
from gated import pass_gate

class Served:
    def predict(self, X, names):
        if not isinstance(X, np.ndarray):
            pass_gate()
        return X

    def transform_input_raw(self, message):
        return {"strData": str(sorted(message))}

    def send_feedback(self, X, names, reward, truth, routing=None):
        return [reward]
"""


def test_what_is_not_batched_is_handled_as_alone(start: Callable[..., Any], gate: Any) -> None:
    """Feedback, its errors, and what a raw hook gets, while predictions wait beside them."""
    server = start(OTHERS, server={"batching": {"max_rows": 100}}).wait_until_ready()
    wrong = {"request": {"data": {"tensor": {"shape": [3], "values": [1]}}}, "reward": 0}
    right = {"request": {"data": {"ndarray": [[1]]}}, "reward": 2.5}
    own = {"data": {"ndarray": [[1, "a"]]}, "custom": 5}
    with ThreadPoolExecutor(8) as pool:

        def ask(path: str, message: object) -> Future[tuple[int, Any]]:
            return pool.submit(server.rest, "POST", path, json.dumps(message))

        held = ask("/predict", {"strData": "wait"})
        gate.wait_until_entered()
        predictions = [ask("/predict", {"data": {"ndarray": [[i]]}}) for i in range(2)]
        others = [ask("/send-feedback", wrong), ask("/send-feedback", right), ask("/transform-input", own)]
        wait_until_queued(server, 5)
        gate.release()
        assert [each.result()[0] for each in (held, *predictions)] == [200] * 3
        refused, accepted, raw = (each.result() for each in others)
    assert refused[0] == 400
    assert json.loads(accepted[1])["data"]["ndarray"] == [2.5]
    assert json.loads(raw[1])["strData"] == "['custom', 'data']"
    assert re.search(r"^seldon_api_model_feedback_reward_total\{.*\} 2.5$", server.metrics(), re.MULTILINE)
    assert server.stop() == 0


def test_rows_are_counted_as_the_class_gets_them(beside: Any, gate: Any) -> None:
    """A list of three values is three rows of a declared input of one column."""
    source = """
import numpy as np
from gated import pass_gate

class Served:
    def predict(self, X, names):
        if X[0, 0] == 0:
            pass_gate()
        return X * 2
"""
    beside.write_class(source)
    beside.write_spec("inputs: [{name: x, datatype: FP64, shape: [-1, 1]}]\n", server="batching: {max_rows: 100}")
    server = beside.start().wait_until_ready()
    with ThreadPoolExecutor(8) as pool:
        held = pool.submit(server.rest, "POST", "/predict", '{"data": {"ndarray": [[0]]}}')
        gate.wait_until_entered()
        asked = [pool.submit(server.rest, "POST", "/predict", '{"data": {"ndarray": [1, 2, 3]}}') for _ in range(2)]
        wait_until_queued(server, 2)
        gate.release()
        assert held.result()[0] == 200
        assert [json.loads(each.result()[1])["data"]["ndarray"] for each in asked] == [[[2.0], [4.0], [6.0]]] * 2
    assert "server.batching is off" not in server.log
    assert re.search(r"^seldon_spec_batch_requests_sum\{.*\} 2.0$", server.metrics(), re.MULTILINE)
    assert server.stop() == 0


def test_a_class_that_is_told_meta_is_not_batched_and_the_log_says_so(start: Callable[..., Any]) -> None:
    source = "class Served:\n    def predict(self, X, names, meta=None):\n        return X\n"
    server = start(source, server={"batching": {"max_rows": 10}}).wait_until_ready()
    assert "server.batching has no effect" in server.log
    assert ask_rest(server, [1.0, 2.0])[0] == 200
    assert server.stop() == 0


def test_who_waits_for_others_does_not_hang(start: Callable[..., Any]) -> None:
    """Nobody comes before the request is too late, and no model has been asked until then."""
    source = "class Served:\n    def predict(self, X, names):\n        return X\n"
    batching = {"max_rows": 10, "max_delay_ms": 10_000}
    server = start(source, timeout=0.3, server={"batching": batching, "on_timeout": "replace"}).wait_until_ready()
    assert ask_rest(server, [1.0])[0] == 504
    assert server.stop() == 0
    assert "is stuck in a call" not in server.log


def test_who_is_answered_with_others_does_not_wait(start: Callable[..., Any], gate: Any) -> None:
    """Two requests are at work in one call, so two more may wait."""
    server = start(SOURCE, server={"batching": {"max_rows": 100}, "max_queue": 2}).wait_until_ready()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask_rest, server, [0.0])]
        gate.wait_until_entered()
        for _ in range(2):
            asked = [pool.submit(ask_rest, server, [1.0]) for _ in range(2)]
            wait_until_queued(server, 2, asked)
            assert ask_rest(server, [1.0])[0] == 503
            gate.release()
            gate.wait_until_entered()
            answers += asked
        gate.release()
        assert [each.result()[0] for each in answers] == [200] * 5
    assert server.stop() == 0
