"""Every operation beside predict: one table of requests and answers, each row over REST and over gRPC."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from seldon_spec.config.model import ServiceType, UnitSpec
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage, SeldonMessageList

COMPONENT = """
import numpy as np

class AllVerbs:
    def transform_input(self, X, names, meta=None):
        return X * 2

    async def transform_output(self, X, names):
        return names

    def route(self, X, names):
        if isinstance(X, str):
            return {"bool": True, "float": 1.0, "numpy": np.int64(4), "none": None}[X]
        return int(X.ravel()[0])

    def aggregate(self, Xs, names_list):
        return np.mean(Xs, axis=0) if Xs and all(isinstance(X, np.ndarray) for X in Xs) else [type(X).__name__ for X in Xs]

    def send_feedback(self, features, names, reward, truth, routing=None):
        if names == ["none"]:
            return None
        if names == ["raise"]:
            raise ValueError("no feedback wanted")
        if names == ["half"]:
            raise ValueError("half a pair: \\ud800")
        return {"X": features.tolist(), "names": names, "reward": reward, "truth": truth.tolist(), "routing": routing}

    def tags(self):
        return {"own": 1}

    def metrics(self):
        return [{"type": "COUNTER", "key": "asked", "value": 2}]
"""
BARE = "class Bare:\n    pass\n"

META = {"tags": {"own": 1}, "metrics": [{"key": "asked", "type": "COUNTER", "value": 2}], "requestPath": {"u": "i:1"}}
PROTO_META = {"tags": {"own": 1}, "metrics": [{"key": "asked", "value": 2}], "requestPath": {"u": "i:1"}}
"""The same in protobuf's JSON, which leaves out COUNTER, for it is number 0."""


@dataclass
class Row:
    """A request and its answer without ``meta``; ``is_proto``: on REST, too, the answer is protobuf's JSON."""

    path: str
    method: str
    request: str
    answer: dict[str, Any]
    meta: dict[str, Any] | None = None
    kind: Any = SeldonMessage
    is_proto: bool = False


def sent(request: str, answer: dict[str, Any], **meta: Any) -> Row:
    return Row("/send-feedback", "Model/SendFeedback", request, answer, meta, Feedback, is_proto=True)


def aggregated(request: str, answer: dict[str, Any], **meta: Any) -> Row:
    return Row("/aggregate", "Combiner/Aggregate", request, answer, meta, SeldonMessageList)


TRANSFORM = ("/transform-input", "Transformer/TransformInput")
OUTPUT = ("/transform-output", "OutputTransformer/TransformOutput")
ROUTE = ("/route", "Router/Route")
TFTENSOR = '{"tftensor":{"dtype":"DT_FLOAT","tensorShape":{"dim":[{"size":"1"}]},"floatVal":[1]}}'

ROWS = {
    "transform-input": Row(
        *TRANSFORM, '{"data":{"ndarray":[[1.5]]}}', {"data": {"names": ["t:0"], "ndarray": [[3.0]]}}
    ),
    "transform-input-meta": Row(
        *TRANSFORM,
        '{"data":{"ndarray":[[1.5]]},"meta":{"puid":"p","tags":{"t":"r","own":0},"requestPath":{"v":"j:2"}}}',
        {"data": {"names": ["t:0"], "ndarray": [[3.0]]}},
        {"puid": "p", "tags": {"t": "r", "own": 1}, "requestPath": {"u": "i:1", "v": "j:2"}},
    ),
    "transform-input-tftensor": Row(
        *TRANSFORM,
        f'{{"data":{TFTENSOR}}}',
        {
            "data": {
                "names": [],
                "tftensor": {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "1"}]}, "floatVal": [2.0]},
            }
        },
    ),
    "transform-output-generic": Row(
        "/transform-output",
        "Generic/TransformOutput",
        '{"data":{"names":["a","b"],"ndarray":[[1,2]]}}',
        {"data": {"names": [], "ndarray": ["a", "b"]}},
    ),
    "route": Row(*ROUTE, '{"data":{"ndarray":[[3]]}}', {"data": {"names": ["t:0"], "ndarray": [[3]]}}),
    "route-generic": Row(
        "/route", "Generic/Route", '{"data":{"ndarray":[[-1]]}}', {"data": {"names": ["t:0"], "ndarray": [[-1]]}}
    ),
    "route-keeps-only-the-puid": Row(
        *ROUTE,
        '{"data":{"ndarray":[[-2]]},"meta":{"puid":"p","tags":{"t":1},"requestPath":{"v":"j"}}}',
        {"data": {"names": ["t:0"], "ndarray": [[-2]]}},
        {"puid": "p"},
    ),
    "route-text-to-tensor": Row(
        *ROUTE,
        '{"strData":"numpy"}',
        {"data": {"names": ["t:0"], "tensor": {"shape": [1, 1], "values": [4]}}},
    ),
    # whoever reads the branch does not read 64-bit integers in a tftensor
    "route-tftensor-to-tensor": Row(
        *ROUTE, f'{{"data":{TFTENSOR}}}', {"data": {"names": ["t:0"], "tensor": {"shape": [1, 1], "values": [1]}}}
    ),
    "aggregate": aggregated(
        '{"seldonMessages":[{"data":{"ndarray":[[1,2]]}},{"data":{"tensor":{"shape":[1,2],"values":[3,6]}}}]}',
        {"data": {"names": ["t:0", "t:1"], "ndarray": [[2.0, 4.0]]}},
    ),
    "aggregate-follows-the-first": aggregated(
        '{"seldonMessages":[{"data":{"tensor":{"shape":[1],"values":[3]}}},{"data":{"ndarray":[1]}}]}',
        {"data": {"names": [], "tensor": {"shape": [1], "values": [2.0]}}},
    ),
    "aggregate-kinds": aggregated(
        '{"seldonMessages":[{"strData":"a"},{"binData":"AA=="},{"jsonData":{"a":1}}]}',
        {"data": {"names": [], "ndarray": ["str", "bytes", "dict"]}},
    ),
    "aggregate-meta": aggregated(
        '{"seldonMessages":[{"strData":"a","meta":{"puid":"1","tags":{"a":1,"b":1},"requestPath":{"x":"1"}}},'
        '{"strData":"b","meta":{"puid":"2","tags":{"b":2},"requestPath":{"y":"2"}}}]}',
        {"data": {"names": [], "ndarray": ["str", "str"]}},
        puid="1",
        tags={"a": 1, "b": 2, "own": 1},
        requestPath={"u": "i:1", "x": "1", "y": "2"},
    ),
    "feedback": sent(
        '{"request":{"data":{"names":["a"],"ndarray":[[1]]},"meta":{"puid":"p","tags":{"t":1}}},"reward":0.5,'
        '"truth":{"data":{"ndarray":[2]}},"response":{"meta":{"routing":{"u":2,"v":3}}}}',
        {"jsonData": {"X": [[1.0]], "names": ["a"], "reward": 0.5, "truth": [2.0], "routing": 2.0}},
        puid="p",
    ),
    "feedback-empty": sent("{}", {"jsonData": {"X": [], "names": [], "reward": 0.0, "truth": [], "routing": None}}),
    "feedback-text-is-an-empty-array": sent(
        '{"request":{"strData":"x"},"truth":{"jsonData":1},"response":{"meta":{"routing":{"v":3}}}}',
        {"jsonData": {"X": [], "names": [], "reward": 0.0, "truth": [], "routing": None}},
    ),
    "feedback-none": sent('{"request":{"data":{"names":["none"],"ndarray":[[1]]}}}', {"data": {"ndarray": []}}),
    "feedback-none-tensor": sent(
        '{"request":{"data":{"names":["none"],"tensor":{"shape":[1],"values":[1]}}}}',
        {"data": {"tensor": {"shape": [0]}}},
    ),
}


@dataclass
class Refusal:
    """A request that both wires refuse; over gRPC the code is all that is looked at."""

    path: str
    method: str
    request: str
    http: int
    info: str
    grpc: str
    kind: Any = SeldonMessage


REFUSALS = {
    "route-bool": Refusal(*ROUTE, '{"strData":"bool"}', 400, "Routing response must be int but got True", "UNKNOWN"),
    "route-float": Refusal(*ROUTE, '{"strData":"float"}', 400, "Routing response must be int but got 1.0", "UNKNOWN"),
    "route-none": Refusal(*ROUTE, '{"strData":"none"}', 400, "Routing response must be int but got None", "UNKNOWN"),
    "aggregate-nothing": Refusal(
        "/aggregate",
        "Generic/Aggregate",
        '{"seldonMessages":[]}',
        400,
        "no message",
        "INVALID_ARGUMENT",
        SeldonMessageList,
    ),
    "aggregate-no-payload": Refusal(
        "/aggregate",
        "Generic/Aggregate",
        '{"seldonMessages":[{"strData":"x"},{}]}',
        400,
        "Invalid request data type",
        "INVALID_ARGUMENT",
        SeldonMessageList,
    ),
    "feedback-raises": Refusal(
        "/send-feedback",
        "Router/SendFeedback",
        '{"request":{"data":{"names":["raise"],"ndarray":[[1]]}},"reward":4}',
        500,
        "no feedback wanted",
        "UNKNOWN",
        Feedback,
    ),
    "feedback-raises-what-no-wire-has": Refusal(
        "/send-feedback",
        "Router/SendFeedback",
        '{"request":{"data":{"names":["half"],"ndarray":[[1]]}}}',
        500,
        "half a pair: ",
        "UNKNOWN",
        Feedback,
    ),
    "feedback-reward-nan": Refusal(
        "/send-feedback", "Model/SendFeedback", '{"reward":"NaN"}', 400, "not a finite", "INVALID_ARGUMENT", Feedback
    ),
    "feedback-ragged": Refusal(
        "/send-feedback",
        "Seldon/SendFeedback",
        '{"request":{"data":{"ndarray":[[1],[1,2]]}}}',
        400,
        "differ in length",
        "INVALID_ARGUMENT",
        Feedback,
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, serve_spec: Any, spec_for: Callable[..., Any]) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "AllVerbs.py").write_text(COMPONENT)
    with serve_spec(spec_for(folder, "AllVerbs", unit=UnitSpec(id="u", image="i:1"))) as running:
        yield running


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, serve_spec: Any, spec_for: Callable[..., Any]) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("bare")
    (folder / "Bare.py").write_text(BARE)
    with serve_spec(spec_for(folder, "Bare", service_type=ServiceType.TRANSFORMER)) as running:
        yield running


def to_wire(text: str, kind: Any = SeldonMessage) -> bytes:
    wire: bytes = json_format.Parse(text, kind()).SerializeToString()
    return wire


def call(server: Any, row: Row | Refusal) -> Any:
    answer = server.call(to_wire(row.request, row.kind), f"/seldon.protos.{row.method}")
    return json_format.MessageToDict(SeldonMessage.FromString(answer))


def without_empty_names(answer: dict[str, Any]) -> dict[str, Any]:
    """What protobuf makes of an answer: a repeated field that is empty is not there."""
    data = answer.get("data")
    if data is None or data.get("names") != []:
        return answer
    return {"data": {key: value for key, value in data.items() if key != "names"}}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_answers_over_rest(server: Any, row: Row) -> None:
    status, _, body = server.post(row.request.encode(), row.path)
    base = PROTO_META if row.is_proto else META
    assert (status, json.loads(body)) == (200, {**row.answer, "meta": {**base, **(row.meta or {})}})


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_answers_over_grpc(server: Any, row: Row) -> None:
    assert call(server, row) == {**without_empty_names(row.answer), "meta": {**PROTO_META, **(row.meta or {})}}


@pytest.mark.parametrize("row", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals_over_rest(server: Any, row: Refusal) -> None:
    status, _, body = server.post(row.request.encode(), row.path)
    told = json.loads(body)["status"]
    assert (status, told["code"], told["status"]) == (row.http, -1, 1)
    assert row.info in told["info"]


@pytest.mark.parametrize("row", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals_over_grpc(server: Any, row: Refusal) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(server, row)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode[row.grpc]
    assert row.info in error.details()


def test_a_list_body_is_aggregated_on_rest_which_alone_has_such(server: Any) -> None:
    """It is what the service orchestrator sends; protobuf has a message for it instead."""
    status, _, body = server.post(b'[{"data":{"ndarray":[[1]]}},{"data":{"ndarray":[[3]]}}]', "/aggregate")
    assert (status, json.loads(body)["data"]) == (200, {"names": ["t:0"], "ndarray": [[2.0]]})


BY_NAME = {
    "two": ('{"0-a":{"data":{"ndarray":[[1]]}},"1-b":{"data":{"ndarray":[[3]]}}}', [[2.0]]),
    "in-the-order-of-the-object": ('{"b":{"strData":"x"},"a":{"binData":"AA=="}}', ["str", "bytes"]),
    "one": ('{"a":{"data":{"ndarray":[[5]]},"meta":{}}}', [[5.0]]),
}


@pytest.mark.parametrize(("text", "rows"), BY_NAME.values(), ids=BY_NAME)
def test_an_object_of_messages_by_name_is_aggregated_on_rest(server: Any, text: str, rows: Any) -> None:
    """KServe's router sends the responses of an Ensemble by the names of its steps."""
    status, _, body = server.post(text.encode(), "/aggregate")
    assert (status, json.loads(body)["data"]["ndarray"]) == (200, rows)


NOT_BY_NAME = {
    "empty": "{}",
    "a-message": '{"data":{"ndarray":[[1]]}}',
    "a-message-of-json": '{"jsonData":{"data":{"ndarray":[[1]]}}}',
    "a-message-and-a-name": '{"a":{"data":{"ndarray":[[1]]}},"meta":{"data":{}}}',
    "a-value-that-is-no-object": '{"a":{"data":{"ndarray":[[1]]}},"b":1}',
    "a-value-that-is-no-message": '{"a":{"data":{"ndarray":[[1]]}},"b":{"x":1}}',
    "a-request-of-v2": '{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1]}]}',
    "no-list": '{"seldonMessages":{"a":{"data":{"ndarray":[[1]]}}}}',
}


@pytest.mark.parametrize("text", NOT_BY_NAME.values(), ids=NOT_BY_NAME)
def test_any_other_object_is_not_aggregated(server: Any, text: str) -> None:
    status, _, body = server.post(text.encode(), "/aggregate")
    assert status == 400
    info = json.loads(body)["status"]["info"]
    assert info.startswith("Invalid request data type: ")
    assert info.endswith("; send a list of messages")


STRICT = {
    "unknown-member": '{"reward":1,"more":2}',
    "unknown-in-request": '{"request":{"data":{"ndarray":[1]},"more":1}}',
    "two-payloads": '{"request":{"strData":"x","data":{"ndarray":[1]}}}',
    "reward-text": '{"reward":"lots"}',
    "list": "[]",
    "deep": '{"request":{"jsonData":' + "[" * 300 + "]" * 300 + "}}",
    "deepest": '{"request":{"jsonData":' + "[" * 50000 + "]" * 50000 + "}}",
}


@pytest.mark.parametrize("text", STRICT.values(), ids=STRICT.keys())
def test_feedback_on_rest_is_read_as_strictly_as_protobuf_reads_it(server: Any, text: str) -> None:
    status, _, body = server.post(text.encode(), "/send-feedback")
    assert (status, json.loads(body)["status"]["reason"]) == (400, "MICROSERVICE_BAD_DATA")


METHODS = {
    "Generic": {
        "TransformInput": SeldonMessage,
        "TransformOutput": SeldonMessage,
        "Route": SeldonMessage,
        "Aggregate": SeldonMessageList,
        "SendFeedback": Feedback,
    },
    "Model": {"Predict": SeldonMessage, "SendFeedback": Feedback},
    "Router": {"Route": SeldonMessage, "SendFeedback": Feedback},
    "Transformer": {"TransformInput": SeldonMessage},
    "OutputTransformer": {"TransformOutput": SeldonMessage},
    "Combiner": {"Aggregate": SeldonMessageList},
    "Seldon": {"Predict": SeldonMessage, "SendFeedback": Feedback},
}
ASKED = {
    SeldonMessage: '{"data":{"ndarray":[[1]]}}',
    SeldonMessageList: '{"seldonMessages":[{"data":{"ndarray":[[1]]}}]}',
    Feedback: '{"request":{"data":{"ndarray":[[1]]}},"reward":1}',
}


@pytest.mark.parametrize("service", METHODS)
def test_all_services_answer_whatever_the_service_type(server: Any, service: str) -> None:
    for method, kind in METHODS[service].items():
        answer = server.call(to_wire(ASKED[kind], kind), f"/seldon.protos.{service}/{method}")
        assert SeldonMessage.FromString(answer).HasField("meta")


def test_a_graph_s_metadata_are_not_a_component_s(server: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.call(b"", "/seldon.protos.Seldon/GraphMetadata")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


PATHS = {
    "/transform-input": (200, {"data": {"names": ["t:0"], "ndarray": [[1]]}, "meta": {}}),
    "/transform-output": (200, {"data": {"names": ["t:0"], "ndarray": [[1]]}, "meta": {}}),
    "/predict": (200, {"data": {"names": [], "ndarray": []}, "meta": {}}),
    "/route": (400, "Route not defined"),
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items(), ids=PATHS.keys())
def test_hooks_that_are_not_there(bare: Any, path: str, expected: tuple[int, Any]) -> None:
    status, _, body = bare.post(b'{"data":{"ndarray":[[1]]}}', path)
    found = json.loads(body)
    assert (status, found if status == 200 else found["status"]["info"]) == expected


def test_aggregate_that_is_not_there(bare: Any) -> None:
    status, _, body = bare.post(b'[{"data":{"ndarray":[[1]]}}]', "/aggregate")
    assert (status, json.loads(body)["status"]["info"]) == (400, "Aggregate not defined")
    for method, kind in (("Combiner/Aggregate", SeldonMessageList), ("Router/Route", SeldonMessage)):
        with pytest.raises(grpc.RpcError) as caught:
            bare.call(to_wire(ASKED[kind], kind), f"/seldon.protos.{method}")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_feedback_without_a_hook_is_counted_and_answered(bare: Any) -> None:
    for path in ("/send-feedback", "/api/v1.0/feedback", "/api/v0.1/feedback"):
        status, _, body = bare.post(b'{"request":{"data":{"ndarray":[[1]]}},"reward":-1.5}', path)
        assert (status, json.loads(body)) == (200, {"data": {"ndarray": []}, "meta": {}})
    page = bare.rest("GET", "/metrics", port=bare.metrics_port)[2].decode()
    counters = {line.split("{")[0]: line.rsplit(" ", 1)[1] for line in page.splitlines() if "model_feedback" in line}
    assert counters["seldon_api_model_feedback_total"] == "3.0"
    assert counters["seldon_api_model_feedback_reward_total"] == "-4.5"


GET_OR_POST = ["/predict", "/send-feedback", "/transform-input", "/transform-output", "/route", "/aggregate"]


@pytest.mark.parametrize("path", GET_OR_POST)
def test_internal_paths_answer_get_and_post_and_nothing_else(server: Any, path: str) -> None:
    assert server.rest("GET", f"{path}?json=%7B%7D")[0] in (200, 400)
    assert server.rest("PUT", path)[0] == 405
    assert server.rest("OPTIONS", path)[0] == 200


@pytest.mark.parametrize("path", ["/api/v1.0/feedback", "/api/v0.1/feedback"])
def test_external_paths_answer_post_alone(server: Any, path: str) -> None:
    assert server.rest("GET", path)[0] == 405
    assert server.post(b"{}", path)[0] == 200


def test_many_small_messages_claim_no_more_than_one_may() -> None:
    """A combiner's request shares one allowance for padding and for text of fixed width among all its parts."""
    import tracemalloc

    from seldon_spec.errors import PayloadError
    from seldon_spec.inference.message import Operation
    from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

    padded = '{"data":{"tftensor":{"dtype":"DT_DOUBLE","tensorShape":{"dim":[{"size":"100000"}]},"doubleVal":[1]}}}'
    texts = '{"data":{"ndarray":["' + "x" * 1000 + '"' + ',"a"' * 200 + "]}}"
    codec = JsonCodec()
    for part in (padded, texts):
        whole = f"[{','.join([part] * 300)}]"
        request = codec.decode(Operation.AGGREGATE, whole.encode())
        tracemalloc.start()
        try:
            assert request.message.payload
        except PayloadError as error:
            assert "send them all" in str(error)  # noqa: PT017
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 10 * len(whole) + 4_000_000
