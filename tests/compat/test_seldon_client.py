"""The replacement of ``SeldonClient`` does what code that was written for the original expects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest

from seldon_spec.compat.prediction_pb2 import Feedback, SeldonMessage
from seldon_spec.compat.seldon_client import SeldonClient, SeldonClientException
from tests.remote.conftest import grpc_peer, http_peer
from tests.remote.peers import GrpcPeer, HttpPeer, respond

__all__ = ["grpc_peer", "http_peer"]

MODEL = """
class Model:
    def predict(self, X, names):
        if isinstance(X, str) and X == "broken":
            raise ValueError("the model is broken")
        return X

    def transform_input(self, X, names):
        return X + 1

    def send_feedback(self, X, names, reward, truth, routing=None):
        return [[reward]]
"""
ARRAY = np.array([[1.0, 2.0]])


@pytest.fixture(scope="module")
def endpoints(
    tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Callable[..., AbstractContextManager[Any]]
) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("model")
    (folder / "Model.py").write_text(MODEL)
    with serve_in_thread(folder, "Model") as server:
        yield {"rest": f"127.0.0.1:{server.http_port}", "grpc": f"127.0.0.1:{server.grpc_port}"}


DATA: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tensor": ({"data": ARRAY}, {"names": ["t:0", "t:1"], "tensor": {"shape": [1, 2], "values": [1.0, 2.0]}}),
    "ndarray": ({"data": ARRAY, "payload_type": "ndarray"}, {"names": ["t:0", "t:1"], "ndarray": [[1.0, 2.0]]}),
}


@pytest.mark.parametrize("transport", ["rest", "grpc"])
@pytest.mark.parametrize(("options", "data"), DATA.values(), ids=DATA)
def test_a_microservice(
    transport: str, options: dict[str, Any], data: dict[str, Any], endpoints: dict[str, str]
) -> None:
    client = SeldonClient(microservice_endpoint=endpoints[transport], transport=transport, names=["x", "y"])
    found = client.microservice(**options)
    assert (found.success, found.msg, found.response["data"]) == (True, "", data)
    assert found.request["data"]["names"] == ["x", "y"]
    assert repr(found).startswith("Success:True message:\nRequest:\n{")
    added = client.microservice(method="transform-input", **options)
    assert "2.0, 3.0" in str(added.response["data"])


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_messages_of_protobuf(transport: str, endpoints: dict[str, str]) -> None:
    client = SeldonClient(microservice_endpoint=endpoints[transport], transport=transport, client_return_type="proto")
    found = client.microservice(data=ARRAY, payload_type="tftensor")
    assert isinstance(found.request, SeldonMessage)
    assert list(found.response.data.tftensor.double_val or [1.0, 2.0]) == [1.0, 2.0]
    assert client.microservice(str_data="text").response.strData == "text"
    assert client.microservice(bin_data=b"\xff").response.binData == b"\xff"
    assert client.microservice(json_data={"a": "b"}).response.jsonData.struct_value["a"] == "b"
    assert client.microservice(raw_data={"strData": "raw"}).response.strData == "raw"
    random = client.microservice(shape=(2, 3))
    assert list(random.response.data.tensor.shape) == [2, 3]


@pytest.mark.parametrize("return_type", ["dict", "proto"])
@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_feedback(transport: str, return_type: str, endpoints: dict[str, str]) -> None:
    client = SeldonClient(
        microservice_endpoint=endpoints[transport], transport=transport, client_return_type=return_type
    )
    found = client.microservice(data=ARRAY)
    sent = client.microservice_feedback(found.request, found.response, 0.5)
    assert sent.success
    assert "0.5" in str(sent.response)
    assert isinstance(sent.response, dict if return_type == "dict" else SeldonMessage)
    assert client.microservice_feedback(reward=1.0, prediction_request=found.request).success


def test_a_failed_call(endpoints: dict[str, str]) -> None:
    found = SeldonClient(microservice_endpoint=endpoints["rest"]).microservice(str_data="broken")
    assert (found.success, found.response, found.request) == (False, None, {"strData": "broken"})
    assert "the model is broken [HTTP 500" in found.msg


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"namespace": "seldon"}, "/seldon/seldon/mymodel/api/v1.0"),
        ({}, "/seldon/mymodel/api/v1.0"),
        ({"gateway_prefix": "/mine"}, "/mine/api/v1.0"),
    ],
    ids=["namespace", "default", "prefix"],
)
def test_a_gateway_over_rest(options: dict[str, str], path: str, http_peer: Callable[..., HttpPeer]) -> None:
    peer = http_peer(lambda _, connection: connection.sendall(respond()))
    client = SeldonClient(
        deployment_name="mymodel", gateway_endpoint=peer.url.removeprefix("http://"), headers={"X-A": "b"}, **options
    )
    assert client.predict(data=ARRAY, gateway="istio").response["strData"] == "fine"
    assert client.feedback({"strData": "x"}, {"meta": {}}, reward=1).success
    assert [head.splitlines()[0] for head, _ in peer.posts] == [
        f"POST {path}/predictions HTTP/1.1",
        f"POST {path}/feedback HTTP/1.1",
    ]
    assert "X-A: b" in peer.posts[0][0]


def test_a_gateway_over_grpc(grpc_peer: Callable[..., GrpcPeer]) -> None:
    peer = grpc_peer(lambda message, _: message if b"reward" in message else SeldonMessage().SerializeToString())
    client = SeldonClient(
        deployment_name="mymodel", namespace="ns", gateway_endpoint=peer.url.removeprefix("grpc://"), transport="grpc"
    )
    assert client.predict(data=ARRAY).success
    assert client.feedback({"strData": "x"}, None, reward=1).success
    assert [call[0] for call in peer.calls] == ["/seldon.protos.Seldon/Predict", "/seldon.protos.Seldon/SendFeedback"]
    assert {"seldon": "mymodel", "namespace": "ns"}.items() <= peer.calls[0][1].items()
    assert Feedback.FromString(peer.calls[1][2]).reward == 1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: SeldonClient(transport="carrier pigeon"), "Unknown transport"),
        (lambda: SeldonClient(gateway="seldon"), "Unknown gateway"),
        (lambda: SeldonClient(oauth_key="x"), "oauth_key: the client of seldon-spec has no such option"),
        (lambda: SeldonClient().predict(), "deployment_name is required"),
        (lambda: SeldonClient().microservice(method="train"), "Unknown method"),
    ],
    ids=["transport", "gateway", "option", "deployment", "method"],
)
def test_wrong_options(call: Callable[[], object], text: str) -> None:
    with pytest.raises(SeldonClientException, match=text):
        call()


def test_options_without_effect() -> None:
    with pytest.warns(UserWarning, match="debug, grpc_max_send_message_length: no effect"):
        SeldonClient(debug=True, grpc_max_send_message_length=1)
