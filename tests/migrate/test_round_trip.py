"""``migrate`` restores a spec from its manifest, if the manifest repeats everything (``manifest --all``).

No manifest carries:

- literal secrets, which the random specs here therefore lack,
- a ``server.shutdown.grace_seconds`` of less than a second, to which the manifest adds the delay of the shutdown,
- entries of ``deployment.secrets`` that no reference of the spec uses,
- whether a component or its graph sets a key of ``deployment`` that the component has from both: the values that apply
  to each component are compared,
- ``deployment`` of components of a graph in one process, and of components of a nested graph,
- ``network_policy: {from: []}``, which is the same as ``true``.

A Deployment and an InferenceService do not carry a grace period below one second without a delay: the delay that they
add makes it one second. A Deployment does not carry ``deployment.executor`` and ``deployment.transport``, and ``deployment.apart`` of a class. An
InferenceService does not carry ``deployment.executor``. An InferenceGraph, which a graph with ``deployment.apart``
becomes, is not read at all. A SeldonDeployment does not carry ``deployment.transport``
and ``deployment.apart``; of a graph, it does not carry ``deployment.replicas`` and ``deployment.resources``, which the
executor does not have, the image that no component runs in, and the names of steps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from seldon_spec.config.build_spec import plain
from seldon_spec.config.graph import CallStep, ChainStep, CombineStep, RouteStep, ShadowStep, SplitStep, Step
from seldon_spec.config.loader import load
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.render import build_documents, find_problems, render_manifest
from seldon_spec.deploy.manifest.secrets import list_files, list_secrets
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import merge
from seldon_spec.deploy.manifest.workload import Workload
from seldon_spec.errors import Severity, SpecError
from seldon_spec.migrate.plan import plan
from tests.deploy.manifest_specs import LITERAL, SPECS, RandomSpec

GENERATED = {"securityContext": {"runAsUser": 8888}}
"""A part of a pod that random specs remove."""
NOT_COMPARED = ("folder", "file", "origins", "diagnostics", "digest", "unit")
LOST = {
    Target.KUBERNETES: ("executor", "transport"),
    Target.KSERVE: ("executor",),
    Target.SELDON: ("transport", "apart"),
}
LOST_OF_GRAPH: Mapping[Target, tuple[str, ...]] = {
    Target.SELDON: ("replicas", "resources", "pod", "secrets", "service_account"),
}


def _without_literals(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_literals(item) for key, item in value.items() if LITERAL not in str(item)[:40]}
    if isinstance(value, list):
        return [_without_literals(item) for item in value if LITERAL not in str(item)[:40]]
    return value


def _load(random: RandomSpec, folder: Path, target: Target) -> Spec:
    """Load a random spec that the target can express."""
    random.write(folder)
    try:
        spec = load(folder, {})
    except SpecError:
        assume(False)
    assume(target is not Target.KSERVE or not spec.deployment.apart)
    problems = find_problems(spec, target, is_complete=True)
    assume(all(problem.severity is not Severity.ERROR for problem in problems))
    return spec


def _restore(spec: Spec, random: RandomSpec, folder: Path, target: Target) -> Spec:
    """Return the spec that ``migrate`` writes in a folder with the manifest and the classes."""
    documents = build_documents(spec, target, is_complete=True)
    text = render_manifest(spec, target, "1.0", documents, has_comments=True)
    random.write(folder).unlink()
    (folder / "deployment.yaml").write_text(text, encoding="utf-8")
    migration = plan(folder, "1.0")
    assert migration.problems == ()
    (folder / "seldon.yaml").write_text(migration.text, encoding="utf-8")
    return load(folder, {})


@pytest.mark.parametrize("target", [Target.KUBERNETES, Target.KSERVE, Target.SELDON])
@settings(
    max_examples=30,
    derandomize=True,  # a new corner of the grammar is no defect of the change under test
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink a case takes minutes
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(random=SPECS)
def test_a_spec_is_restored_from_its_manifest(target: Target, random: RandomSpec) -> None:
    folders = {name: _without_literals(tree) for name, tree in random.folders.items()}
    random = RandomSpec(_without_literals(random.tree), folders)
    with tempfile.TemporaryDirectory() as name:
        spec = _load(random, Path(name, "spec"), target)
        restored = _restore(spec, random, Path(name, "restored"), target)
    assert _describe(restored, target) == _describe(spec, target)


def _describe(spec: Spec, target: Target) -> dict[str, Any]:
    """Return the values of a spec that a manifest for a target carries."""
    values = _list_values(spec)
    deployment = values["deployment"]
    workload = Workload(spec.name, spec, spec)
    used = {use.name for use in list_secrets(workload)} | {file.path for file in list_files(workload)}
    deployment["secrets"] = {name: entry for name, entry in deployment["secrets"].items() if name in used}
    if deployment["network_policy"] == {"from": []}:
        deployment["network_policy"] = True
    shutdown = values["server"]["shutdown"]
    if target is not Target.SELDON and not shutdown["delay_seconds"]:
        shutdown["grace_seconds"] = max(1, shutdown["grace_seconds"])
    has_names = target is not Target.SELDON
    values["graph"] = None if spec.graph is None else _describe_step(spec.graph, has_names=has_names)
    values["components"] = {name: _describe_component(spec, name, target) for name in spec.components}
    has_own_images = all(each.spec and each.spec.deployment.image for each in spec.components.values())
    if spec.graph is None:
        deployment.pop("apart")
    elif target is Target.SELDON and has_own_images:
        deployment.pop("image")
    for key in (*LOST[target], *(LOST_OF_GRAPH.get(target, ()) if spec.graph is not None else ())):
        deployment.pop(key, None)
    return values


def _list_values(spec: Spec) -> dict[str, Any]:
    ignored = (*NOT_COMPARED, "graph", "components")
    names = [field.name for field in fields(spec) if field.compare and field.name not in ignored]
    values = {name: plain(getattr(spec, name)) for name in names}
    shutdown = values["server"]["shutdown"]
    shutdown["grace_seconds"] = max(shutdown["grace_seconds"], 1)
    return values


def _describe_component(graph: Spec, name: str, target: Target) -> dict[str, Any]:
    component = graph.components[name]
    values: dict[str, Any] = {
        "service_type": component.service_type,
        "url": component.url,
        "token": plain(component.token),
        "spec": None if component.spec is None else _list_inner(component.spec),
    }
    has_pods = target is Target.SELDON or graph.deployment.apart
    if component.spec is not None and component.url is None and has_pods:
        values["deployment"] = _merge_deployment(component.spec, graph)
    return values


def _list_inner(spec: Spec) -> dict[str, Any]:
    """Return the values of a component, without ``deployment``, and those of the components in it."""
    values = _list_values(spec)
    del values["deployment"]
    values["graph"] = None if spec.graph is None else _describe_step(spec.graph)
    values["components"] = {
        name: (each.service_type, each.url, each.spec and _list_inner(each.spec))
        for name, each in spec.components.items()
    }
    return values


def _merge_deployment(own: Spec, graph: Spec) -> dict[str, Any]:
    """Return what applies to the pods of a component of a graph."""
    one, whole = plain(own.deployment), plain(graph.deployment)
    workload = Workload(own.name, own, graph)
    used = {use.name: (use.secret, use.key) for use in list_secrets(workload)}
    used |= {file.path: (file.secret, file.key) for file in list_files(workload)}
    return {
        "image": one["image"],
        "replicas": one["replicas"],
        "resources": one["resources"],
        "labels": {**whole["labels"], **one["labels"]},
        "annotations": {**whole["annotations"], **one["annotations"]},
        "service_account": one["service_account"] or whole["service_account"],
        "secrets": used,
        "pod": merge(merge(GENERATED, whole["pod"]), one["pod"]),
    }


def _describe_step(step: Step, *, has_names: bool = True) -> Any:
    """Return a step with shares for weights, with chains in chains joined, and perhaps with the names of decisions."""
    if isinstance(step, CallStep):
        return step.component, step.method
    if isinstance(step, ChainStep):
        return [_describe_step(each, has_names=has_names) for each in _flatten(step)]
    if isinstance(step, ShadowStep):
        inner, shadow = (_describe_step(each, has_names=has_names) for each in (step.step, step.shadow))
        return inner, shadow, step.percent
    branches = [_describe_step(each, has_names=has_names) for each in step.branches]
    name = step.name if has_names else None
    if isinstance(step, RouteStep):
        return "route", name, step.router, branches
    if isinstance(step, CombineStep):
        return "combine", name, step.combiner, branches
    assert isinstance(step, SplitStep)
    shares = [pytest.approx(weight / sum(step.weights)) for weight in step.weights]
    return "split", name, shares, branches, step.by


def _flatten(step: Step) -> Iterator[Step]:
    for each in step.steps if isinstance(step, ChainStep) else [step]:
        if isinstance(each, ChainStep):
            yield from _flatten(each)
        else:
            yield each
