"""What holds for the manifest of every spec: its objects are valid, its text is the objects, its pods are safe."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from seldon_spec.config.loader import load
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.metadata import DIGEST
from seldon_spec.deploy.manifest.render import build_documents, find_problems, render_manifest
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.deploy.manifest.workload import Workload, list_workloads
from seldon_spec.errors import FieldPath, Severity
from tests.deploy.kubernetes_schemas import find_errors
from tests.deploy.manifest_specs import LITERAL, SPECS, RandomSpec, graphs

OPTIONS = settings(
    max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
VERSION = "0.1.0"


@pytest.fixture(scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return lambda: tmp_path_factory.mktemp("spec")


def has_errors(spec: Spec, target: Target, *, is_complete: bool = False) -> bool:
    problems = find_problems(spec, target, is_complete=is_complete)
    return any(problem.severity is Severity.ERROR for problem in problems)


@pytest.mark.parametrize("target", Target)
@OPTIONS
@given(random=SPECS, is_complete=st.booleans())
def test_the_manifest_of_every_spec(make_folder: Any, target: Target, random: RandomSpec, is_complete: bool) -> None:
    """Valid objects, equal bytes in each run, a text that is exactly the objects, and no literal secret."""
    spec = load(random.write(make_folder()), {})
    assume(not has_errors(spec, target, is_complete=is_complete))
    documents = build_documents(spec, target, is_complete=is_complete)
    trees = [to_plain(document) for document in documents]
    for tree in trees:
        if "kind" in tree:
            assert find_errors(tree) == []
    texts = [
        render_manifest(spec, target, VERSION, documents, has_comments=has_comments) for has_comments in (True, False)
    ]
    for text in texts:
        assert list(yaml.load_all(text, yaml.CSafeLoader)) == trees
        assert not [event for event in yaml.parse(text, yaml.CLoader) if getattr(event, "anchor", None)]
        assert LITERAL not in text
    again = build_documents(spec, target, is_complete=is_complete)
    assert render_manifest(spec, target, VERSION, again, has_comments=True) == texts[0]


# ----- pods


def find_pods(path: Path) -> Iterator[tuple[Workload, Mapping[str, Any]]]:
    """Yield the workloads of a spec with their Deployments."""
    spec = load(path, {})
    assume(not has_errors(spec, Target.KUBERNETES))
    trees = [to_plain(document) for document in build_documents(spec, Target.KUBERNETES)]
    deployments = {tree["metadata"]["name"]: tree for tree in trees if tree["kind"] == "Deployment"}
    for workload in list_workloads(spec):
        yield workload, deployments.pop(workload.name)
    assert deployments == {}


VOLUME_TYPES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def find_violations(pod: Mapping[str, Any]) -> list[str]:
    """Return what the Pod Security Standard "restricted" forbids in a pod."""
    context = pod.get("securityContext", {})
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    found += [f"volume {v['name']}" for v in pod.get("volumes", ()) if not v.keys() - {"name"} <= VOLUME_TYPES]
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        own = container.get("securityContext", {})
        capabilities = own.get("capabilities", {})
        checks = {
            "runAsNonRoot": own.get("runAsNonRoot", context.get("runAsNonRoot")) is True,
            "runAsUser": own.get("runAsUser", context.get("runAsUser")) != 0,
            "seccompProfile": {**context, **own}.get("seccompProfile", {}).get("type")
            in ("RuntimeDefault", "Localhost"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "privileged": not own.get("privileged"),
            "capabilities": capabilities.get("drop") == ["ALL"]
            and set(capabilities.get("add", ())) <= {"NET_BIND_SERVICE"},
            "hostPort": not any("hostPort" in port for port in container.get("ports", ())),
        }
        found += [f"{container['name']}: {name}" for name, is_allowed in checks.items() if not is_allowed]
    return found


VIOLATIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"hostNetwork": True}, {}, "hostNetwork"),
    ({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, {}, "volume host"),
    ({"securityContext": {}}, {}, "m: runAsNonRoot"),
    ({"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}, {}, "m: runAsUser"),
    ({}, {"allowPrivilegeEscalation": True}, "m: allowPrivilegeEscalation"),
    ({}, {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}, "m: capabilities"),
    ({}, {"privileged": True}, "m: privileged"),
]


@pytest.mark.parametrize(("pod", "own", "violation"), VIOLATIONS, ids=[each[2] for each in VIOLATIONS])
def test_the_check_of_restricted_pods_finds_violations(pod: Any, own: Any, violation: str) -> None:
    context = {"runAsNonRoot": True, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}}
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "m", "securityContext": safe}
    assert find_violations({"securityContext": context, "containers": [container]}) == []
    unsafe = {**container, "securityContext": {**safe, **own}}
    assert violation in find_violations({"securityContext": context, "containers": [unsafe], **pod})


def read_seconds(variables: Mapping[str, Any], workload: Workload, key: str) -> float:
    value = variables.get(f"SELDON_SPEC__SERVER__SHUTDOWN__{key.upper()}", {}).get("value")
    return float(value) if value is not None else getattr(workload.spec.server.shutdown, key)


@OPTIONS
@given(random=SPECS)
def test_every_pod_drains_is_safe_and_declares_what_it_uses(make_folder: Any, random: RandomSpec) -> None:
    for workload, deployment in find_pods(random.write(make_folder())):
        template = deployment["spec"]["template"]
        pod = template["spec"]
        [container] = pod["containers"]
        assert find_violations(pod) == []
        variables = {variable["name"]: variable for variable in container.get("env", ())}
        assert len(variables) == len(container.get("env", ()))

        grace = read_seconds(variables, workload, "grace_seconds")
        assert 0 < read_seconds(variables, workload, "delay_seconds") < grace < pod["terminationGracePeriodSeconds"]

        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        own = workload.spec.ports
        assert ports == {k: v for k, v in (("http", own.http), ("grpc", own.grpc), ("metrics", own.metrics)) if v}
        probes = [container[key] for key in ("readinessProbe", "livenessProbe") if key in container]
        assert probes
        assert all(probe["httpGet"]["port"] in ports for probe in probes if "httpGet" in probe)

        mounts = [mount["name"] for mount in container["volumeMounts"]]
        assert len({mount["mountPath"] for mount in container["volumeMounts"]}) == len(mounts)
        assert set(mounts) <= {volume["name"] for volume in pod["volumes"]}

        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= template["metadata"]["labels"].items()


def find_references(tree: Any) -> Iterator[tuple[str, str]]:
    """Yield the references to secrets in a file, outside ``deployment``: a key and a name."""
    if isinstance(tree, dict):
        [(key, value), *rest] = [*tree.items()] or [("", None)]
        if not rest and key in ("from_env", "from_file") and isinstance(value, str):
            yield key, value
        for name, item in tree.items():
            if name != "deployment":
                yield from find_references(item)
            if name == "tls":
                yield from (("from_file", path) for path in item.values())
    elif isinstance(tree, list):
        for item in tree:
            yield from find_references(item)


@OPTIONS
@given(random=SPECS)
def test_secrets_are_exactly_the_references_of_the_file(make_folder: Any, random: RandomSpec) -> None:
    folders = {
        name: tree for name, tree in random.folders.items() if "parameters" not in random.tree["components"][name]
    }
    assume(len(folders) == len(random.folders))  # an entry overrides parameters of the file
    expected = {*find_references(random.tree), *(each for tree in folders.values() for each in find_references(tree))}
    shared = {("from_env", name) for name in random.tree.get("environment", {})}
    found = set()
    for _, deployment in find_pods(random.write(make_folder())):
        pod = deployment["spec"]["template"]["spec"]
        [container] = pod["containers"]
        found |= {
            ("from_env", each["name"])
            for each in container.get("env", ())
            if "secretKeyRef" in each.get("valueFrom", {})
        }
        folders_by_name = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        for volume in pod["volumes"]:
            for source in volume.get("projected", {}).get("sources", ()):
                found |= {
                    ("from_file", f"{folders_by_name[volume['name']]}/{item['path']}")
                    for item in source["secret"]["items"]
                }
    assert found - (shared - expected) == expected  # components in other pods get the variables of the graph


CHANGES: list[tuple[FieldPath, Any]] = [
    (("version",), "other"),
    (("parameters",), {"threshold": "other"}),
    (("environment",), {"VAR_OTHER": "1"}),
    (("server",), {"keep_alive_seconds": 33}),
    (("inputs",), ["other"]),
    (("components", "iris", "version"), "other"),
    (("components", "inner", "version"), "other"),
    (("deployment",), {"replicas": 5, "labels": {"team": "other"}}),
    (("components", "iris", "deployment"), {"resources": {"cpu": 3}}),
]


@OPTIONS
@given(random=SPECS | graphs(), change=st.sampled_from(CHANGES))
def test_pods_are_replaced_after_a_change_outside_deployment(make_folder: Any, random: RandomSpec, change: Any) -> None:
    """The digest of the pods changes, and their selector does not."""
    (*parents, key), value = change
    tree: Any = copy.deepcopy(random.tree)
    assume(not (key == "inputs" and "graph" in tree))
    parent = tree
    for each in parents:
        assume(each in parent)
        parent = parent[each]
    parent[key] = value
    before, after = (
        {
            workload.name: (each["spec"]["template"]["metadata"]["annotations"][DIGEST], each["spec"]["selector"])
            for workload, each in find_pods(one.write(make_folder()))
        }
        for one in (random, RandomSpec(tree, random.folders))
    )
    name = random.tree["name"]
    assert (before[name][0] == after[name][0]) is (key == "deployment")
    for each in before.keys() & after.keys():
        assert before[each][1] == after[each][1]
