"""The target ``compose``: what Compose interpolates, what it cannot express, and what its tools accept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from seldon_spec.config.loader import load
from seldon_spec.deploy.manifest.render import build_documents, find_problems, render_manifest
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import to_plain
from tests.deploy.compose_file import NotSet, read_compose

GOLDEN = Path(__file__).parents[1] / "golden" / "manifest"
CASES = sorted(path.name for path in GOLDEN.glob("compose-*"))
SECRETS = {"PASSWORD": "s3cret$", "TOKEN": "t0ken"}
CLASS = "class MyModel:\n    def predict(self, X, names):\n        return X\n"


def render(folder: Path, environ: Mapping[str, str] = {}, *, is_complete: bool = False) -> str:
    spec = load(folder, environ)
    documents = build_documents(spec, Target.COMPOSE, is_complete=is_complete)
    return render_manifest(spec, Target.COMPOSE, "0.1.0", documents, has_comments=True)


def write_spec(folder: Path, **keys: Any) -> Path:
    """Write a folder with a class; JSON is YAML."""
    folder.mkdir(exist_ok=True)
    (folder / "MyModel.py").write_text(CLASS)
    whole = {"class_name": "MyModel", "name": "iris", "version": "1.0", **keys}
    (folder / "seldon.yaml").write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    return folder


TEXTS = st.text(st.sampled_from("$${}:?aZ_ \n'\"\\#é-"), min_size=1, max_size=20)


@hypothesis.given(value=TEXTS, label=TEXTS)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_interpolation_changes_no_value(value: str, label: str, tmp_path: Path) -> None:
    folder = write_spec(tmp_path, environment={"PRICE": value}, deployment={"annotations": {"example.com/cost": label}})
    service = read_compose(render(folder, is_complete=True), {})["services"]["iris"]
    assert service["environment"]["PRICE"] == value
    assert service["annotations"] == {"example.com/cost": label}


def test_secrets_are_variables_of_the_command_and_files() -> None:
    text = render(GOLDEN / "compose-secrets", SECRETS)
    assert not any(value in text for value in SECRETS.values())
    whole = read_compose(text, SECRETS)
    service = whole["services"]["priced"]
    assert {name: service["environment"][name] for name in SECRETS} == SECRETS
    mounted = {use["target"]: whole["secrets"][use["source"]]["file"] for use in service["secrets"]}
    assert mounted == {
        "/etc/secrets/the key": "./secrets/priced/key",
        "/etc/tokens/first": "./secrets/tokens/first",
    }


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_a_secret_that_is_not_set_stops_the_command(name: str, value: str | None) -> None:
    environ = {key: text for key, text in {**SECRETS, name: value}.items() if text is not None}
    with pytest.raises(NotSet, match=f"^set {name}$"):
        read_compose(render(GOLDEN / "compose-secrets"), environ)


NOT_IN_TARGET: dict[str, tuple[dict[str, Any], list[str]]] = {
    "namespace": ({"namespace": "models"}, ["deployment.namespace"]),
    "service-account": ({"service_account": "iris"}, ["deployment.service_account"]),
    "network-policy": ({"network_policy": {"from": ["a"]}}, ["deployment.network_policy"]),
    "pod": ({"pod": {"nodeSelector": {"disk": "ssd"}}}, ["deployment.pod"]),
    "service-monitor": ({"monitoring": "service_monitor"}, ["deployment.monitoring"]),
    "replicas": ({"replicas": 2}, ["deployment.replicas"]),
    "autoscaling": ({"replicas": {"min": 1, "max": 4}}, ["deployment.replicas"]),
    "autoscaling-from-two": ({"replicas": {"min": 2, "max": 4}}, ["deployment.replicas", "deployment.replicas"]),
    "nothing": ({"monitoring": "none", "resources": {"gpu": 1}, "labels": {"a": "b"}}, []),
}


@pytest.mark.parametrize(("deployment", "expected"), NOT_IN_TARGET.values(), ids=NOT_IN_TARGET)
def test_keys_without_an_equivalent_are_warnings(
    deployment: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    spec = load(write_spec(tmp_path, deployment=deployment), {})
    found = find_problems(spec, Target.COMPOSE)
    assert [(each.code, ".".join(each.path or ()), each.severity.value) for each in found] == [
        ("not-in-target", path, "warning") for path in expected
    ]


def write_graph(folder: Path, **secrets: str) -> Path:
    """Write a graph of components in processes of their own, each with a secret from a variable."""
    parts = {}
    for name, secret in secrets.items():
        deployment = {"secrets": {"PASSWORD": secret}, "network_policy": True, "pod": {"hostname": name}, "replicas": 2}
        write_spec(folder / name, environment={"KEY": {"from_env": "PASSWORD"}}, deployment=deployment)
        parts[name] = name
    whole = {"name": "pair", "version": "1", "graph": list(parts), "deployment": {"apart": True}}
    (folder / "seldon.yaml").write_text(json.dumps(whole))
    return folder


def test_one_variable_for_two_secrets_is_an_error(tmp_path: Path) -> None:
    found = find_problems(load(write_graph(tmp_path, a="one/key", b="two/key"), {}), Target.COMPOSE)
    [error] = [each for each in found if each.severity.value == "error"]
    assert error.message == "PASSWORD is one/key in one service and two/key in pair-b"
    assert error.path == ("components", "b", "environment", "KEY")


def test_the_pod_of_a_component_is_reported_but_not_its_network_policy_and_replicas(tmp_path: Path) -> None:
    found = find_problems(load(write_graph(tmp_path, a="one/key", b="one/key"), {}), Target.COMPOSE)
    assert [each.path for each in found] == [("components", name, "deployment", "pod") for name in "ab"]


def test_a_component_in_the_image_of_its_graph_checks_its_own_server(tmp_path: Path) -> None:
    """A kubelet has no client certificate, so its probe is the same command as the check of Compose."""
    write_graph(tmp_path, a="one/key", b="one/key")
    tls = {"certificate": "/etc/tls/tls.crt", "key": "/etc/tls/tls.key", "client_ca": "/etc/tls/ca.crt"}
    write_spec(tmp_path / "a", server={"tls": tls})
    write_spec(tmp_path / "b", deployment={"image": "b:1"}, image={"healthcheck": {"enabled": False}})
    (tmp_path / "seldon.yaml").rename(tmp_path / "pair.yaml")
    spec = load(tmp_path / "pair.yaml", {})
    objects = [to_plain(each) for each in build_documents(spec, Target.KUBERNETES)]
    pods = {each["metadata"]["name"]: each["spec"]["template"] for each in objects if each["kind"] == "Deployment"}
    [container] = pods["pair-a"]["spec"]["containers"]
    services = to_plain(build_documents(spec, Target.COMPOSE)[0])["services"]
    command = ["seldon-spec", "health", "pair.yaml", "--component", "a"]
    assert container["readinessProbe"]["exec"]["command"] == command
    assert services["pair-a"]["healthcheck"]["test"] == ["CMD", *command]
    assert services["pair-b"]["healthcheck"]["test"] == ["CMD", "seldon-spec", "health"]
    assert "healthcheck" not in services["pair"]


MEMORY = {
    "512Mi": 512 << 20,
    "1.5Gi": 3 << 29,
    "1500M": 1_500_000_000,
    "64Ki": 65536,
    "1073741824": 1 << 30,
    "2k": 2000,
}
UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@pytest.mark.parametrize(("text", "expected"), MEMORY.items(), ids=MEMORY)
def test_memory_is_a_limit_in_the_units_of_compose(text: str, expected: int, tmp_path: Path) -> None:
    folder = write_spec(tmp_path, deployment={"resources": {"memory": text}})
    resources = read_compose(render(folder), {})["services"]["iris"]["deploy"]["resources"]
    limit = resources["limits"]["memory"]
    assert float(limit[:-1]) * UNITS[limit[-1]] == expected
    assert resources["reservations"] == {"memory": limit}


@pytest.mark.parametrize(("text", "expected"), [("500m", 0.5), ("1500m", 1.5), ("2", 2), ("0.25", 0.25)])
def test_cpu_is_a_number_of_cores(text: str, expected: float, tmp_path: Path) -> None:
    folder = write_spec(tmp_path, deployment={"resources": {"cpu": text}})
    resources = read_compose(render(folder), {})["services"]["iris"]["deploy"]["resources"]
    assert float(resources["reservations"]["cpus"]) == expected
    assert "limits" not in resources


def find_tool() -> list[str]:
    """Return the command of Compose that is installed, with the plug-in of docker as the first choice."""
    docker = shutil.which("docker")
    if docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        return [docker, "compose"]
    found = shutil.which("docker-compose")
    if found is None:
        pytest.skip("docker compose is not installed")
    return [found]


@pytest.mark.parametrize("name", CASES)
def test_docker_compose_reads_the_file_as_it_is_meant(name: str) -> None:
    """Compose checks the file against its schema and shows it with interpolated values."""
    file = GOLDEN / name / "for-compose.yaml"
    command = [*find_tool(), "--file", str(file), "config", "--format", "json"]
    environ = {**os.environ, **SECRETS}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.replace("$$", "$"))
    meant = read_compose(file.read_text(encoding="utf-8"), SECRETS)
    assert shown["name"] == meant["name"]
    assert shown["services"].keys() == meant["services"].keys()
    for service, wanted in meant["services"].items():
        seen = shown["services"][service]
        for key in (
            "image",
            "command",
            "environment",
            "read_only",
            "tmpfs",
            "cap_drop",
            "user",
            "annotations",
            "labels",
        ):
            assert seen.get(key) == wanted.get(key), key
