"""Every folder of examples is valid, renders, and responds as its ``requests.json`` says, over REST and over gRPC."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import runpy
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import grpc
import pytest
import yaml
from google.protobuf import json_format

from seldon_spec.config.model import ServiceType
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse
from seldon_spec.protocols.open_inference_v2.proto_message import CONTENTS
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage, SeldonMessageList, TensorProto

if TYPE_CHECKING:
    from tests.conftest import RunningServer, Serve

pytestmark = pytest.mark.pages

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
FOLDERS = sorted(path.name for path in EXAMPLES.iterdir() if (path / "seldon.yaml").exists())
METHODS: dict[str, tuple[str, Any]] = {
    "predict": ("Model/Predict", SeldonMessage),
    "transform-input": ("Transformer/TransformInput", SeldonMessage),
    "transform-output": ("OutputTransformer/TransformOutput", SeldonMessage),
    "route": ("Router/Route", SeldonMessage),
    "aggregate": ("Combiner/Aggregate", SeldonMessageList),
    "send-feedback": ("Model/SendFeedback", Feedback),
}
"""What a row is sent ``to``: the path over REST, and here the method over gRPC with the message that it takes."""


class Script:
    """The ``requests.json`` of an example.

    Its members: ``requests``, the rows; ``environment``, variables for the server; ``beside``, a program that runs
    beside it and prints more of them; ``needs``, modules without which it is not played; ``tolerance`` of numbers;
    ``has_state``, where a response depends on earlier requests. A row: what it ``says``, what it is sent ``to``,
    the ``headers`` and the ``request``, and the ``response`` or the text of the ``error``; or the ``samples`` of the
    metrics' page, added up by name.
    """

    def __init__(self, folder: Path) -> None:
        self.file = EXAMPLES / folder.name / "requests.json"
        self.tree: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
        self.rows: list[dict[str, Any]] = self.tree["requests"]
        self.tolerance: float = self.tree.get("tolerance", 1e-6)

    @contextlib.contextmanager
    def variables(self, folder: Path) -> Iterator[dict[str, str]]:
        own = dict(self.tree.get("environment", {}))
        if "beside" not in self.tree:
            yield own
            return
        command = [sys.executable, self.tree["beside"]]
        with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            yield {**own, **json.loads(program.stdout.readline())}
            program.communicate()
        assert program.returncode == 0


def read_spec(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name / "seldon.yaml").read_text(encoding="utf-8"))


@pytest.fixture(params=FOLDERS, scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of an example, trained if it has a training script."""
    copy = tmp_path_factory.mktemp("trained") / str(request.param)
    shutil.copytree(EXAMPLES / request.param, copy, ignore=shutil.ignore_patterns("*.joblib", "__pycache__"))
    for module in Script(copy).tree.get("needs", ()):
        pytest.importorskip(module, reason="the example's own requirements are not installed")
    if (copy / "train.py").exists():
        subprocess.run([sys.executable, "train.py"], cwd=copy, check=True, stdout=subprocess.DEVNULL)
    return copy


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of ``trained`` that the test may change."""
    copy = tmp_path / trained.name
    shutil.copytree(trained, copy)
    return copy


def run(words: list[str], folder: Path, environ: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "seldon_spec", *words]
    return subprocess.run(command, cwd=folder, env=dict(environ), stdout=subprocess.PIPE, text=True, check=True).stdout


def ask_rest(server: RunningServer, row: Mapping[str, Any]) -> Any:
    """The response; the text of the error where there is one."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http}/{row['to']}",
        json.dumps(row["request"]).encode(),
        {"Content-Type": "application/json", **row.get("headers", {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            body = json.load(error)
            return body["error"] if "error" in body else body["status"]["info"]


def ask_grpc(server: RunningServer, row: Mapping[str, Any]) -> Any:
    """The response in protobuf's JSON, or in V2's; the text of the error where there is one."""
    if is_v2(row):
        return ask_v2_grpc(server, row["request"])
    method, kind = METHODS[row["to"]]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        call = channel.unary_unary(
            f"/seldon.protos.{method}",
            request_serializer=kind.SerializeToString,
            response_deserializer=SeldonMessage.FromString,
        )
        metadata = tuple((name.lower(), value) for name, value in row.get("headers", {}).items())
        message = json_format.ParseDict(row["request"], kind())
        try:
            return json_format.MessageToDict(call(message, timeout=30, metadata=metadata))
        except grpc.RpcError as error:
            return error.details()


def is_v2(row: Mapping[str, Any]) -> bool:
    return str(row.get("to", "")).startswith("v2/")


def ask_v2_grpc(server: RunningServer, request: Mapping[str, Any]) -> Any:
    """The response to a request of the Open Inference Protocol with typed contents, as REST has it."""
    message = json_format.ParseDict(
        {
            "id": request.get("id", ""),
            "parameters": {name: {"int64Param": value} for name, value in request.get("parameters", {}).items()},
            "outputs": request.get("outputs", []),
        },
        ModelInferRequest(),
    )
    for tensor in request["inputs"]:
        entry = message.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        is_text = tensor["datatype"] == "BYTES"
        values = [value.encode() for value in tensor["data"]] if is_text else tensor["data"]
        getattr(entry.contents, CONTENTS[tensor["datatype"]]).extend(values)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", None, None)
        try:
            response = ModelInferResponse.FromString(call(message.SerializeToString(), timeout=30))
        except grpc.RpcError as error:
            return error.details()
    outputs = [
        {
            "name": output.name,
            "datatype": output.datatype,
            "shape": list(output.shape),
            "data": [
                value.decode() if isinstance(value, bytes) else value
                for value in getattr(output.contents, CONTENTS[output.datatype])
            ],
            **({"parameters": {k: v.string_param for k, v in output.parameters.items()}} if output.parameters else {}),
        }
        for output in response.outputs
    ]
    head = {"model_name": response.model_name, "model_version": response.model_version, "outputs": outputs}
    return {**head, "id": response.id} if response.id else head


ASK = {"rest": ask_rest, "grpc": ask_grpc}


def read_samples(server: RunningServer) -> dict[str, float]:
    """The metrics, added up over their labels."""
    sums: dict[str, float] = {}
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics}/metrics", timeout=30) as response:
        for line in response.read().decode().splitlines():
            if not line.startswith("#"):
                name = line.split("{")[0].split()[0]
                sums[name] = sums.get(name, 0.0) + float(line.rpartition(" ")[2])
    return sums


def as_message(response: Any) -> Any:
    """A response as the other transport would show it too: numbers are doubles, and what is empty is left out."""
    return json_format.MessageToDict(json_format.ParseDict(response, SeldonMessage()))


def differs(expected: Any, found: Any, tolerance: float) -> bool:
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() != found.keys() or any(differs(expected[k], found[k], tolerance) for k in expected)
    if isinstance(expected, list) and isinstance(found, list):
        pairs = zip(expected, found, strict=False)
        return len(expected) != len(found) or any(differs(*pair, tolerance) for pair in pairs)
    if isinstance(expected, float) and isinstance(found, float):
        return abs(expected - found) > tolerance
    return bool(expected != found)


def check_row(server: RunningServer, row: Mapping[str, Any], transport: str, tolerance: float) -> None:
    if "samples" in row:
        samples = read_samples(server)
        assert {name: pytest.approx(samples.get(name)) for name in row["samples"]} == row["samples"]
        return
    response = ASK[transport](server, row)
    if "error" in row:
        assert row["error"] in response
    else:
        expected, found = (
            (row["response"], response) if is_v2(row) else (as_message(row["response"]), as_message(response))
        )
        assert not differs(expected, found, tolerance), f"{row['says']}: {response}"


def test_it_is_valid_and_renders(folder: Path, command_environ: dict[str, str]) -> None:
    run(["validate", "--strict"], folder, command_environ)
    assert "requirements.txt" in run(["dockerfile"], folder, command_environ)
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# ")


def test_it_passes_its_contract_test(folder: Path, command_environ: dict[str, str]) -> None:
    if "inputs" not in read_spec(folder.name):
        pytest.skip("declares no inputs")
    command = [sys.executable, "-m", "seldon_spec", "test", "--requests", "10"]
    with Script(folder).variables(folder) as variables:
        environ = {**command_environ, **variables}
        run = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


def test_it_responds(
    folder: Path, command_environ: dict[str, str], serve_folder: Serve, request: pytest.FixtureRequest
) -> None:
    """Where a class has state, each transport has a server of its own: what one taught it must not show in the other."""
    script = Script(folder)
    sittings = [[transport] for transport in ASK] if script.tree.get("has_state") else [list(ASK)]
    with script.variables(folder) as variables:
        for transports in sittings:
            with serve_folder(folder, variables=variables) as server:
                if request.config.getoption("--rewrite-golden"):
                    rewrite(script, server)
                for transport, row in itertools.product(transports, script.rows):
                    check_row(server, row, transport, script.tolerance)


def rewrite(script: Script, server: RunningServer) -> None:
    """Write the responses; run the tests once more to compare them, for this has played the rows already."""
    for row in script.rows:
        if "samples" not in row and "error" not in row:
            row["response"] = ask_rest(server, row)
    members = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in script.tree.items() if key != "requests"]
    rows = ",\n".join(f"    {json.dumps(row)}" for row in script.rows)
    script.file.write_text("{\n" + ",\n".join([*members, f'  "requests": [\n{rows}\n  ]']) + "\n}\n", encoding="utf-8")
    pytest.skip(f"wrote {script.file.name} of {script.file.parent.name}")


@pytest.mark.parametrize("trained", ["tfserving-proxy"], indirect=True)
@pytest.mark.parametrize("model_input", ["x", ""], ids=["columns", "rows"])
def test_the_proxy_uses_rest_without_a_grpc_endpoint(
    folder: Path, model_input: str, command_environ: dict[str, str], serve_folder: Serve
) -> None:
    script = Script(folder)
    with script.variables(folder) as found:
        unset = {"SELDON_SPEC__PARAMETERS__GRPC_ENDPOINT": "", "SELDON_SPEC__PARAMETERS__MODEL_INPUT": model_input}
        with serve_folder(folder, variables={**found, **unset}) as server:
            for row in script.rows:
                check_row(server, row, "rest", script.tolerance)


@pytest.mark.parametrize("trained", ["tfserving-proxy"], indirect=True)
def test_the_proxy_s_tensor_is_tensorflow_s(folder: Path) -> None:
    code = "import sys, numpy, tf_messages as t; r = t.PredictRequest()\nr.inputs.add(key='x')"
    code += "\nt.write_tensor(numpy.array([[1.5, 2]]), r.inputs[0].value)"
    code += "\nsys.stdout.buffer.write(r.inputs[0].value.SerializeToString())"
    wire = subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    tensor = TensorProto.FromString(wire)
    assert (tensor.dtype, [dim.size for dim in tensor.tensor_shape.dim]) == (1, [1, 2])
    assert tensor.tensor_content == b"\x00\x00\xc0\x3f\x00\x00\x00\x40"


def test_the_gallery_is_made_from_the_folders_of_today() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    made = runpy.run_path(str(ROOT / "scripts" / "make_gallery.py"))["render_gallery"]()
    assert page == made, "run scripts/make_gallery.py"


@pytest.mark.parametrize("service_type", list(ServiceType), ids=lambda kind: kind.value)
def test_every_service_type_is_explained_and_has_an_example(service_type: ServiceType) -> None:
    page = (ROOT / "docs" / "service-types.md").read_text(encoding="utf-8")
    shown = re.findall(rf"\| {service_type.value} \|.*\[([\w-]+)\]\(gallery\.md#\1\) \|$", page, re.MULTILINE)
    assert shown
    assert {read_spec(name).get("service_type", "MODEL") for name in shown} == {service_type.value}


@pytest.mark.parametrize("trained", ["iris"], indirect=True)
def test_the_demo_runs_to_its_end(folder: Path, command_environ: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), str(folder)],
        cwd=folder,
        env=command_environ,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert [word for word in ("http://", "grpc://", "-> setosa", "-> virginica") if word not in ended.stdout] == []


@pytest.mark.parametrize("trained", ["bandit"], indirect=True)
def test_the_bandit_learns(folder: Path, command_environ: dict[str, str], serve_folder: Serve) -> None:
    with serve_folder(folder) as server:
        words = ["learn.py", "--url", f"http://127.0.0.1:{server.http}", "--svg", "learning.svg"]
        printed = subprocess.run(
            [sys.executable, *words], cwd=folder, env=command_environ, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    shares = [int(share) for share in re.findall(r"song (\d+)%", printed)]
    assert len(shares) == 5
    assert shares[-1] > max(shares[0], 60)
    areas = ElementTree.parse(folder / "learning.svg").findall("{*}polygon")
    assert len(areas) == 3
