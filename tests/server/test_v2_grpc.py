"""The Open Inference Protocol over gRPC, by real servers on both engines."""

from __future__ import annotations

import json
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from seldon_spec import __version__
from seldon_spec.config.model import AuthSpec, ServerSpec, ServiceType, UnitSpec
from seldon_spec.protocols.open_inference_v2.proto import message_class
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

SERVICE = "inference.GRPCInferenceService"
WAIT_SECONDS = 20

CLASS = """
import json
import numpy as np

class SeldonMicroserviceException(Exception):
    def __init__(self, message, status_code):
        self.message, self.status_code = message, status_code

class {name}:
    def predict(self, X, names, meta=None):
        if isinstance(X, np.ndarray) and X.dtype.kind in "OU" and X.size == 1:
            word = X.reshape(-1)[0]
            if word == "raise":
                raise ValueError("of the class")
            if word == "complex":
                return np.array([1j])
            if word == "meta":
                return json.dumps(meta)
            if isinstance(word, str) and word.isdigit():
                raise SeldonMicroserviceException("its own", int(word))
        return X

    def tags(self):
        return {{"version": 3, "list": [1], "half": 0.5, "yes": True, "text": "t"}}
"""

INFER_REQUEST, INFER_RESPONSE = message_class("ModelInferRequest"), message_class("ModelInferResponse")
STREAM_RESPONSE = message_class("ModelStreamInferResponse")


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Any) -> Iterator[Callable[..., Any]]:
    names: list[str] = []
    with ExitStack() as stack:

        def begin(engine: str = "native", source: str = CLASS, **more: Any) -> Any:
            name = f"V2Grpc{len(names)}"
            names.append(name)
            folder = tmp_path_factory.mktemp("v2")
            (folder / f"{name}.py").write_text(source.format(name=name))
            server = ServerSpec(host="127.0.0.1", engine=engine, **more.pop("server", {}))  # type: ignore[arg-type]
            return stack.enter_context(serve_in_thread(folder, name, **{"version": "2", "server": server, **more}))

        yield begin
    for name in names:
        sys.modules.pop(name, None)


engines = pytest.mark.parametrize("engine", ["native", "uvicorn"])


@pytest.fixture(scope="module", params=["native", "uvicorn"])
def served(request: pytest.FixtureRequest, serve: Callable[..., Any]) -> Any:
    return serve(request.param, unit=UnitSpec(id="node"))


def call(channel: grpc.Channel, method: str, request: Any = None, metadata: Any = (), **more: Any) -> Any:
    response_class = message_class(f"{method}Response")
    request_class = message_class(f"{method}Request")
    stub = channel.unary_unary(f"/{SERVICE}/{method}", request_class.SerializeToString, response_class.FromString)
    return stub(request or request_class(), timeout=WAIT_SECONDS, metadata=metadata, wait_for_ready=True, **more)


def ask(served: Any, method: str, metadata: Any = (), **fields: Any) -> Any:
    return call(served.channel, method, message_class(f"{method}Request")(**fields), metadata)


def typed(values: Sequence[float], model: str = "model", **more: Any) -> Any:
    request = INFER_REQUEST(model_name=model, **more)
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[len(values)])
    tensor.contents.fp32_contents.extend(values)
    return request


def raw(values: Sequence[float], model: str = "model", **more: Any) -> Any:
    request = INFER_REQUEST(model_name=model, raw_input_contents=[struct.pack(f"<{len(values)}f", *values)], **more)
    request.inputs.add(name="x", datatype="FP32", shape=[len(values)])
    return request


def word(text: bytes, **more: Any) -> Any:
    request = INFER_REQUEST(model_name="model", **more)
    request.inputs.add(name="x", datatype="BYTES", shape=[1]).contents.bytes_contents.append(text)
    return request


def infer(served: Any, request: Any, **more: Any) -> Any:
    return call(served.channel, "ModelInfer", request, **more)


def fail(served: Any, request: Any, method: str = "ModelInfer") -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(served.channel, method, request)
    return caught.value


# Calls that do not need the model

TENSOR = message_class("ModelMetadataResponse").TensorMetadata


def test_the_server_and_the_model_are_described(served: Any) -> None:
    assert ask(served, "ServerLive").live
    assert ask(served, "ServerReady").ready
    server = ask(served, "ServerMetadata")
    extensions = ["binary_tensor_data", "parameters", "statistics"]
    assert (server.name, server.version, list(server.extensions)) == ("seldon-spec", __version__, extensions)
    for name, version in (("model", "2"), ("node", ""), ("", "")):
        assert ask(served, "ModelReady", name=name, version=version).ready
        model = ask(served, "ModelMetadata", name=name, version=version)
        assert (model.name, list(model.versions), model.platform) == (name or "model", ["2"], "")
    (entry,) = ask(served, "RepositoryIndex", ready=True).models
    assert (entry.name, entry.version, entry.state, entry.reason) == ("model", "2", "READY", "")


def test_metadata_of_tensors(serve: Callable[..., Any]) -> None:
    metadata = {"platform": "own", "inputs": [{"name": "a", "datatype": "INT8", "shape": [-1, 2]}]}
    source = CLASS + f"\n    def init_metadata(self):\n        return {metadata!r}\n".replace("{", "{{").replace(
        "}", "}}"
    )
    model = ask(serve(source=source), "ModelMetadata", name="model")
    assert (model.platform, list(model.inputs)) == ("own", [TENSOR(name="a", datatype="INT8", shape=[-1, 2])])


@engines
def test_statistics(serve: Callable[..., Any], engine: str) -> None:
    served = serve(engine)
    infer(served, typed([1, 2]))
    served.call(SeldonMessage(strData="x").SerializeToString())
    fail(served, word(b"raise"))
    (found,) = ask(served, "ModelStatistics").model_stats
    statistics = found.inference_stats
    assert (found.name, found.version) == ("model", "2")
    assert [each.count for each in (statistics.success, statistics.fail, statistics.queue)] == [2, 1, 3]
    assert statistics.compute_infer.ns > 0


UNKNOWN = ["ModelReady", "ModelMetadata", "ModelStatistics"]


@pytest.mark.parametrize("method", UNKNOWN)
@pytest.mark.parametrize("fields", [{"name": "other"}, {"name": "model", "version": "1"}], ids=["name", "version"])
def test_pages_of_unknown_models(served: Any, method: str, fields: dict[str, str]) -> None:
    error = fail(served, message_class(f"{method}Request")(**fields), method)
    assert error.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", [*UNKNOWN, "ServerMetadata", "ModelInfer", "RepositoryIndex"])
def test_malformed_messages(served: Any, method: str) -> None:
    stub = served.channel.unary_unary(f"/{SERVICE}/{method}", None, None)
    with pytest.raises(grpc.RpcError) as caught:
        stub(b"\x0a\xff", timeout=WAIT_SECONDS)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", ["ModelConfig", "RepositoryModelLoad", "SystemSharedMemoryStatus", "x"])
def test_calls_that_are_not_served(served: Any, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        served.channel.unary_unary(f"/{SERVICE}/{method}", None, None)(b"", timeout=WAIT_SECONDS)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# Inference


@pytest.mark.parametrize("model", ["model", "node", ""])
def test_responses_have_the_form_of_the_request(served: Any, model: str) -> None:
    response = infer(served, typed([1.5, 2], model, id="ü"))
    assert (response.model_name, response.model_version, response.id) == (model or "model", "2", "ü")
    (output,) = response.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("output-0", "FP32", [2])
    assert list(output.contents.fp32_contents) == [1.5, 2]
    assert not response.raw_output_contents
    response = infer(served, raw([1.5, 2], model))
    assert list(response.raw_output_contents) == [struct.pack("<2f", 1.5, 2)]
    assert not response.outputs[0].HasField("contents")
    assert response.parameters["version"].int64_param == 3
    assert response.parameters["list"].string_param == "[1]"
    assert response.parameters["half"].double_param == 0.5
    assert response.parameters["yes"].bool_param


def test_the_class_gets_id_and_metadata(served: Any) -> None:
    for number in range(40):  # calls of one connection whose metadata differ
        metadata = [("x-own", f"{number % 3}"), ("authorization", "Bearer x")]
        metadata += [("seldon-puid", f"p{number}")] if number % 2 else []
        timeout = WAIT_SECONDS + number
        stub = served.channel.unary_unary(
            f"/{SERVICE}/ModelInfer", INFER_REQUEST.SerializeToString, INFER_RESPONSE.FromString
        )
        response = stub(word(b"meta", id="i"), timeout=timeout, metadata=metadata)
        (text,) = response.outputs[0].contents.bytes_contents
        meta = json.loads(text)
        assert meta["puid"] == (f"p{number}" if number % 2 else "i")
        assert meta["headers"]["x-own"] == f"{number % 3}"
        assert not {"authorization", "grpc-timeout", ":path", "te"} & set(meta["headers"])


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages(served: Any, compression: grpc.Compression) -> None:
    response = infer(served, raw([1] * 1000, id="i"), compression=compression)
    assert (response.id, len(response.raw_output_contents[0])) == ("i", 4000)


def with_two_names() -> Any:
    request = raw([1])
    request.inputs.add(name="x", datatype="FP32", shape=[1])
    request.raw_input_contents.append(b"1234")
    return request


def with_output(name: str) -> Any:
    request = raw([1])
    request.outputs.add(name=name)
    return request


def without_name() -> Any:
    request = raw([1])
    request.inputs[0].name = ""
    return request


def changed(field: str, value: Any) -> Any:
    request = raw([1])
    setattr(request.inputs[0], field, value)
    return request


def mixed() -> Any:
    request = typed([1])
    request.raw_input_contents.append(b"1234")
    return request


def reshaped(shape: Sequence[int]) -> Any:
    request = raw([1])
    request.inputs[0].shape[:] = shape
    return request


ERRORS: dict[str, tuple[str, Any]] = {
    "unknown model": ("NOT_FOUND", raw([1], "other")),
    "unknown version": ("NOT_FOUND", raw([1], model_version="1")),
    "two inputs of a name": ("INVALID_ARGUMENT", with_two_names()),
    "unknown output": ("INVALID_ARGUMENT", with_output("other")),
    "unknown datatype": ("INVALID_ARGUMENT", changed("datatype", "FLOAT")),
    "no name": ("INVALID_ARGUMENT", without_name()),
    "raw and typed": ("INVALID_ARGUMENT", mixed()),
    "shape": ("INVALID_ARGUMENT", reshaped([2])),
    "negative shape": ("INVALID_ARGUMENT", reshaped([-1])),
    "huge shape": ("INVALID_ARGUMENT", reshaped([2**40, 2**40])),
    "exception": ("INTERNAL", word(b"raise")),
    "no datatype": ("INTERNAL", word(b"complex")),
    "status 400": ("INVALID_ARGUMENT", word(b"400")),
    "status 401": ("UNAUTHENTICATED", word(b"401")),
    "status 403": ("PERMISSION_DENIED", word(b"403")),
    "status 404": ("NOT_FOUND", word(b"404")),
    "status 409": ("ABORTED", word(b"409")),
    "status 418": ("FAILED_PRECONDITION", word(b"418")),
    "status 429": ("RESOURCE_EXHAUSTED", word(b"429")),
    "status 500": ("INTERNAL", word(b"500")),
    "status 501": ("UNIMPLEMENTED", word(b"501")),
    "status 503": ("UNAVAILABLE", word(b"503")),
    "status 504": ("DEADLINE_EXCEEDED", word(b"504")),
    "no status": ("INTERNAL", word(b"200")),
}
TEXTS = {"exception": "of the class", "status 418": "its own"}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(served: Any, case: str) -> None:
    status, request = ERRORS[case]
    error = fail(served, request)
    assert error.code() is grpc.StatusCode[status]
    assert error.details()
    assert TEXTS.get(case, error.details()) == error.details()


def test_seldons_protocol_keeps_its_statuses(served: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        served.call(b"\x0a\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    message = SeldonMessage()
    message.data.ndarray.values.add().string_value = "raise"
    with pytest.raises(grpc.RpcError) as caught:
        served.call(message.SerializeToString())
    assert caught.value.code() is grpc.StatusCode.UNKNOWN


@engines
def test_a_message_that_is_too_long(serve: Callable[..., Any], engine: str) -> None:
    served = serve(engine, server={"max_message_bytes": 10_000})
    assert fail(served, raw([1] * 5000)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_router_has_no_inference(serve: Callable[..., Any]) -> None:
    source = "class {name}:\n    def route(self, X, names): return 1\n"
    served = serve(source=source, service_type=ServiceType.ROUTER)
    assert fail(served, raw([1], "any")).code() is grpc.StatusCode.UNIMPLEMENTED
    assert ask(served, "ModelReady", name="any").ready


# Streams


def stream(channel: grpc.Channel, requests: Any, **more: Any) -> Any:
    stub = channel.stream_stream(
        f"/{SERVICE}/ModelStreamInfer", INFER_REQUEST.SerializeToString, STREAM_RESPONSE.FromString
    )
    return stub(iter(requests), timeout=WAIT_SECONDS, **more)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_a_stream_has_a_response_for_each_request(served: Any, count: int) -> None:
    requests = [(raw if number % 2 else typed)([number], id=str(number)) for number in range(count)]
    responses = list(stream(served.channel, requests))
    assert [response.infer_response.id for response in responses] == [request.id for request in requests]
    for number, response in enumerate(responses):
        assert not response.error_message
        assert len(response.infer_response.raw_output_contents) == number % 2


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_stream_stays_open_after_errors(served: Any, compression: grpc.Compression) -> None:
    requests = [raw([1], id="a"), word(b"raise", id="b"), raw([1], "other", id="c"), reshaped([2]), raw([2], id="d")]
    first, *failed, last = stream(served.channel, requests, compression=compression)
    assert (first.infer_response.id, last.infer_response.id) == ("a", "d")
    assert [response.infer_response for response in failed] == [INFER_RESPONSE(id=name) for name in ("b", "c", "")]
    assert [bool(response.error_message) for response in (first, *failed, last)] == [False, True, True, True, False]
    assert failed[0].error_message == "of the class"


# Tokens, health and reflection

OPEN = ("ServerLive", "ServerReady")
CLOSED = ("ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "ModelStatistics", "RepositoryIndex")


@engines
def test_only_health_needs_no_token(serve: Callable[..., Any], engine: str) -> None:
    served = serve(engine, server={"auth": AuthSpec(("secret-token",))})
    for method in OPEN:
        assert ask(served, method)
    for method in CLOSED:
        error = fail(served, message_class(f"{method}Request")(), method)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    token = [("authorization", "Bearer secret-token")]
    assert ask(served, "ServerMetadata", metadata=token)
    assert infer(served, raw([1]), metadata=token).outputs


def test_health_and_reflection_know_both_protocols(served: Any) -> None:
    stub = health_pb2_grpc.HealthStub(served.channel)
    for service in ("", SERVICE, "seldon.protos.Model"):
        assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=WAIT_SECONDS).status == 1
    database = ProtoReflectionDescriptorDatabase(served.channel)
    assert {SERVICE, "seldon.protos.Model"} <= set(database.get_services())
    assert database.FindFileContainingSymbol(SERVICE).package == "inference"
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    for version in ("v1", "v1alpha"):
        reflect = served.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        (response,) = reflect(iter([request]), timeout=WAIT_SECONDS)
        assert SERVICE in {each.name for each in response.list_services_response.service}


# Readiness

GATED = """
import gated

class Served:
    def __init__(self):
        gated.pass_gate()

    def predict(self, X, names):
        return X
"""


@engines
def test_before_the_model_is_loaded(start: Callable[..., Any], gate: Any, engine: str) -> None:
    server = start(GATED, server={"engine": engine})
    port = int(server.wait_for(r"gRPC on 127.0.0.1:(\d+)")[1])
    gate.wait_until_entered()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert call(channel, "ServerLive").live
        assert not call(channel, "ServerReady").ready
        assert not call(channel, "ModelReady").ready
        (entry,) = call(channel, "RepositoryIndex").models
        assert (entry.state, bool(entry.reason)) == ("LOADING", True)
        for method, request in (("ModelInfer", raw([1], "m")), ("ModelMetadata", None)):
            with pytest.raises(grpc.RpcError) as caught:
                call(channel, method, request)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        (response,) = stream(channel, [raw([1], "m", id="a")])
        assert response.error_message
        assert response.infer_response == INFER_RESPONSE(id="a")
        gate.release()
        server.wait_for("supervisor: ready")
        assert call(channel, "ServerReady").ready
        assert call(channel, "ModelInfer", raw([1], "m")).outputs


BUSY = """
import gated

class Served:
    def predict(self, X, names):
        gated.pass_gate()
        return X
"""


@engines
def test_a_full_queue_a_timeout_and_a_deadline(start: Callable[..., Any], gate: Any, engine: str) -> None:
    server = start(BUSY, timeout=1, server={"engine": engine, "max_queue": 0}).wait_until_ready()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = channel.unary_unary(f"/{SERVICE}/ModelInfer", INFER_REQUEST.SerializeToString, INFER_RESPONSE.FromString)
        first = stub.future(raw([1], "m"), timeout=WAIT_SECONDS, wait_for_ready=True)
        gate.wait_until_entered()
        with pytest.raises(grpc.RpcError) as caught:
            stub(raw([1], "m"), timeout=WAIT_SECONDS)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        names = [str(number) for number in range(400)]
        responses = list(stream(channel, [raw([1], "m", id=name) for name in names]))
        assert all("server.max_queue" in response.error_message for response in responses)
        assert [response.infer_response.id for response in responses] == names
        with pytest.raises(grpc.RpcError) as caught:
            first.result()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "server.request_timeout_seconds" in str(caught.value.details())
    gate.release()


FIRST_WAITS = """
import gated

class Served:
    is_first = True

    def predict(self, X, names):
        is_first, self.is_first = self.is_first, False
        if is_first:
            gated.pass_gate()
        return X
"""


@engines
def test_calls_that_are_processed_get_their_responses_when_the_server_stops(
    start: Callable[..., Any], gate: Any, engine: str
) -> None:
    server = start(FIRST_WAITS, server={"engine": engine}).wait_until_ready()
    is_over = threading.Event()

    def generate() -> Iterator[Any]:
        yield from (raw([1], "m", id=name) for name in "ab")
        is_over.wait(WAIT_SECONDS)

    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = channel.unary_unary(f"/{SERVICE}/ModelInfer", INFER_REQUEST.SerializeToString, INFER_RESPONSE.FromString)
        responses = stream(channel, generate())
        gate.wait_until_entered()
        one = stub.future(raw([1], "m", id="c"), timeout=WAIT_SECONDS)
        call(channel, "ServerLive")  # the server has read what was sent before
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining open requests")
        gate.release()
        assert one.result().id == "c"
        assert next(responses).infer_response.id == "a"
        if engine == "native":  # with uvicorn, a message that waits may get an error
            assert next(responses).infer_response.id == "b"
        with pytest.raises(grpc.RpcError):
            list(responses)
        is_over.set()
    assert server.wait() == 0


def test_calls_are_logged(start: Callable[..., Any]) -> None:
    server = start("class Served:\n    def predict(self, X, names): return X\n", access=True).wait_until_ready()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call(channel, "ModelInfer", raw([1], "m"))
        call(channel, "ModelReady")
        assert len(list(stream(channel, [raw([1], "m"), raw([1], "other")]))) == 2
    server.stop()
    for line in ("ModelInfer OK", "ModelReady OK", "ModelStreamInfer OK", "ModelStreamInfer NOT_FOUND"):
        assert server.count(f"POST /{SERVICE}/{line}") == 1
