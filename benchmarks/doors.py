"""The parsers of untrusted bytes: JSON, forms, protobuf and YAML; each with seed inputs.

The first byte of an input selects the operation, so that an input is one byte string and can be kept in a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seldon_spec.config.loader import load
from seldon_spec.config.model import ServiceType, Spec, UnitSpec
from seldon_spec.errors import RequestError, SpecError
from seldon_spec.inference.component.build import build_component
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.observability.metrics import Metrics
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage, SeldonMessageList
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.server.rest.flask_app import make_app

VERBS = (
    Operation.PREDICT,
    Operation.FEEDBACK,
    Operation.TRANSFORM_INPUT,
    Operation.TRANSFORM_OUTPUT,
    Operation.ROUTE,
    Operation.AGGREGATE,
)
PATHS = ("/predict", "/send-feedback", "/transform-input", "/transform-output", "/route", "/aggregate")
MEDIA_TYPES = (
    "multipart/form-data; boundary=b",
    "application/x-www-form-urlencoded",
    "application/json",
    "application/octet-stream",
)

Knock = Callable[[bytes], str]
"""Takes an input and says in a few words what became of it."""


class Fault(Exception):
    """A client error was reported as a server error."""


class Echo:
    """Gives back what it gets, in a form that can be sent, and never raises: so whatever fails is ours."""

    def predict(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803 - the contract's own names
        """The input; a list that is no array would be the class's mistake."""
        return {"list": X} if isinstance(X, list) else X

    transform_input = transform_output = predict

    def route(self, X: Any, names: Any) -> int:  # noqa: ARG002, N803
        """Always the first."""
        return 0

    def aggregate(self, features: list[Any], names: Any) -> Any:
        """The first part."""
        return self.predict(features[0], names) if features else []

    def send_feedback(self, features: Any, names: Any, reward: Any, truth: Any) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Door:
    """One door.

    Args:
        open: makes what knocks at it; gets a folder that is its own.
        seeds: inputs to begin from.
        words: pieces that mean something there.
        share: how many of all inputs are for it, of 100.
    """

    open: Callable[[Path], Knock]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...]
    share: int


def _dispatcher() -> Dispatcher:
    dispatcher = Dispatcher(lambda: build_component(Echo, {}, UnitSpec(), ServiceType.MODEL), ModelThreads(), Metrics())
    dispatcher.start().result()
    return dispatcher


def _open_codec(codec: Codec) -> Callable[[Path], Knock]:
    """A target in which a codec decodes, the class responds, and the codec encodes."""

    def open_door(_folder: Path) -> Knock:
        dispatcher = _dispatcher()

        def knock(given: bytes) -> str:
            operation = VERBS[given[0] % len(VERBS)] if given else Operation.PREDICT
            try:
                reply = dispatcher.submit(operation, given[1:], codec).result()
            except RequestError as error:
                return _judge(describe(error).http, f"{type(error).__name__} {error}")
            return f"{operation.value} {shape(bytes(reply.body[:60]).decode('latin-1'))}"

        return knock

    return open_door


def _open_forms(folder: Path) -> Knock:
    client = make_app(_dispatcher(), Spec(class_name="Echo", folder=folder, name="echo")).test_client()

    def knock(given: bytes) -> str:
        choice = given[0] if given else 0
        path = PATHS[choice % len(PATHS)]
        response = client.post(path, data=given[1:], content_type=MEDIA_TYPES[choice // len(PATHS) % len(MEDIA_TYPES)])
        return _judge(response.status_code, response.get_data()[:200].decode("latin-1"))

    return knock


def _open_yaml(folder: Path) -> Knock:
    (folder / "MyModel.py").write_text("class MyModel:\n    def predict(self, X, names):\n        return X\n")
    (folder / "requirements.txt").write_text("numpy==1.26.4\n")
    file = folder / "seldon.yaml"

    def knock(given: bytes) -> str:
        file.write_bytes(given)
        try:
            return f"fine {len(load(folder, {}).diagnostics)}"
        except SpecError as error:
            return " ".join(sorted({diagnostic.code for diagnostic in error.diagnostics}))

    return knock


def _judge(status: int, text: str) -> str:
    if status >= 500:
        raise Fault(f"{status}: {text}")
    return f"{status} {shape(text)}"


def shape(text: str) -> str:
    """A text without what differs from input to input."""
    return re.sub(r"[^A-Za-z ]+", "", text)[:60]


def _json(operation: int, *texts: str) -> tuple[bytes, ...]:
    return tuple(bytes((operation,)) + text.encode() for text in texts)


_JSON_SEEDS = (
    *_json(
        0,
        '{"data": {"names": ["a", "b"], "ndarray": [[1, 2.5], [3, -4e3]]}, "meta": {"tags": {"k": 1}, "puid": "p"}}',
        '{"data": {"tensor": {"shape": [2, 2], "values": [1, 2, 3, 4.5]}}}',
        '{"data": {"ndarray": [["x", null, true], [1, {"a": [2]}, "\\u00e9\\ud83d\\ude00"]]}}',
        '{"data": {"tftensor": {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "2"}]}, "floatVal": [1, 2]}}}',
        '{"strData": "text \\u0000 \\ud800"}',
        '{"binData": "AAEC/w=="}',
        '{"jsonData": {"deep": [[[[[[{"a": 1e308}]]]]]], "n": 123456789012345678901234567890}}',
        '{"meta": {"metrics": [{"key": "k", "type": "COUNTER", "value": 1}], "routing": {"r": 1}}, "strData": "x"}',
        '{"status": {"code": 200, "info": "i", "reason": "r", "status": "SUCCESS"}, "strData": "x"}',
        "[[1, 2], [3, 4]]",
    ),
    *_json(1, '{"request": {"data": {"ndarray": [[1]]}}, "response": {"meta": {"routing": {"r": 0}}}, "reward": 0.5}'),
    *_json(1, '{"truth": {"data": {"tensor": {"shape": [1], "values": [1]}}}, "reward": "NaN"}'),
    *_json(2, '{"data": {"names": [], "ndarray": []}}'),
    *_json(3, '{"data": {"tensor": {"shape": [0, 3], "values": []}}}'),
    *_json(4, '{"data": {"ndarray": [1, 2, 3]}}'),
    *_json(5, '{"seldonMessages": [{"strData": "a"}, {"data": {"ndarray": [[1]]}}]}', '[{"binData": "AA=="}]'),
)
"""One of each kind of message, and one for each operation."""

_JSON_WORDS = (
    *(f'"{name}"'.encode() for name in ("data", "names", "tensor", "shape", "values", "ndarray", "tftensor", "dtype")),
    *(f'"{name}"'.encode() for name in ("strData", "binData", "jsonData", "meta", "tags", "puid", "routing", "reward")),
    *(f'"{name}"'.encode() for name in ("tensorShape", "dim", "size", "tensorContent", "DT_STRING", "DT_HALF")),
    *(b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0.0", b"18446744073709551616", b"-9223372036854775809"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b'"',
        b"\\u0000",
        b"\\ud800",
        b"\xef\xbb\xbf",
        b"\xff",
        b"{}",
        b"[]",
        b"[[],[]]",
    ),
)


def _multipart(operation: int, *parts: tuple[str, str]) -> bytes:
    body = "".join(f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n" for head, text in parts)
    return bytes((operation,)) + f"{body}--b--\r\n".encode()


_FORM_SEEDS = (
    _multipart(0, ('name="strData"', "text")),
    _multipart(0, ('name="strData"; filename="f.txt"', "text")),
    _multipart(0, ('name="binData"; filename="f.bin"', "\0\1\2")),
    _multipart(0, ('name="jsonData"', '{"a": 1}'), ('name="meta"', '{"tags": {}}')),
    _multipart(0, ('name="json"', '{"strData": "x"}')),
    _multipart(0, ('name="data"', '{"ndarray": [[1]]}'), ('name="meta"', '{"puid": "p"}')),
    _multipart(1, ('name="json"', '{"reward": 1}')),
    _multipart(5, ('name="json"', '[{"strData": "a"}]')),
    b"\x06json=%7B%22strData%22%3A%20%22x%22%7D",
    b"\x07json={}&json=[]",
    b'\x0c{"strData": "x"}',
    b"\x12\x00\x01",
)

_FORM_WORDS = (
    *(
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n\r\n",
        b"Content-Disposition: form-data; ",
        b"Content-Type: application/json\r\n",
    ),
    *(b'name="json"', b'name="data"', b'name="binData"', b'name="strData"', b'name="jsonData"', b'name="meta"'),
    *(
        b'; filename="x"',
        b"; filename*=utf-8''%ff",
        b"Content-Transfer-Encoding: base64\r\n",
        b"&",
        b"=",
        b"%",
        b"json=",
    ),
)


def _proto(operation: int, message: Any) -> bytes:
    return bytes((operation,)) + bytes(message.SerializeToString())


def _proto_seeds() -> tuple[bytes, ...]:
    tensor = SeldonMessage(data={"names": ["a"], "tensor": {"shape": [2, 1], "values": [1.0, 2.0]}})
    table = SeldonMessage(meta={"puid": "p", "routing": {"r": 1}, "requestPath": {"m": "i"}})
    table.data.ndarray.extend([[1.0, 2.0], ["x", None, True]])
    tags = SeldonMessage(strData="é")
    tags.meta.tags["k"].struct_value["n"] = 1.5
    tags.meta.metrics.add(key="k", type="TIMER", value=1.5, tags={"a": "b"})
    tf = SeldonMessage(data={"tftensor": {"dtype": 1, "tensor_shape": {"dim": [{"size": 2}]}, "float_val": [1, 2]}})
    tree = SeldonMessage()
    tree.jsonData.struct_value["a"] = [1.0, {"b": None}]
    feedback = Feedback(request=tensor, response=table, reward=0.5, truth=tags)
    parts = SeldonMessageList(seldonMessages=[tensor, tags])
    plain = (SeldonMessage(binData=b"\0\1"), tensor, table, tags, tf, tree, SeldonMessage())
    return (*(_proto(index % 5, each) for index, each in enumerate(plain * 2) if index % 5 != 1),
            _proto(1, feedback), _proto(5, parts))  # fmt: skip


_PROTO_WORDS = (
    *(bytes((number << 3 | kind,)) for number in range(1, 8) for kind in (0, 1, 2, 3, 4, 5)),
    *(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff\x0f", b"\x00", b"\x7f", b"\xf8\x7f", b"\xff\xfe"),
    *(b"\x12\x02\x0a\x00", b"\x1a\x02\x12\x00", b"\x0a\x02\x08\x01", b"\x32\x02\x0a\x00"),
)

_YAML_SEEDS = (
    b"class_name: MyModel\n",
    b"class_name: MyModel\nservice_type: ROUTER\nname: iris\nversion: '1.0'\n",
    b"class_name: MyModel\nparameters: {threshold: 0.5, list: [1, 2], key: {from_env: KEY}}\n",
    b"class_name: MyModel\nparameters:\n  - {name: x, type: FLOAT, value: '0.5'}\n",
    b"class_name: MyModel\nports: {http: 9000, grpc: null, metrics: 6000}\n",
    b"class_name: MyModel\nserver:\n  workers: 2\n  log: {level: INFO, format: json}\n  shutdown: {grace_seconds: 8}\n",
    b"class_name: MyModel\nserver: {max_requests: 100, on_timeout: replace, request_timeout_seconds: 3}\n",
    b"class_name: MyModel\nserver: {tls: {certificate: c.pem, key: k.pem}, auth: {tokens: [{from_env: T}]}}\n",
    b"class_name: MyModel\nimage:\n  python: '3.12'\n  requirements: requirements.txt\n  labels: {a: b}\n  user: 1\n",
    b"class_name: MyModel\nimage: {base: 'python:3.12-slim', steps: {before: ['RUN true']}, platforms: [a/b]}\n",
    b"class_name: MyModel\nenvironment: {A: b, DB_PASSWORD: {from_file: /run/secret}}\nflask: {DEBUG: false}\n",
    b"a: &a {x: 1}\nb: *a\n<<: *a\nclass_name: !!str MyModel\n",
)

_YAML_WORDS = (
    *(
        f"{name}: ".encode()
        for name in ("class_name", "service_type", "parameters", "ports", "server", "image", "flask")
    ),
    *(f"{name}: ".encode() for name in ("environment", "workers", "shutdown", "tls", "auth", "log", "requirements")),
    *(b"\n", b"\n  ", b"- ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"<<: ", b"!!python/object ", b"!!binary ", b"? "),
    *(
        b"|\n",
        b">-\n",
        b"---\n",
        b"...\n",
        b"%YAML 1.2\n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x00",
        b"\t",
        b"#",
        b"'",
        b'"',
    ),
    *(b"null", b"~", b"yes", b"0o17", b"0x1F", b".inf", b"2024-01-01", b"1e999", b"-1", b"99999999999999999999"),
)

DOORS = {
    "json": Door(_open_codec(JsonCodec()), _JSON_SEEDS, _JSON_WORDS, 45),
    "protobuf": Door(_open_codec(ProtoCodec()), _proto_seeds(), _PROTO_WORDS, 45),
    "forms": Door(_open_forms, _FORM_SEEDS, _FORM_WORDS, 8),
    "yaml": Door(_open_yaml, _YAML_SEEDS, _YAML_WORDS, 2),
}
