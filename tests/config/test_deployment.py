"""The section ``deployment``: variables and flags, the digest, and what ``show`` prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from seldon_spec.cli.main import run
from seldon_spec.config.deployment import DeploymentSpec, NetworkPolicySpec, ReplicasSpec, ResourcesSpec
from seldon_spec.config.loader import load
from seldon_spec.errors import OriginKind

MODEL = "class MyModel:\n    def __init__(self, threshold=0.5): ...\n    def predict(self, X, names): ...\n"
SECRETS = {"DB_PASSWORD": "iris-db/password"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MyModel.py").write_text(MODEL)
    return tmp_path


def _write(folder: Path, values: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "seldon.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


SETTINGS: list[tuple[str, Any, str, str, DeploymentSpec]] = [
    ("a number of pods", {}, "replicas", "3", DeploymentSpec(replicas=3)),
    ("no pods", {}, "replicas", "0", DeploymentSpec(replicas=0)),
    ("bounds", {}, "replicas", '{"min":1,"max":3}', DeploymentSpec(replicas=ReplicasSpec(1, 3))),
    ("bounds over a number", {"replicas": 2}, "replicas", '{"min":1,"max":3}', DeploymentSpec(replicas=ReplicasSpec(1, 3))),
    ("a number over bounds", {"replicas": {"min": 1, "max": 3}}, "replicas", "2", DeploymentSpec(replicas=2)),
    ("one bound", {"replicas": {"min": 1, "max": 3}}, "replicas.max", "9", DeploymentSpec(replicas=ReplicasSpec(1, 9))),
    ("an image", {"image": "iris:1"}, "image", "registry.example.com/iris:2", DeploymentSpec(image="registry.example.com/iris:2")),
    ("no image", {"image": "iris:1"}, "image", "null", DeploymentSpec()),
    ("cores", {}, "resources.cpu", "0.5", DeploymentSpec(resources=ResourcesSpec(cpu="0.5"))),
    ("bytes", {}, "resources.memory", "1Gi", DeploymentSpec(resources=ResourcesSpec(memory="1Gi"))),
    ("a policy", {}, "network_policy", "true", DeploymentSpec(network_policy=True)),
    ("namespaces", {}, "network_policy", '{"from": ["a"]}', DeploymentSpec(network_policy=NetworkPolicySpec(("a",)))),
    ("a label", {"labels": {"a": "b"}}, "labels", '{"c": 1}', DeploymentSpec(labels={"a": "b", "c": "1"})),
    ("a pod", {}, "pod", '{"nodeSelector": {"a": "b"}}', DeploymentSpec(pod={"nodeSelector": {"a": "b"}})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"), [("nvidia", "nvidia"), ("5", 5), ('{"a": 1}', {"a": 1}), ("[", "["), ("null", None)]
)
def test_a_flag_sets_one_key_of_a_pod_as_json_or_text(folder: Path, text: str, value: Any) -> None:
    _write(folder, {"class_name": "MyModel"})
    assert load(folder, {}, {("deployment", "pod", "priority"): text}).deployment.pod == {"priority": value}


@pytest.mark.parametrize("is_flag", [False, True], ids=["variable", "flag"])
@pytest.mark.parametrize(
    ("values", "key", "text", "expected"), [row[1:] for row in SETTINGS], ids=[r[0] for r in SETTINGS]
)
def test_a_variable_and_a_flag_override_the_file(
    folder: Path, values: Any, key: str, text: str, expected: DeploymentSpec, *, is_flag: bool
) -> None:
    _write(folder, {"class_name": "MyModel", "deployment": values})
    path = ("deployment", *key.split("."))
    name = "SELDON_SPEC__" + "__".join(path).upper()
    spec = load(folder, {} if is_flag else {name: text}, {path: text} if is_flag else {})
    assert spec.deployment == expected
    kinds = {origin.kind for at, origin in spec.origins.items() if at[: len(path)] == path}
    assert (OriginKind.FLAG if is_flag else OriginKind.ENVIRONMENT) in kinds


def test_a_component_has_a_deployment_of_its_own(folder: Path) -> None:
    _write(folder / "iris", {"class_name": "MyModel", "deployment": {"replicas": 2, "namespace": "a"}})
    (folder / "iris" / "MyModel.py").write_text(MODEL)
    _write(folder, {"graph": "iris", "components": {"iris": {"deployment": {"resources": {"cpu": 1}}}}})
    spec = load(folder, {"SELDON_SPEC__COMPONENTS__IRIS__DEPLOYMENT__REPLICAS": '{"min": 1, "max": 3}'})
    component = spec.components["iris"].spec
    assert component is not None
    assert component.deployment == DeploymentSpec(
        replicas=ReplicasSpec(1, 3), resources=ResourcesSpec(cpu="1"), namespace="a"
    )
    assert spec.deployment == DeploymentSpec()


DEPLOYMENT = {"image": "registry.example.com/iris:1", "replicas": 2, "labels": {"a": "b"}}
PLACES: list[tuple[str, Any]] = [
    ("class", {".": {"class_name": "MyModel", "deployment": DEPLOYMENT}}),
    ("graph", {".": {"graph": "iris", "components": {"iris": {"class_name": "MyModel"}}, "deployment": DEPLOYMENT}}),
    ("entry", {".": {"graph": "iris", "components": {"iris": {"class_name": "MyModel", "deployment": DEPLOYMENT}}}}),
    ("file of a component", {".": {"graph": "iris"}, "iris": {"class_name": "MyModel", "deployment": DEPLOYMENT}}),
]


def _drop(values: Any, key: str) -> Any:
    if not isinstance(values, dict):
        return values
    return {name: _drop(value, key) for name, value in values.items() if name != key}


@pytest.mark.parametrize("files", [row[1] for row in PLACES], ids=[row[0] for row in PLACES])
def test_the_digest_does_not_depend_on_the_deployment(folder: Path, files: Any) -> None:
    """The image stays the same; any other key of the same mapping changes the digest."""

    def digest(files: Any) -> str:
        for name, values in files.items():
            _write(folder / name, values)
            (folder / name / "MyModel.py").write_text(MODEL)
        return load(folder, {}).digest

    def rename(values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            ("version" if k == "deployment" else k): "2" if k == "deployment" else rename(v) for k, v in values.items()
        }

    assert digest(files) == digest(_drop(files, "deployment"))
    assert digest(rename(files)) != digest(files)


def test_a_parameter_named_deployment_is_part_of_the_digest(folder: Path) -> None:
    (folder / "MyModel.py").write_text(MODEL.replace("threshold", "deployment"))
    digests = set()
    for value in (1, 2):
        _write(folder, {"class_name": "MyModel", "parameters": {"deployment": value}})
        digests.add(load(folder, {}).digest)
    assert len(digests) == 2


POD = {
    "containers": [{"name": "iris", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "A", "value": "b"}]}]
}


@pytest.mark.parametrize("output_format", ["text", "json"])
def test_names_of_secrets_are_shown_and_a_literal_in_a_pod_is_not(
    folder: Path, output_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"DB_PASSWORD": {"from_env": "DB_PASSWORD"}}
    deployment = {"secrets": SECRETS, "pod": {**POD, "imagePullSecrets": [{"name": "registry-token"}]}}
    _write(folder, {"class_name": "MyModel", "environment": variables, "deployment": deployment})
    assert run(["show", str(folder), "--format", output_format]) == 0
    captured = capsys.readouterr()
    assert "iris-db/password" in captured.out
    assert "registry-token" in captured.out
    assert "hunter2" not in captured.out + captured.err
    assert "deployment.pod.containers[0].env[0].value looks like a literal secret" in captured.err
    assert captured.err.count("[literal-secret]") == 1


def test_show_prints_what_is_set_of_a_component_s_deployment(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "seldon.yaml").write_text(
        "graph: [iris]\ncomponents:\n  iris:\n    class_name: MyModel\n"
        "    deployment: {replicas: {min: 1, max: 3}, resources: {cpu: 1}, labels: {team: a}}\n"
        "deployment: {image: 'registry.example.com/iris:1'}\n"
    )
    assert run(["show", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    file = folder / "seldon.yaml"
    assert [line for line in lines if line.startswith("components.iris.deployment")] == [
        'components.iris.deployment.replicas = {"min": 1, "max": 3, "cpu_percent": 70}  <- ' + f"{file}:5:18",
        f'components.iris.deployment.resources.cpu = "1"  <- {file}:5:63',
        f'components.iris.deployment.labels.team = "a"  <- {file}:5:82',
    ]
    assert f'deployment.image = "registry.example.com/iris:1"  <- {file}:6:21' in lines
    assert "deployment.network_policy = false  <- default" in lines
    assert run(["show", str(folder), "--format", "json"]) == 0
    spec = json.loads(capsys.readouterr().out)["spec"]
    assert spec["components"]["iris"]["deployment"] == {
        "replicas": {"min": 1, "max": 3, "cpu_percent": 70},
        "resources": {"cpu": "1"},
        "labels": {"team": "a"},
    }
    assert spec["deployment"]["replicas"] == 1


def test_a_secret_of_a_graph_may_belong_to_the_file_of_a_component(folder: Path) -> None:
    _write(folder / "iris", {"class_name": "MyModel", "environment": {"A": {"from_env": "DB_PASSWORD"}}})
    (folder / "iris" / "MyModel.py").write_text(MODEL)
    _write(folder, {"graph": "iris", "deployment": {"secrets": {**SECRETS, "OTHER": "iris/other"}}})
    assert [(each.code, each.path[-1]) for each in load(folder, {}).diagnostics] == [("deployment-secrets", "OTHER")]
