"""The Serve config and the RayService of a spec, and what is reported about them."""

from __future__ import annotations

import json
import shlex
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from seldon_spec.config.loader import load
from seldon_spec.deploy.manifest.ray import build_options, read_quantity
from seldon_spec.deploy.manifest.render import build_documents, find_problems
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.errors import Severity

GOLDEN = Path(__file__).parents[1] / "golden" / "manifest"
CASES = sorted(path.parent for path in GOLDEN.glob("ray*/for-kuberay.yaml"))
MODEL = "class MyModel:\n    def predict(self, X, names):\n        return X\n"
WITH_RAY = "seldon-spec[ray]\n"


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.name)
def test_a_rayservice_has_the_config_of_a_cluster_with_a_replica_per_node(folder: Path) -> None:
    config = yaml.safe_load((folder / "for-ray.yaml").read_text())
    document = next(yaml.safe_load_all((folder / "for-kuberay.yaml").read_text()))
    inner = yaml.safe_load(document["spec"]["serveConfigV2"])
    [application] = config["applications"]
    application.pop("runtime_env", None)  # these variables are those of the pods
    deployments, groups = application["deployments"], document["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    for deployment, group in zip(deployments, groups, strict=True):
        deployment["max_replicas_per_node"] = 1
        parameters = group["rayStartParams"]
        cpus = deployment.get("ray_actor_options", {}).get("num_cpus", 1)
        assert cpus <= int(parameters["num-cpus"]) < cpus + 1
        if len(groups) > 1:  # a node has room for no replica of another deployment
            [resources] = map(json.loads, shlex.split(parameters["resources"]))
            deployment.setdefault("ray_actor_options", {})["resources"] = resources
            assert resources == {f"replica-of-{deployment['name']}": 1}
    assert inner == config


def test_the_application_has_the_options_of_the_config() -> None:
    config = yaml.safe_load((GOLDEN / "ray-scaled" / "for-ray.yaml").read_text())
    spec = load(GOLDEN / "ray-scaled", {})
    assert {"name": spec.name, **build_options(spec)} == config["applications"][0]["deployments"][0]


def test_a_file_with_another_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "iris.yaml").write_text("class_name: MyModel\n")
    [config] = build_documents(load(tmp_path / "iris.yaml", {}), Target.RAY)
    assert to_plain(config)["applications"][0]["args"] == {"path": "/microservice/iris.yaml"}


def test_the_head_of_a_cluster_has_no_secrets() -> None:
    document = next(yaml.safe_load_all((GOLDEN / "ray-scaled" / "for-kuberay.yaml").read_text()))
    cluster = document["spec"]["rayClusterConfig"]
    [head] = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    [worker] = cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"]
    assert [each["name"] for each in worker["env"] if "valueFrom" in each] == ["API_KEY"]
    assert [each["name"] for each in head["env"] if "valueFrom" in each] == []


QUANTITIES = {
    "500m": Fraction(1, 2),
    "2": Fraction(2),
    "0.25": Fraction(1, 4),
    "1k": Fraction(1000),
    "1.5Gi": Fraction(3 * 2**29),
    "2M": Fraction(2 * 10**6),
    "3Ei": Fraction(3 * 2**60),
}


@pytest.mark.parametrize(("text", "value"), QUANTITIES.items(), ids=QUANTITIES)
def test_quantities(text: str, value: Fraction) -> None:
    assert read_quantity(text) == value


BOTH = {"ray", "kuberay"}
PROBLEMS = {
    "nothing": ("", WITH_RAY, {}),
    "no Ray": ("", "numpy\n", {("deployment-ray", "warning", "image.requirements"): BOTH}),
    "Ray as a constraint": ("", "-c other.txt\n", {("deployment-ray", "warning", "image.requirements"): BOTH}),
    "another package with the name": ("", "ray-tune\n", {("deployment-ray", "warning", "image.requirements"): BOTH}),
    "Ray itself": ("", "ray[serve]==2.60.0\n", {}),
    "Ray with the package": ("image: {seldon_spec: 'seldon-spec[tracing,ray]==0.1.0'}", "numpy\n", {}),
    "workers": ("server: {workers: 2}", WITH_RAY, {("not-in-target", "warning", "server.workers"): BOTH}),
    "logs and traces": ("server: {log: {format: json}, tracing: true}", WITH_RAY, {}),
    "metrics": ("ports: {metrics: 6001}", WITH_RAY, {("not-in-target", "warning", "ports.metrics"): {"ray"}}),
    "a port of Ray": ("ports: {http: 8265}", WITH_RAY, {("deployment-ray", "error", "ports.http"): BOTH}),
    "a port of HAProxy": ("ports: {grpc: 9500}", WITH_RAY, {("deployment-ray", "error", "ports.grpc"): BOTH}),
    "loopback": ("server: {host: 127.0.0.1}", WITH_RAY, {("not-in-target", "warning", "server.host"): {"ray"}}),
    "loopback, no gRPC": ("server: {host: 127.0.0.1}\nports: {grpc: null}", WITH_RAY, {}),
    "network policy": (
        "deployment: {network_policy: true}",
        WITH_RAY,
        {("not-in-target", "warning", "deployment.network_policy"): BOTH},
    ),
    "a pod": (
        "deployment: {pod: {nodeSelector: {disk: ssd}}}",
        WITH_RAY,
        {("not-in-target", "warning", "deployment.pod"): {"ray"}},
    ),
    "a namespace": (
        "deployment: {namespace: models}",
        WITH_RAY,
        {("not-in-target", "warning", "deployment.namespace"): {"ray"}},
    ),
    "TLS": (
        "server: {tls: {certificate: /tls/tls.crt, key: /tls/tls.key}}",
        WITH_RAY,
        {("not-in-target", "warning", "server.tls"): BOTH},
    ),
    "client certificates": (
        "server: {tls: {certificate: /tls/tls.crt, key: /tls/tls.key, client_ca: /tls/ca.crt}}",
        WITH_RAY,
        {("not-in-target", "error", "server.tls.client_ca"): BOTH},
    ),
    "no CPU to scale by": ("deployment: {replicas: {min: 1, max: 2}}", WITH_RAY, {}),
}


@pytest.mark.parametrize("target", [Target.RAY, Target.KUBERAY])
@pytest.mark.parametrize(("text", "requirements", "expected"), PROBLEMS.values(), ids=PROBLEMS)
def test_problems(
    tmp_path: Path, target: Target, text: str, requirements: str, expected: dict[tuple[str, str, str], set[str]]
) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "requirements.txt").write_text(requirements)
    (tmp_path / "other.txt").write_text("ray==2.60.0\n")
    (tmp_path / "seldon.yaml").write_text(f"class_name: MyModel\nname: iris\nversion: '1'\n{text}\n")
    found = find_problems(load(tmp_path, {}), target)
    listed = [(each.code, each.severity.value, ".".join(each.path)) for each in found if each.severity != Severity.NOTE]
    assert listed == [key for key, targets in expected.items() if target.value in targets]


def test_a_complete_config_repeats_the_settings(tmp_path: Path) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\nserver: {threads: 3}\n")
    spec = load(tmp_path, {})
    [short], [complete] = (build_documents(spec, Target.RAY, is_complete=is_complete) for is_complete in (False, True))
    assert "runtime_env" not in to_plain(short)["applications"][0]
    variables = to_plain(complete)["applications"][0]["runtime_env"]["env_vars"]
    assert variables["SELDON_SPEC__SERVER__THREADS"] == "3"


NESTED = """
name: chain
graph: [one, inner]
components:
  one: {class_name: MyModel, timeout_seconds: 2, server: {threads: 2, workers: 2}, deployment: {resources: {gpu: 1}}}
  inner: {graph: [two], components: {two: {class_name: MyModel, deployment: {replicas: 2}}}}
deployment: {apart: true}
"""


def test_keys_of_components_without_effect_are_reported(tmp_path: Path) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "requirements.txt").write_text(WITH_RAY)
    (tmp_path / "seldon.yaml").write_text(NESTED)
    spec = load(tmp_path, {})
    assert not spec.diagnostics
    found = [".".join(each.path) for each in find_problems(spec, Target.RAY) if each.code == "not-in-target"]
    assert found == [
        "components.one.server.workers",
        "deployment.apart",
        "components.inner.components.two.deployment.replicas",
    ]


def test_a_component_with_the_name_of_the_graph_is_reported(tmp_path: Path) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "requirements.txt").write_text(WITH_RAY)
    (tmp_path / "seldon.yaml").write_text(
        "name: iris\ngraph: [iris]\ncomponents: {iris: {class_name: MyModel, deployment: {replicas: 1}}}\n"
    )
    errors = [each for each in find_problems(load(tmp_path, {}), Target.RAY) if each.severity is Severity.ERROR]
    assert [(each.code, ".".join(each.path)) for each in errors] == [("deployment-ray", "components.iris.deployment")]


def test_a_graph_in_one_process_is_not_reported(tmp_path: Path) -> None:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "requirements.txt").write_text(WITH_RAY)
    (tmp_path / "seldon.yaml").write_text("name: chain\ngraph: [one]\ncomponents: {one: {class_name: MyModel}}\n")
    found = find_problems(load(tmp_path, {}, {("deployment", "apart"): "false"}), Target.RAY)
    assert not [each for each in found if each.code == "not-in-target"]


@pytest.mark.parametrize("target", [Target.RAY, Target.KUBERAY])
def test_a_class_that_learns_gets_all_feedback(tmp_path: Path, target: Target) -> None:
    learning = MODEL + "\n    def send_feedback(self, features, names, reward, truth):\n        pass\n"
    (tmp_path / "MyModel.py").write_text(learning)
    (tmp_path / "requirements.txt").write_text(WITH_RAY)
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\nname: iris\ndeployment: {replicas: 2}\n")
    assert "deployment-state" not in {each.code for each in find_problems(load(tmp_path, {}), target)}
