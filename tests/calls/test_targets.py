"""What a client is given: servers with one of the protocols, classes of a notebook, and folders that change."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from seldon_spec import CallFailed, Client, load
from seldon_spec.protocols.open_inference_v2.grpc_methods import SERVICE
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse, message_class
from tests.remote.peers import GrpcPeer, HttpPeer, respond

HttpPeers = Callable[..., HttpPeer]
GrpcPeers = Callable[..., GrpcPeer]
Sources = dict[str, tuple[Any, dict[str, Any]]]

DEFINITION = "class Model:\n    def predict(self, X, names):\n        return X * {factor}\n"
RESPONSE = {"model_name": "iris", "outputs": [{"name": "y", "datatype": "INT64", "shape": [2], "data": [3, 4]}]}
SERVER = {"name": "other", "version": "1", "extensions": []}


def respond_v2(peer: HttpPeer, connection: Any) -> None:
    """Respond as a server that has the Open Inference Protocol only, and two models."""
    path = peer.posts[-1][0].split(" ")[1]
    pages = {
        "/v2/repository/index": [{"name": "iris", "state": "READY"}, {"name": "other", "state": "READY"}],
        "/v2/models/iris/infer": RESPONSE,
    }
    if path in pages:
        connection.sendall(respond(json.dumps(pages[path]).encode()))
    else:
        connection.sendall(respond(b"{}", "404 Not Found"))


def test_a_server_that_has_the_open_inference_protocol_only(http_peer: HttpPeers) -> None:
    pages = {"/v2": respond(json.dumps(SERVER).encode()), "/v2/health/ready": respond(b"{}")}
    peer = http_peer(respond_v2, pages)
    with Client(peer.url, model="iris") as client:
        assert client.ready()
        assert client.predict(np.array([1, 2])).tolist() == [3, 4]
        assert client.predict([1, 2]) == [3, 4]
    paths = [head.split(" ")[1] for head, _ in peer.posts]
    infer = "/v2/models/iris/infer"
    assert paths == ["/api/v1.0/predictions", infer, infer]
    sent = json.loads(peer.posts[-1][1])  # without binary data, which this server does not announce
    assert sent["inputs"] == [{"name": "input-0", "shape": [2], "datatype": "INT64", "data": [1, 2]}]


def test_one_of_several_models_has_to_be_selected(http_peer: HttpPeers) -> None:
    peer = http_peer(respond_v2, {"/v2": respond(json.dumps(SERVER).encode())})
    with Client(peer.url) as client, pytest.raises(ValueError, match="several models: iris, other; select one"):
        client.infer([1.0])
    with Client(f"{peer.url}/v2/models/iris") as client:
        assert client.predict([1.0]) == [3, 4]
    bare = http_peer(lambda _, connection: connection.sendall(respond(b"{}", "405 Method Not Allowed")))
    with Client(bare.url) as client, pytest.raises(ValueError, match="no list of its models; select one"):
        client.infer([1.0])
    with Client(f"{peer.url}/v2/models/iris", protocol="seldon") as client, pytest.raises(CallFailed):
        client.predict([1.0])


def test_a_grpc_server_that_has_the_open_inference_protocol_only(grpc_peer: GrpcPeers) -> None:
    output = ModelInferResponse.InferOutputTensor(name="y", datatype="INT64", shape=[2])
    output.contents.int64_contents.extend([3, 4])
    served: dict[str, Any] = {
        "ServerMetadata": message_class("ServerMetadataResponse")(name="other"),
        "RepositoryIndex": message_class("RepositoryIndexResponse")(models=[{"name": "iris"}]),
        "ModelInfer": ModelInferResponse(outputs=[output]),
    }

    def handle(_message: bytes, context: grpc.ServicerContext) -> bytes:
        name = peer.calls[-1][0].removeprefix(f"/{SERVICE}/")
        if name not in served:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        encoded: bytes = served[name].SerializeToString()
        return encoded

    peer = grpc_peer(handle)
    with Client(peer.url) as client:
        assert client.predict(np.array([1, 2])).tolist() == [3, 4]
    request = ModelInferRequest.FromString(peer.calls[-1][2])
    assert (request.model_name, request.inputs[0].name) == ("iris", "input-0")


def test_a_server_without_predict_has_seldon_s_protocol_nevertheless(grpc_peer: GrpcPeers) -> None:
    def handle(_message: bytes, context: grpc.ServicerContext) -> bytes:
        if peer.calls[-1][0].endswith("/Predict"):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no predict")
        return b""

    peer = grpc_peer(handle)
    with Client(peer.url) as client, pytest.raises(CallFailed, match="no predict"):
        client.predict([[1.0]])
    assert [call[0].rpartition("/")[2] for call in peer.calls] == ["Predict", "ModelMetadata"]


def test_headers_are_sent(http_peer: HttpPeers, grpc_peer: GrpcPeers) -> None:
    web = http_peer(lambda _, connection: connection.sendall(respond()))
    with Client(web.url, headers={"X-Tenant": "a"}, token="t") as client:
        client.predict("x", request_id="my-request")
    lines = web.posts[0][0].splitlines()
    assert {"X-Tenant: a", "authorization: Bearer t", "seldon-puid: my-request"} <= set(lines)
    rpc = grpc_peer(lambda message, _: message)
    with Client(rpc.url, headers={"X-Tenant": "a"}, token="t") as client:
        client.predict("x", request_id="my-request")
    metadata = rpc.calls[0][1]
    assert {"x-tenant": "a", "authorization": "Bearer t", "seldon-puid": "my-request"}.items() <= metadata.items()


def test_connections_are_kept_and_shared_by_threads(sources: Sources) -> None:
    source, options = sources["rest"]
    found: list[float] = []
    with Client(source, max_connections=2, **options) as client:

        def work(value: float) -> None:
            found.extend(client.predict([value])[0] for _ in range(20))

        threads = [threading.Thread(target=work, args=[float(index)]) for index in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(found) == [float(index) for index in range(6) for _ in range(20)]


def define(factor: int) -> Any:
    """Define the class as a cell of a notebook does."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(DEFINITION.format(factor=factor), namespace)
    return namespace["Model"]


def test_a_class_that_is_defined_again() -> None:
    found = []
    for factor in (2, 3):
        with Client(define(factor)) as client:
            found.append(client.predict([[1.0, 2.0]]))
    assert found == [[[2, 4]], [[3, 6]]]


def test_a_folder_whose_class_has_changed(tmp_path: Path) -> None:
    (tmp_path / "seldon.yaml").write_text("class_name: Model\nserver: {batching: {max_rows: 8}}\n")
    for factor in (2, 3):
        (tmp_path / "Model.py").write_text(DEFINITION.format(factor=factor))
        for source in (tmp_path, str(tmp_path), load(tmp_path, {})):
            with Client(source) as client:
                assert client.predict([[1.0, 2.0]]) == [[factor, 2 * factor]]


class Scaled:
    """A class with a parameter."""

    def __init__(self, factor: float, timeout: float = 1) -> None:
        self.factor = factor * timeout

    def predict(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
        return X * self.factor


def test_the_parameters_of_a_class() -> None:
    with Client(Scaled, factor=3) as client:
        assert client.predict([[1.0]]) == [[3]]
    with Client(functools.partial(Scaled, timeout=2), factor=3) as client:
        assert client.predict([[1.0]]) == [[6]]


def test_a_graph(tmp_path: Path) -> None:
    for name, factor in (("first", 2), ("second", 5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "seldon.yaml").write_text("class_name: Model\n")
        (tmp_path / name / "Model.py").write_text(DEFINITION.format(factor=factor))
    (tmp_path / "seldon.yaml").write_text("graph: [first, second]\n")
    with Client(tmp_path) as client:
        assert client.predict([[1.0]]) == [[10]]
        assert client.infer(np.array([[1.0]])).tolist() == [[10]]


def test_a_graph_with_a_server_that_cannot_be_reached(
    tmp_path: Path, reserve_ports: Callable[[int], AbstractContextManager[list[int]]]
) -> None:
    with reserve_ports(1) as (port,):
        (tmp_path / "seldon.yaml").write_text(
            f"graph: [far]\ncomponents:\n  far: {{url: 'http://127.0.0.1:{port}', service_type: MODEL}}\n"
        )
        with Client(tmp_path) as client, pytest.raises(CallFailed) as caught:
            client.predict([[1.0]])
    assert (type(caught.value), caught.value.http_status) == (CallFailed, 503)
    assert caught.value.info.startswith(f"component far: no response from 127.0.0.1:{port}: ")
