"""What needs Ray but no cluster: the keys of the Serve config, and the application in Ray's local testing mode."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse

TESTS = Path(__file__).parents[1]
MODELS = Path(__file__).parent / "models"
GOLDEN = TESTS / "golden" / "manifest"
CONFIGS = sorted([*GOLDEN.glob("*/for-ray.yaml"), *GOLDEN.glob("*/for-kuberay.yaml")])


def run_python(code: str, *arguments: str) -> Any:
    """Run code that imports Ray in a process of its own, and return what it prints as JSON."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    return json.loads(done.stdout.splitlines()[-1])


SCHEMA = """
import json, sys
from typing import get_args
from pydantic import BaseModel
from ray.serve.schema import ServeDeploySchema

def list_models(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in list_models(part)]

def list_fields(model, depth=0):
    return {
        name: [list_fields(inner, depth + 1) for inner in list_models(field.annotation)] if depth < 4 else []
        for name, field in model.model_fields.items()
    }

configs = [ServeDeploySchema.model_validate(each) for each in json.loads(sys.argv[1])]
print(json.dumps([list_fields(ServeDeploySchema), [each.applications[0].import_path for each in configs]]))
"""


@pytest.fixture(scope="module")
def schema() -> Any:
    """The keys of a Serve config, those of nested models by key; and what Ray has read from our configs."""
    return run_python(SCHEMA, json.dumps([_read_config(path) for path in CONFIGS]))


@pytest.fixture(scope="module")
def fields(schema: Any) -> Any:
    return schema[0]


def _list_unknown(value: Any, models: list[Any], path: str) -> Iterator[str]:
    """Yield the paths of keys that no model has; a mapping without a model has free keys."""
    if isinstance(value, list):
        for each in value:
            yield from _list_unknown(each, models, path)
    elif isinstance(value, dict) and models:
        known = {key: inner for model in models for key, inner in model.items()}
        for key, each in value.items():
            if key in known:
                yield from _list_unknown(each, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"


def _read_config(path: Path) -> Any:
    document = next(yaml.safe_load_all(path.read_text()))
    return document if path.stem == "for-ray" else yaml.safe_load(document["spec"]["serveConfigV2"])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.relative_to(GOLDEN).as_posix())
def test_ray_knows_every_key_of_a_config(path: Path, fields: Any) -> None:
    """Ray itself ignores the others."""
    assert list(_list_unknown(_read_config(path), [fields], "")) == []


def test_an_unknown_key_is_found(fields: Any) -> None:
    config = _read_config(GOLDEN / "ray-scaled" / "for-ray.yaml")
    deployment = config["applications"][0]["deployments"][0]
    deployment["num_replica"] = 2
    deployment["autoscaling_config"]["max_replica"] = 2
    deployment["ray_actor_options"]["num_cpu"] = 2
    at = ".applications.deployments"
    expected = {f"{at}.num_replica", f"{at}.autoscaling_config.max_replica", f"{at}.ray_actor_options.num_cpu"}
    assert set(_list_unknown(config, [fields], "")) == expected


def test_ray_reads_the_configs(schema: Any) -> None:
    assert schema[1] == ["seldon_spec.ray:app"] * len(CONFIGS)


LOCAL = """
import json, logging, sys
from ray import serve
from seldon_spec.ray import app
from seldon_spec.ray.grpc_services import CalledMessage

class Context:
    code = details = None
    def invocation_metadata(self): return ()
    def set_trailing_metadata(self, metadata): pass
    def set_code(self, code): self.code = code.name
    def set_details(self, details): self.details = details

def call(handle, service, name, message=b""):
    context = Context()
    request = CalledMessage(f"/{service}/{name}", message)
    response = handle.options(method_name=name).remote(request, grpc_context=context).result()
    return response.SerializeToString().hex()

outcomes = {}
handlers = list(logging.getLogger().handlers)
try:
    app({"pth": "."})
except ValueError as error:
    outcomes["argument"] = str(error)
handle = serve.run(app({"path": sys.argv[1]}), name="local", _local_testing_mode=True)
outcomes["live"] = call(handle, "inference.GRPCInferenceService", "ServerLive")
outcomes["health"] = handle.check_health.remote().result()
outcomes["has logs of the process"] = logging.getLogger().handlers == handlers
parts = serve.run(app({"path": sys.argv[3]}), name="parts", _local_testing_mode=True)
outcomes["parts"] = call(parts, "inference.GRPCInferenceService", "ModelInfer", bytes.fromhex(sys.argv[4]))
try:
    serve.run(app({"path": sys.argv[2]}), name="failing", _local_testing_mode=True)
except Exception as error:
    outcomes["failure"] = str(error)
print(json.dumps(outcomes))
"""


def test_the_application_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Failing.py").write_text(
        "class Failing:\n    def load(self):\n        raise OSError('no weights')\n\n    def predict(self, X, names):\n        return X\n"
    )
    (tmp_path / "seldon.yaml").write_text("class_name: Failing\n")
    monkeypatch.setenv("GATE_TOKEN", "a-token-of-the-gate")
    monkeypatch.setenv("GATE_FOLDER", str(tmp_path))
    request: Any = ModelInferRequest(model_name="parts")
    request.inputs.add(name="input-0", datatype="FP64", shape=[1, 2]).contents.fp64_contents.extend([1.0, 2.0])
    parts = str(MODELS / "parts"), request.SerializeToString().hex()
    outcomes = run_python(LOCAL, str(MODELS / "limited"), str(tmp_path), *parts)
    assert outcomes["argument"] == "seldon_spec.ray:app has no argument pth; it has path"
    assert outcomes["live"] == "0801"
    assert outcomes["health"] is None
    assert outcomes["has logs of the process"]
    assert "no weights" in outcomes["failure"]
    response = ModelInferResponse.FromString(bytes.fromhex(outcomes["parts"]))
    assert list(response.outputs[0].contents.fp64_contents) == [1, 4, 4]


COPIES = """
import json, sys
from seldon_spec.app import load, prepare
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.call import FeedbackCopy
from seldon_spec.inference.message import Operation
from seldon_spec.observability.metrics import Exposition, Metrics
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.ray.copied_metrics import without_copies
from seldon_spec.server.rest.flask_app import make_app

spec = prepare(load(sys.argv[1]))
metrics, posted = Metrics(spec.unit), []
dispatcher = dispatcher_for(spec, without_copies(metrics), on_post=lambda call: posted.append(call.operation.value))
dispatcher.start().result()
feedback = b'{"response": {"meta": {"routing": {"by-sign": 1}}}, "reward": 1.5}'
for context in (None, FeedbackCopy("some-request")):
    dispatcher.submit(Operation.FEEDBACK, feedback, JsonCodec(), context).result()
client = make_app(dispatcher, spec).test_client()
assert client.post("/send-feedback", data=feedback, content_type="application/json").status_code == 200
response = client.post("/predict", data=b'{"data": {"ndarray": [[1.0]]}}', content_type="application/json")
lines = Exposition(metrics).render().decode().splitlines()
counts = [line.rpartition(" ")[2] for line in lines if line.startswith("seldon_api_model_feedback")]
requests = [line.rpartition(" ")[2] for line in lines if line.startswith("seldon_spec_request_duration_seconds_count")]
dispatcher.stop()
print(json.dumps([posted, response.get_json()["meta"]["tags"], counts, requests]))
"""


def test_a_copy_of_feedback_is_applied_and_not_counted() -> None:
    posted, tags, counts, requests = run_python(COPIES, str(MODELS / "routed"))
    assert posted == ["feedback", "feedback", "feedback", "predict"]
    assert tags == {"rewards": 4.5}
    assert sorted(map(float, counts)) == [2, 3]
    assert sorted(map(float, requests)) == [1, 2]
