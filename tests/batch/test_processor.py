"""``seldon-batch-processor`` with real servers, compared with recorded output of the original.

The files in ``tests/golden/batch-processor`` are what the processor of seldon-core 1.19.0 wrote for the inputs below,
sent to a server of seldon-spec with this class: over REST with ``--gateway-type seldon``, over gRPC with ``istio``, as
only then it sends tags. Each instance ID is replaced with ``INSTANCE``.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.cli.batch_processor import OPTIONS, parse, run
from seldon_spec.compat.prediction_pb2 import SeldonMessage
from seldon_spec.config.model import ServerSpec, TlsSpec
from tests.batch.conftest import Start
from tests.remote.conftest import grpc_peer, http_peer
from tests.remote.peers import GrpcPeer, HttpPeer, respond

__all__ = ["grpc_peer", "http_peer"]

GOLDEN = Path(__file__).parents[1] / "golden" / "batch-processor"
TLS = Path(__file__).parents[1] / "tls"
INSTANCE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SOURCE = """
from pathlib import Path

import numpy as np

GATE = Path(__file__).parent / "gate"


class Model:
    class_names = ["double", "negative"]

    def predict(self, X, names):
        if isinstance(X, str):
            if X == "wrong":
                raise ValueError("wrong is not allowed")
            return X.upper()
        if isinstance(X, (dict, list)):
            return {"got": X}
        X = np.asarray(X)
        if X.dtype.kind in "OU":
            return [[repr(value) for value in row[:2]] for row in X.tolist()]
        if (X == -666).any():
            raise ValueError("-666 is not allowed")
        if (X == 777).any() and GATE.exists():
            GATE.open("w").close()  # until the test opens it too
        if (X == -555).any():
            return {"rows": len(X)}
        return np.stack([X[:, 0] * 2, -X[:, 0]], axis=1)

    def tags(self):
        return {"model": "double"}

    def send_feedback(self, features, feature_names, reward, truth, routing=None):
        return None
"""

NAMED = '{"data": {"names": ["a", "b"], %s}}'
NAMED_TAGGED = '{"data": {"names": ["a", "b"], %s}, "meta": {"tags": {"line": "first", "model": "mine"}}}'
ROWS = ["[[1, 2]]", "[[0.5, 3]]", "[[8, 9]]"]
NDARRAYS = [f'"ndarray": {row}' for row in ROWS]
TENSORS = [f'"tensor": {{"shape": [1, 2], "values": {row[1:-1]}}}' for row in ROWS]
FEEDBACK = '{"request": {"data": {"ndarray": [[1, 2]]}}, "reward": 1.0}'

CASES: dict[str, tuple[list[str], str]] = {
    "data": (
        [
            *ROWS[:2],
            "[[-666, 1]]",
            "no json",
            "[[4, 5], [6, 7]]",
            "",
            '[[7, "a"]]',
            "[[true, false]]",
            "[1, 2]",
            "[[8, 9]]",
        ],
        "-a data",
    ),
    "tensor": (ROWS, "-a data -p tensor"),
    "data-in-pairs": (ROWS, "-a data -s 2"),
    "tensors-together": (ROWS, "-a data -p tensor -s 3"),
    "str": (['"abc"', '"wrong"', '"ü"'], "-a str"),
    "json": (['{"a": [1, 2.5, null]}', '[1, "b"]', '{"a": {"b": true}}'], "-a json"),
    "raw": (
        [
            NAMED_TAGGED % NDARRAYS[0],
            NAMED % TENSORS[1],
            '{"strData": "text"}',
            '{"jsonData": {"a": 1}}',
            NAMED % '"ndarray": [[-666, 2]]',
        ],
        "-a raw",
    ),
    "raw-together": ([NAMED_TAGGED % NDARRAYS[0], *(NAMED % row for row in NDARRAYS[1:])], "-a raw -s 3"),
    "raw-tensors-together": ([NAMED_TAGGED % TENSORS[0], *(NAMED % row for row in TENSORS[1:])], "-a raw -s 3"),
    "feedback": ([FEEDBACK, "no json", FEEDBACK.replace("1.0", "0")], "-a raw -m feedback"),
}
"""The lines of an input, and the options."""


def write_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(INSTANCE.sub("INSTANCE", line)) for line in path.read_text(encoding="utf-8").splitlines()]


def process(*arguments: object, environ: dict[str, str] | None = None) -> int:
    return run(["-d", "model", *map(str, arguments)], environ or {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "served.py").write_text(SOURCE)
    (folder / "seldon.yaml").write_text("class_name: served.Model\n")
    return folder


@pytest.fixture(scope="module")
def at(folder: Path, serve_in_thread: Start) -> Iterator[dict[str, list[str]]]:
    """The options of each transport."""
    with serve_in_thread(folder, "served.Model") as server:
        yield {
            "rest": ["-g", "seldon", "--transport", "rest", "-h", f"127.0.0.1:{server.http_port}"],
            "grpc": ["-g", "istio", "--transport", "grpc", "-h", f"127.0.0.1:{server.grpc_port}"],
        }


def find_tags(line: dict[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = line["meta"]
    found: dict[str, Any] = meta.get("tags", meta)
    return found


@pytest.mark.parametrize("transport", ["rest", "grpc"])
@pytest.mark.parametrize("name", CASES)
def test_the_output_of_the_original(name: str, transport: str, tmp_path: Path, at: dict[str, list[str]]) -> None:
    lines, options = CASES[name]
    data, output = write_lines(tmp_path / "in", lines), tmp_path / "out"
    assert process("-i", data, "-o", output, "-u", "ID", *at[transport], *options.split()) == 0
    found, expected = read_lines(output), read_lines(GOLDEN / f"{name}-{transport}.jsonl")
    assert [find_tags(line)["batch_index"] for line in found] == list(range(len(lines)))
    for index, (line, recorded) in enumerate(zip(found, expected, strict=True)):
        if line.get("status"):
            assert line["status"].pop("reason")
            del recorded["status"]["reason"]  # empty if the server returned an error
        elif name == "json":  # sent without tags by the original
            find_tags(recorded).update(batch_id="ID", batch_index=index, batch_instance_id="INSTANCE")
    assert found == expected
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


def test_lines_that_cannot_be_sent_together_are_sent_alone(tmp_path: Path, at: dict[str, list[str]]) -> None:
    lines = [ROWS[0], "[[-666, 1]]", "no json", "[[4, 5], [6, 7]]", '[[7, "a"]]', "[[1, 2, 3]]", "[[-555, 0]]", ROWS[2]]
    data, output = write_lines(tmp_path / "in", lines), tmp_path / "out"
    assert process("-i", data, "-o", output, "-s", 100, *at["rest"]) == 0
    found = read_lines(output)
    values = [line["data"]["ndarray"] if "data" in line else line.get("jsonData", "failed") for line in found]
    pair = [[8, -4], [12, -6]]
    assert values == [[[2, -1]], "failed", "failed", pair, [["'7'", "'a'"]], [[2, -1]], {"rows": 1}, [[16, -8]]]
    raw = [
        NAMED % NDARRAYS[0],
        '{"strData": "a"}',
        NAMED.replace("b", "c") % NDARRAYS[1],
        NAMED % TENSORS[2],
        "[]",
        '{"meta": 1}',
    ]
    assert process("-i", write_lines(data, raw), "-o", output, "-a", "raw", "-s", 100, *at["rest"]) == 0
    found = read_lines(output)
    assert [next(iter(line)) if "status" in line else line.get("strData", "data") for line in found] == [
        *("data", "A", "data", "data", "status", "status"),
    ]


UNUSUAL = [
    *(
        "[[1e400]]",
        "[[NaN]]",
        "[[123456789012345678901234567890]]",
        "[[null]]",
        '[[{"a": 1}]]',
        '{"a": 1}',
        "5",
        "null",
    ),
    *("[]", "[[]]", "[[1], [2, 3]]", '"\\ud800"', '[["\\ud800"]]', "[[[[1]]]]", "[" * 5000 + "]" * 5000),
    *('{"strData": 5}', '{"data": {"ndarray": 5}}', '{"data": {"tensor": {"shape": [1, 2], "values": [1]}}}'),
    *('{"data": {"ndarray": [[1]], "names": 5}}', '{"meta": 5}', '{"meta": {"tags": []}}', '{"binData": "!!"}'),
]


@pytest.mark.parametrize("transport", ["rest", "grpc"])
@pytest.mark.parametrize("data_type", ["data", "json", "str", "raw"])
def test_any_line_has_a_line_of_the_output(
    data_type: str, transport: str, tmp_path: Path, at: dict[str, list[str]]
) -> None:
    data, output = write_lines(tmp_path / "in", UNUSUAL), tmp_path / "out"
    size = 4 if data_type in ("data", "raw") else 1
    assert process("-i", data, "-o", output, "-a", data_type, "-s", size, *at[transport]) == 0
    assert [find_tags(line)["batch_index"] for line in read_lines(output)] == list(range(len(UNUSUAL)))


RESPONSES = {
    "no JSON": (b"fine", "the response is no message of Seldon's protocol"),
    "no object": (b"[1]", "the response is no message of Seldon's protocol: it is no object"),
    "no array": (b'{"data": {"tensor": 5}, "meta": {"tags": []}}', None),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_unusual_responses(name: str, tmp_path: Path, http_peer: Callable[..., HttpPeer]) -> None:
    body, reason = RESPONSES[name]
    peer = http_peer(lambda _, connection: connection.sendall(respond(body=body)))
    data = write_lines(tmp_path / "in", ROWS)
    host = peer.url.removeprefix("http://")
    assert process("-i", data, "-o", tmp_path / "out", "-s", 3, "-h", host) == 0
    lines = read_lines(tmp_path / "out")
    assert [find_tags(line)["batch_index"] for line in lines] == [0, 1, 2]
    assert [reason is None or reason in line["status"]["reason"] for line in lines] == [True] * 3


def test_many_workers_write_in_the_order_of_the_input(tmp_path: Path, at: dict[str, list[str]]) -> None:
    data = write_lines(tmp_path / "in", [f"[[{index}, 0]]" for index in range(500)])
    for options in (["-w", 40], ["-w", 4, "-s", 7], ["-w", 2, "-t", 0.001]):
        assert process("-i", data, "-o", tmp_path / "out", *options, *at["rest"]) == 0
        lines = read_lines(tmp_path / "out")
        assert [line["data"]["ndarray"][0][0] for line in lines] == [2.0 * index for index in range(500)]
        assert [line["meta"]["tags"]["batch_index"] for line in lines] == list(range(500))
        ids = {line["meta"]["tags"]["batch_id"] for line in lines}
        assert len(ids) == 1


def test_the_workers_are_the_requests_at_the_same_time(tmp_path: Path, http_peer: Callable[..., HttpPeer]) -> None:
    together = threading.Barrier(3, timeout=30)

    def answer(_: object, connection: Any) -> None:
        together.wait()
        connection.sendall(respond())

    peer = http_peer(answer)
    data = write_lines(tmp_path / "in", ["[[1]]"] * 3)
    host = peer.url.removeprefix("http://")
    assert process("-i", data, "-o", tmp_path / "out", "-w", 3, "-h", host) == 0
    assert [line["strData"] for line in read_lines(tmp_path / "out")] == ["fine"] * 3


@pytest.mark.parametrize(
    ("gateway", "prefix"),
    [("istio", "/seldon/prod/model"), ("ambassador", "/seldon/prod/model"), ("seldon", "")],
)
def test_a_gateway_over_rest(gateway: str, prefix: str, tmp_path: Path, http_peer: Callable[..., HttpPeer]) -> None:
    peer = http_peer(lambda _, connection: connection.sendall(respond()))
    place = ["-g", gateway, "-n", "prod", "-h", peer.url.removeprefix("http://"), "-u", "ID", "-a", "raw"]
    data = write_lines(tmp_path / "in", ['{"strData": "x"}'])
    for method in ("predict", "feedback"):
        assert process("-i", data, "-o", tmp_path / "out", "-m", method, *place) == 0
    heads = [head.splitlines()[0] for head, _ in peer.posts]
    paths = [f"{prefix}/api/v1.0/{name}" for name in ("predictions", "feedback")]
    assert heads == [f"POST {path} HTTP/1.1" for path in paths]
    sent = json.loads(peer.posts[0][1])
    tags = sent["meta"]["tags"]
    assert sent["strData"] == "x"
    assert (tags["batch_id"], tags["batch_index"]) == ("ID", 0)
    assert f"seldon-puid: {tags['batch_instance_id']}" in peer.posts[0][0].lower()


def test_a_gateway_over_grpc(tmp_path: Path, grpc_peer: Callable[..., GrpcPeer]) -> None:
    peer = grpc_peer(lambda _, __: SeldonMessage(strData="fine").SerializeToString())
    place = ["--transport", "grpc", "-n", "prod", "-h", peer.url.removeprefix("grpc://")]
    data = write_lines(tmp_path / "in", ["[[1, 2]]"])
    assert process("-i", data, "-o", tmp_path / "out", "-p", "tftensor", *place) == 0
    assert read_lines(tmp_path / "out")[0]["strData"] == "fine"
    method, metadata, body = peer.calls[0]
    message = SeldonMessage.FromString(body)
    assert method == "/seldon.protos.Seldon/Predict"
    assert {"seldon": "model", "namespace": "prod"}.items() <= metadata.items()
    assert metadata["seldon-puid"] == message.meta.tags["batch_instance_id"].string_value
    assert message.data.WhichOneof("data_oneof") == "tftensor"


@pytest.fixture
def secured(folder: Path, serve_in_thread: Start) -> Iterator[Any]:
    tls = TlsSpec(str(TLS / "server.pem"), str(TLS / "server-key.pem"))
    with serve_in_thread(folder, "served.Model", server=ServerSpec(host="127.0.0.1", tls=tls)) as server:
        yield server


def test_tls_over_rest(tmp_path: Path, secured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data, output = write_lines(tmp_path / "in", ROWS), tmp_path / "out"
    place = ["-g", "seldon", "-h", f"127.0.0.1:{secured.http_port}", "-i", data, "-o", output, "-r", 1]
    assert process(*place, "--use-ssl", "true") == 1  # the certificate is not trusted
    assert output.read_bytes() == b""
    assert process(*place, "--use-ssl", "true", "--ssl-verify", "false") == 0
    assert len(read_lines(output)) == 3
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "ca.pem"))
    assert process(*place, "--use-ssl", "true") == 0


def test_tls_over_grpc(tmp_path: Path, secured: Any, command_environ: dict[str, str]) -> None:
    data, output = write_lines(tmp_path / "in", ROWS), tmp_path / "out"
    place = ["-d", "model", "--transport", "grpc", "-h", f"127.0.0.1:{secured.grpc_port}", "-i", data, "-o", output]
    command = ["seldon-batch-processor", *map(str, place), "--use-ssl", "true", "-r", "1"]
    roots = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(TLS / "ca.pem")}  # read once in a process
    trusting = subprocess.run(command, env={**command_environ, **roots}, capture_output=True, timeout=60, check=False)
    assert trusting.returncode == 0
    assert len(read_lines(output)) == 3
    command += ["--ssl-verify", "false"]
    verifying = subprocess.run(command, env=command_environ, capture_output=True, timeout=60, check=False)
    assert verifying.returncode == 1
    assert b"--ssl-verify false has no effect for gRPC" in verifying.stderr


def test_a_token_is_sent_with_tls_only(tmp_path: Path) -> None:
    tokens = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            tokens.append(self.headers["X-Auth-Token"])
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"strData": "fine"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "server.pem", TLS / "server-key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            data = write_lines(tmp_path / "in", ROWS[:1])
            place = ["-h", f"127.0.0.1:{server.server_port}", "-i", data, "-o", tmp_path / "out"]
            variables = {"SELDON_BATCH_CALL_CREDENTIALS_TOKEN": "secret", "SELDON_BATCH_SSL_VERIFY": "false"}
            assert process(*place, environ=variables) == 0
        finally:
            server.shutdown()
            thread.join()
    assert tokens == ["secret"]


def test_a_server_that_is_away_is_an_error_and_the_output_can_be_continued(
    tmp_path: Path, folder: Path, serve_folder: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = write_lines(tmp_path / "in", ROWS), tmp_path / "out"
    place = ["-i", data, "-o", output, "-g", "seldon", "-r", 1]
    with serve_folder(folder) as server:
        host = f"127.0.0.1:{server.http}"
    assert process(*place, "-h", host, "-u", "first") == 1
    error = capsys.readouterr().err
    assert "no response from 127.0.0.1" in error
    assert "--resume continues where it stopped" in error
    with serve_folder(folder) as server:
        host = f"127.0.0.1:{server.http}"
        assert process(*place, "-h", host, "-u", "second", "--resume") == 1
        assert "--batch-id was 'first', and is 'second'; start again without --resume" in capsys.readouterr().err
        assert process(*place, "-h", host, environ={"SELDON_BATCH_RESUME": "true"}) == 0
        assert process(*place, "-h", host, "--resume") == 0
    assert "is complete" in capsys.readouterr().err
    lines = read_lines(output)
    assert [line["meta"]["tags"]["batch_id"] for line in lines] == ["first"] * 3
    assert [line["data"]["ndarray"][0][0] for line in lines] == [2, 1, 16]


def test_a_killed_run_continues_with_its_id_and_its_numbers(tmp_path: Path, folder: Path, serve_folder: Start) -> None:
    lines = [f"[[{index}, 0]]" for index in range(3000)]
    lines[5], lines[6], lines[2500] = "no json", "", "[[777, 0]]"
    data, output, gate = write_lines(tmp_path / "in", lines), tmp_path / "out", folder / "gate"
    progress = output.with_name("out.progress")
    with serve_folder(folder) as server:
        place = ["-d", "model", "-g", "seldon", "-h", f"127.0.0.1:{server.http}", "-i", str(data), "-o", str(output)]
        os.mkfifo(gate)
        command = ["seldon-batch-processor", *place, "-s", "10"]
        process = subprocess.Popen(command, env=server.environ, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 60
            while not (progress.exists() and json.loads(progress.read_text())["rows"]):
                assert time.monotonic() < end
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
            gate.open().close()
        finally:
            process.kill()
            process.wait()
        gate.unlink()
        written = json.loads(progress.read_text())
        assert 0 < written["rows"] <= 2500
        assert run([*place, "--resume"], {}) == 0
    found = read_lines(output)
    assert [find_tags(line)["batch_index"] for line in found] == list(range(3000))
    ids = {find_tags(json.loads(line))["batch_id"] for line in output.read_text().splitlines()}
    assert ids == {written["source"]["--batch-id"]}
    assert [index for index, line in enumerate(found) if "status" in line] == [5, 6]
    assert [line["data"]["ndarray"][0][0] for line in found if "data" in line] == [
        2.0 * json.loads(line)[0][0] for line in lines if line.startswith("[")
    ]
    assert not progress.exists()


SUMMARIES = {
    "info": ("wrote 2 lines to ", "1 of 2 lines failed", "line 2: "),
    "warning": ("1 of 2 lines failed", "line 2: "),
}


@pytest.mark.parametrize("level", SUMMARIES)
def test_failures_are_summarised(
    level: str, tmp_path: Path, at: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_lines(tmp_path / "in", [ROWS[0], "[[-666, 0]]"])
    assert process("-i", data, "-o", tmp_path / "out", "-l", level, "--benchmark", *at["rest"]) == 0
    error = capsys.readouterr().err
    assert [text for text in ("wrote 2", *SUMMARIES[level]) if text in error][-len(SUMMARIES[level]) :] == [
        *SUMMARIES[level]
    ]
    assert ("wrote 2" in error) is (level == "info")
    assert "-666 is not allowed" in error
    assert "elapsed time: " in error


def test_an_empty_input_has_an_empty_output(tmp_path: Path, at: dict[str, list[str]]) -> None:
    (tmp_path / "out").write_text("earlier")
    assert process("-i", write_lines(tmp_path / "in", []), "-o", tmp_path / "out", *at["rest"]) == 0
    assert (tmp_path / "out").read_text() == ""


EVERY_VARIABLE = {
    "SELDON_BATCH_DEPLOYMENT_NAME": "iris",
    "SELDON_BATCH_GATEWAY_TYPE": "ambassador",
    "SELDON_BATCH_NAMESPACE": "prod",
    "SELDON_BATCH_HOST": "gateway:80",
    "SELDON_BATCH_TRANSPORT": "grpc",
    "SELDON_BATCH_DATA_TYPE": "raw",
    "SELDON_BATCH_PAYLOAD_TYPE": "tensor",
    "SELDON_BATCH_WORKERS": "5",
    "SELDON_BATCH_RETRIES": "2",
    "SELDON_BATCH_INPUT_DATA_PATH": "in.txt",
    "SELDON_BATCH_OUTPUT_DATA_PATH": "out.txt",
    "SELDON_BATCH_METHOD": "feedback",
    "SELDON_BATCH_LOG_LEVEL": "debug",
    "SELDON_BATCH_BENCHMARK": "true",
    "SELDON_BATCH_ID": "id",
    "SELDON_BATCH_SIZE": "3",
    "SELDON_BATCH_MIN_INTERVAL": "0.5",
    "SELDON_BATCH_USE_SSL": "1",
    "SELDON_BATCH_CALL_CREDENTIALS_TOKEN": "token",
    "SELDON_BATCH_SSL_VERIFY": "False",
    "SELDON_BATCH_RESUME": "yes",
}


def test_every_option_has_a_variable_that_its_flag_overrides() -> None:
    found = parse([], EVERY_VARIABLE)
    assert {option.variable: found[option.name] for option in OPTIONS} == {
        **EVERY_VARIABLE,
        "SELDON_BATCH_WORKERS": 5,
        "SELDON_BATCH_RETRIES": 2,
        "SELDON_BATCH_INPUT_DATA_PATH": Path("in.txt"),
        "SELDON_BATCH_OUTPUT_DATA_PATH": Path("out.txt"),
        "SELDON_BATCH_BENCHMARK": True,
        "SELDON_BATCH_SIZE": 3,
        "SELDON_BATCH_MIN_INTERVAL": 0.5,
        "SELDON_BATCH_USE_SSL": True,
        "SELDON_BATCH_SSL_VERIFY": False,
        "SELDON_BATCH_RESUME": True,
    }
    flags = "-d x -g seldon -n y -h z:1 --transport rest -a data -p ndarray -w 1 -r 1 -i a -o b -m predict -l info -u u -s 2 -t 1"
    given = parse([*flags.split(), "--use-ssl", "no"], EVERY_VARIABLE)
    assert {name for name, value in given.items() if value == found[name]} == {
        *("benchmark", "call_credentials_token", "ssl_verify", "resume"),
    }
    assert parse(["-d", "x", "-o", "b"], {"SELDON_BATCH_SIZE": ""})["batch_size"] == 1


WRONG: dict[str, tuple[str, dict[str, str], int, str]] = {
    "a flag that is missing": ("", {}, 2, "--output-data-path or SELDON_BATCH_OUTPUT_DATA_PATH is required"),
    "an unknown flag": ("-o out --speed 9", {}, 2, "unrecognized arguments: --speed 9"),
    "no count": ("-o out -w 0", {}, 2, '"0" is not an integer from 1 to 256'),
    "no interval": ("-o out -t grpc", {}, 2, '"grpc" is not a number of seconds'),
    "no boolean": ("-o out --use-ssl maybe", {}, 2, '"maybe" is not a boolean'),
    "a wrong variable": ("-o out", {"SELDON_BATCH_SIZE": "x"}, 2, 'SELDON_BATCH_SIZE: "x" is not an integer'),
    "a wrong choice": ("-o out", {"SELDON_BATCH_METHOD": "x"}, 2, '"x" is not one of predict, feedback'),
    "feedback of arrays": ("-o out -m feedback", {}, 2, "--method feedback needs --data-type raw"),
    "texts together": ("-o out -a str -s 2", {}, 2, "--batch-size 2 needs --data-type data or raw"),
    "tftensors together": ("-o out -p tftensor -s 2", {}, 2, "--batch-size 2 needs --payload-type ndarray or tensor"),
    "the input as output": ("-o in", {}, 2, "is the input itself"),
    "no input": ("-i none -o out", {}, 1, "none cannot be read"),
    "no host": ("-h :x -o out", {}, 1, "is not the URL of a server"),
    "a token of two lines": ("-o out", {"SELDON_BATCH_CALL_CREDENTIALS_TOKEN": "a\nb"}, 1, "x-auth-token"),
    "no folder": ("-o none/out", {}, 1, "cannot be written"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, variables, code, text = WRONG[name]
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "in", ROWS)
    assert process("-i", "in", *arguments.split(), environ=variables) == code
    error = capsys.readouterr().err
    assert text in error
    assert "Traceback" not in error
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
