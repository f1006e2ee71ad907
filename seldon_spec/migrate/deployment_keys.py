"""The section ``deployment`` of a unit: the number of its pods, their resources, Secrets, labels and the rest."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seldon_spec.config.deployment import DeploymentSpec
from seldon_spec.config.image_name import find_tag
from seldon_spec.config.layers.variables import ANNOTATIONS
from seldon_spec.config.schema.check import check
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.schema.lookup import join
from seldon_spec.deploy.manifest.secrets import list_files, list_secrets
from seldon_spec.deploy.manifest.workload import Workload
from seldon_spec.errors import FieldPath, Origin, OriginKind
from seldon_spec.migrate.candidates import VARIABLE, Gathered, Rank
from seldon_spec.migrate.manifest import (
    DEPLOYMENT,
    INFERENCE_SERVICE,
    MONITOR,
    POD_MONITOR,
    POLICY,
    SCALER,
    SELDON,
    Resource,
    Tree,
)
from seldon_spec.migrate.pod_additions import add_pod
from seldon_spec.migrate.unit_spec import build_unit_spec
from seldon_spec.migrate.units import Unit

_GENERATED = re.compile(
    r"app\.kubernetes\.io/(name|version|component|part-of|managed-by|instance)|pod-template-hash"
    r"|(helm\.sh|meta\.helm\.sh|kubectl\.kubernetes\.io|deployment\.kubernetes\.io|prometheus\.io|seldon-spec\.dev)/.*"
    r"|serving\.kserve\.io/(deploymentMode|stop)|seldon\.io/no-engine"
)
"""Labels and annotations that manifests, kubectl, Helm and controllers add."""
_STOP = "serving.kserve.io/stop"
_NO_ENGINE = "seldon.io/no-engine"
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_GPU = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class UnitPlace:
    """Where a unit runs.

    Attributes:
        folder: the migrated folder.
        owner: the name of the graph, which default Secrets have; None: the unit's own name.
        units: the names of the containers that are units themselves.
        apart: the components of the unit that have pods of their own.
        user: of the image of the graph; None: the unit is no component.
    """

    folder: Path
    owner: str | None = None
    units: Collection[str] = ()
    apart: Collection[str] = ()
    user: int | None = None


def read_deployment(unit: Unit, beside: Sequence[Resource], gathered: Gathered, place: UnitPlace) -> None:
    """Add the section ``deployment`` of a unit whose other settings are added already.

    Args:
        unit: whose container runs the server.
        beside: the other resources of the manifests.
        gathered: has the settings of the unit, and receives the section.
        place: where the unit runs.
    """
    _drop_repeated(gathered, unit, place)
    reader = _Reader(unit, beside, gathered)
    reader.read_object()
    reader.read_pod()
    _SecretReader(reader, _make_workload(gathered, unit, place)).read()
    workload = _make_workload(gathered, unit, place)
    image = unit.container.get("image") if unit.container else None
    if unit.is_ours and image is not None and not is_part(unit) and image.text() != find_tag(workload.spec):
        reader.add("image", image.text(), image, "image")
    add_pod(unit, workload, place.units, gathered)


def is_part(unit: Unit) -> bool:
    """Return whether a container of ours runs a component in the image of its graph."""
    arguments = unit.container.get("args") if unit.container else None
    return "--component" in [each.text() for each in (arguments.items() if arguments else ())]


def _drop_repeated(gathered: Gathered, unit: Unit, place: UnitPlace) -> None:
    """Remove each variable from a Secret that another setting refers to: the class gets the value from that one."""
    plain = [
        each for each in gathered.candidates if each.path[0] == VARIABLE and each.value == {"from_env": each.path[1]}
    ]
    rest = Gathered([each for each in gathered.candidates if each not in plain])
    used = {use.name for use in list_secrets(_make_workload(rest, unit, place))}
    repeated = [each for each in plain if each.path[1] in used]
    gathered.candidates = [each for each in gathered.candidates if each not in repeated]


def _make_workload(gathered: Gathered, unit: Unit, place: UnitPlace) -> Workload:
    """Return the unit with the settings so far, in a graph of which only the name is known."""
    spec = build_unit_spec(gathered.candidates, unit.name, place.folder)
    if place.user is not None and is_part(unit):
        spec = replace(spec, image=replace(spec.image, user=place.user))
    graph = spec if place.owner is None else replace(spec, name=place.owner)
    urls = {name: "" for name in place.apart if name in spec.components}
    return Workload(spec.name, spec, graph, urls=urls)


class _Reader:
    """Reads the parts of the section that do not depend on other settings."""

    def __init__(self, unit: Unit, beside: Sequence[Resource], gathered: Gathered) -> None:
        self.unit, self.gathered = unit, gathered
        namespace = unit.resource.tree.text("metadata", "namespace")
        self._beside = [each for each in beside if each.tree.text("metadata", "namespace") == namespace]

    def add(self, key: str, value: Any, tree: Tree, label: str) -> None:
        """Add a value of the section; ``key`` may be a path with dots between keys without dots."""
        self.add_at(tuple(key.split(".")), value, tree, label)

    def add_at(self, path: FieldPath, value: Any, tree: Tree, label: str) -> None:
        """Add a value at a path of the section if the section accepts it, and report it otherwise."""
        path, position = ("deployment", *path), tree.position()
        origin = Origin(OriginKind.FILE, position.file, position)
        if check(value, path, SourceLocations.single(origin)):
            self.gathered.leave_out(position, label, f"{join(path[:2])} does not accept this value")
        else:
            self.gathered.add(path, value, position, label, Rank.DEPLOYMENT)

    def read_object(self) -> None:
        """Read what concerns the objects: their metadata, the number of pods, the network and metrics."""
        metadata = self.unit.resource.tree.get("metadata")
        namespace = metadata.get("namespace") if metadata else None
        if namespace is not None:
            self.add("namespace", namespace.text(), namespace, "metadata.namespace")
        skipped = {row.name for row in ANNOTATIONS}
        for kind, trees in (("labels", self.unit.labels()), ("annotations", self.unit.annotations())):
            for key, tree in (entry for each in trees for entry in each.entries()):
                if key == _NO_ENGINE and tree.text() == "true":
                    self.add("executor", value=False, tree=tree, label=f"annotation {_NO_ENGINE}")
                if not _GENERATED.fullmatch(key) and key not in skipped:
                    self.add_at((kind, key), tree.text(), tree, f"{kind.removesuffix('s')} {key}")
        self._read_scaling()
        self._read_monitoring()
        self._read_policy()

    def _read_scaling(self) -> None:
        if self.unit.resource.kind == INFERENCE_SERVICE:
            stopped = self.unit.resource.tree.get("metadata", "annotations", _STOP)
            if stopped is not None and stopped.text() == "true":
                self.add("replicas", 0, stopped, f"annotation {_STOP}")
            predictor = self.unit.predictor_tree
            percent = predictor.get("scaleTarget") if predictor.text("scaleMetric") in ("", "cpu") else None
            self._add_scaling(predictor, percent, is_fixed=predictor.get("scaleMetric") is None)
            return
        scaler = self._find_scaler()
        if scaler is not None:
            self._add_scaling(scaler, _find_percent(scaler), is_fixed=False)
            return
        trees = (self.unit.template, self.unit.predictor_tree, self.unit.resource.tree.get("spec"))
        replicas = next((found for tree in trees if tree and (found := tree.get("replicas"))), None)
        if replicas is not None:
            self.add("replicas", replicas.node.value, replicas, "replicas")

    def _find_scaler(self) -> Tree | None:
        if self.unit.resource.kind == SELDON:
            return self.unit.template.get("hpaSpec") if self.unit.template else None
        specs = [each.tree.get("spec") for each in self._beside if each.kind == SCALER]
        target = (DEPLOYMENT, self.unit.resource.name)
        return next(
            (
                spec
                for spec in specs
                if spec and (spec.text("scaleTargetRef", "kind"), spec.text("scaleTargetRef", "name")) == target
            ),
            None,
        )

    def _add_scaling(self, tree: Tree, percent: Tree | None, *, is_fixed: bool) -> None:
        """Add the bounds of an autoscaler; a service of KServe with one number and no metric has none."""
        least, most = tree.get("minReplicas"), tree.get("maxReplicas")
        if least is None and most is None:
            return
        first = least or most
        assert first is not None
        bounds = {"min": least.node.value if least else 1, "max": most.node.value if most else first.node.value}
        if is_fixed and bounds["min"] == bounds["max"]:
            self.add("replicas", bounds["min"], first, "minReplicas and maxReplicas")
            return
        if percent is not None and percent.node.value != 70:
            bounds["cpu_percent"] = percent.node.value
        self.add("replicas", bounds, tree, "the autoscaler")

    def _read_monitoring(self) -> None:
        for monitor in (each for each in self._beside if each.kind in (MONITOR, POD_MONITOR)):
            if self._selects(monitor.tree.get("spec", "selector", "matchLabels")):
                self.add("monitoring", "service_monitor", monitor.tree, MONITOR)
                return
        is_scraped = any(key == "prometheus.io/scrape" for each in self.unit.annotations() for key, _ in each.entries())
        if self.unit.is_ours and not is_scraped:
            self.add("monitoring", "none", self.unit.resource.tree, "no annotation of Prometheus")

    def _read_policy(self) -> None:
        for policy in (each for each in self._beside if each.kind == POLICY):
            if not self._selects(policy.tree.get("spec", "podSelector", "matchLabels")):
                continue
            ingress = policy.tree.get("spec", "ingress")
            rules = ingress.items() if ingress else []
            peers = [peer for rule in rules for peer in _list_items(rule.get("from"))]
            names = [peer.text("namespaceSelector", "matchLabels", _NAMESPACE_LABEL) for peer in peers]
            others = [peer for peer, name in zip(peers, names, strict=True) if not name]
            if any(peer.get("podSelector") is None or len(peer.entries()) > 1 for peer in others):
                self.gathered.leave_out(policy.tree.position(), POLICY, "network_policy cannot express its rules")
                continue
            namespaces = [name for name in names if name]
            self.add("network_policy", {"from": namespaces} if namespaces else True, policy.tree, POLICY)

    def _selects(self, labels: Tree | None) -> bool:
        """Return whether labels select the pods of the unit."""
        known = {key: tree.text() for each in self.unit.labels() for key, tree in each.entries()}
        known["serving.kserve.io/inferenceservice"] = self.unit.name
        wanted = [(key, tree.text()) for key, tree in labels.entries()] if labels else []
        return bool(wanted) and all(known.get(key) == text for key, text in wanted)

    def read_pod(self) -> None:
        """Read the service account of the pod, and the resources and the port of its container."""
        account = self.unit.pod.get("serviceAccountName") if self.unit.pod else None
        if account is not None:
            self.add("service_account", account.text(), account, "serviceAccountName")
        if self.unit.container is None:
            return
        for key, places in (("cpu", ("requests", "limits")), ("memory", ("requests", "limits"))):
            trees = (self.unit.container.get("resources", place, key) for place in places)
            tree = next((tree for tree in trees if tree is not None), None)
            if tree is not None:
                self.add(f"resources.{key}", tree.text(), tree, f"resources.{key}")
        gpu = self.unit.container.get("resources", "limits", _GPU)
        if gpu is not None:
            text = gpu.text()
            self.add("resources.gpu", int(text) if text.isdecimal() else text, gpu, f"resources {_GPU}")
        for port in _list_items(self.unit.container.get("ports")):
            if self.unit.resource.kind == INFERENCE_SERVICE and port.text("name") == "h2c":
                self.add("transport", "grpc", port, "the port named h2c")


def _list_items(tree: Tree | None) -> list[Tree]:
    return tree.items() if tree else []


def _find_percent(scaler: Tree) -> Tree | None:
    """Return the use of the CPU that an autoscaler aims at, in the forms of its versions."""
    plain = scaler.get("targetCPUUtilizationPercentage")
    for metric in [*_list_items(scaler.get("metrics")), *_list_items(scaler.get("metricsv2"))]:
        if metric.text("resource", "name") == "cpu":
            found = metric.get("resource", "target", "averageUtilization")
            return found or metric.get("resource", "targetAverageUtilization")
    return plain


class _SecretReader:
    """Reads the Secrets of variables and files whose names or keys are not the defaults.

    Args:
        reader: adds the entries.
        workload: the unit with its other settings.
    """

    def __init__(self, reader: _Reader, workload: Workload) -> None:
        self._reader, self._owner = reader, workload.graph.name
        spec = replace(workload.spec, deployment=DeploymentSpec())
        self._workload = replace(workload, spec=spec, graph=replace(spec, name=self._owner))

    def read(self) -> None:
        used = {use.name for use in list_secrets(self._workload)}
        for variable in self._reader.unit.variables():
            reference = variable.get("valueFrom", "secretKeyRef")
            name = variable.text("name")
            if reference is not None and name in used:
                self._add(name, reference.text("name"), reference.text("key"), self._owner, reference)
        for file in list_files(self._workload):
            for path, secret, key, tree in self._list_mounted():
                if path == file.path:
                    self._add(path, secret, key, file.secret, tree)

    def _add(self, name: str, secret: str, key: str, default: str, tree: Tree) -> None:
        if (secret, key) != (default, posixpath.basename(name)):
            self._reader.add_at(("secrets", name), f"{secret}/{key}", tree, f"the Secret of {name}")

    def _list_mounted(self) -> Iterator[tuple[str, str, str, Tree]]:
        """Yield the path of each mounted file of a Secret, with the Secret and its key."""
        unit = self._reader.unit
        volumes = {each.text("name"): each for each in _list_items(unit.pod.get("volumes") if unit.pod else None)}
        for mount in _list_items(unit.container.get("volumeMounts") if unit.container else None):
            volume = volumes.get(mount.text("name"))
            for source in _list_items(volume.get("projected", "sources") if volume else None):
                for item in _list_items(source.get("secret", "items")):
                    path = posixpath.join(mount.text("mountPath"), item.text("path"))
                    yield path, source.text("secret", "name"), item.text("key"), item
