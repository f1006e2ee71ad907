"""The example ``kubernetes``: its manifest is up to date, its overlays build, its workflow's checks succeed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "examples" / "kubernetes"


def build_overlay(name: str) -> dict[str, dict[str, Any]]:
    """Return the objects of an overlay by kind."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "kustomize", str(FOLDER / "overlays" / name)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def list_checks() -> list[str]:
    """Return the commands of the workflow that need neither a registry nor the network."""
    workflow = yaml.safe_load((FOLDER / "workflow.yaml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["check"]["steps"]
    return [step["run"] for step in steps if step.get("run", "").startswith("seldon-spec ")]


@pytest.mark.parametrize("command", list_checks())
def test_the_checks_of_the_workflow_succeed(command: str, command_environ: Mapping[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "seldon_spec", *command.split()[1:]],
        cwd=FOLDER,
        env={**command_environ, "BUREAU_TOKEN": "not-used-in-tests"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_workflow_validates_tests_and_compares() -> None:
    assert [command.split()[1] for command in list_checks()] == ["validate", "test", "manifest"]


def test_production_gets_its_namespace_image_node_and_variables() -> None:
    objects = build_overlay("production")
    assert {each["metadata"]["namespace"] for each in objects.values()} == {"risk"}
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert (container["image"], pod["nodeSelector"]) == ("registry.example.com/risk:1.4", {"disk": "ssd"})
    names = [each["name"] for each in container["env"]]
    assert {"OMP_NUM_THREADS", "BUREAU_TOKEN"} <= set(names)


def test_staging_gets_another_tag_and_fewer_pods() -> None:
    objects = build_overlay("staging")
    [container] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    scaling = objects["HorizontalPodAutoscaler"]["spec"]
    assert container["image"] == "registry.example.com/risk:1.5-rc1"
    assert (scaling["minReplicas"], scaling["maxReplicas"]) == (1, 2)
