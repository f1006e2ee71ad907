"""Rules of ``deployment``: values that contradict others, and keys that a manifest does not use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.model import REFERENCE_KEYS
from seldon_spec.config.schema.lookup import field_schema, join
from seldon_spec.config.schema.suggest import guess
from seldon_spec.errors import Diagnostic, FieldPath, Severity

_LABELS = {
    "app.kubernetes.io/version": "set version",
    "app.kubernetes.io/component": "remove it",
    "app.kubernetes.io/managed-by": "remove it",
}
"""Generated labels that no selector depends on, with the help for an own value."""

_SELECTOR = "app.kubernetes.io/name"
_PREFIX = "seldon-spec.dev/"

_OTHER_KEYS = {
    "serviceAccountName": "deployment.service_account",
    "serviceAccount": "deployment.service_account",
    "terminationGracePeriodSeconds": "server.shutdown.grace_seconds",
    "resources": "deployment.resources",
}
"""The keys of a pod that other keys of a spec set."""

_OF_CONTAINERS = frozenset(
    {"args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "ports"}
    | {"readinessProbe", "startupProbe", "stdin", "tty", "volumeDevices", "volumeMounts", "workingDir"}
)


def check_deployment(context: RuleContext) -> Iterator[Diagnostic]:
    """Report values of ``deployment`` that contradict others or have no effect."""
    yield from _check_replicas(context)
    yield from _check_gpu(context)
    yield from _check_graph_keys(context)
    yield from _check_names(context)
    yield from _check_pod(context)
    yield from _check_secrets(context)


def _check_replicas(context: RuleContext) -> Iterator[Diagnostic]:
    path = ("deployment", "replicas", "min")
    low, high = context.values.get(path), context.values.get((*path[:-1], "max"))
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low > high:
        yield Diagnostic(
            "deployment-replicas",
            "deployment.replicas.min is larger than deployment.replicas.max",
            context.item_origin(*path),
            path=path,
            found=f"{low:g}",
            allowed=f"at most {high:g}",
        )


def _check_gpu(context: RuleContext) -> Iterator[Diagnostic]:
    path = ("deployment", "resources", "gpu")
    number = context.values.get(path)
    if isinstance(number, float) and number > 1 and not number.is_integer():
        yield Diagnostic(
            "range",
            "deployment.resources.gpu has a fraction above 1: a replica uses whole GPUs, or a share of one",
            context.item_origin(*path),
            path=path,
            found=f"{number:g}",
            allowed="a whole number, or one below 1",
        )


def _check_graph_keys(context: RuleContext) -> Iterator[Diagnostic]:
    """Report keys without effect; of a component, they apply where its file is deployed alone."""
    if context.graph is not None:
        return
    rows = (
        ("apart", True, not context.has_graph, "there is no graph"),
        ("executor", False, context.has_graph, "only a single component can run without the executor"),
    )
    for key, value, is_ignored, reason in rows:
        path = ("deployment", key)
        if is_ignored and context.values.get(path) is value:
            message = f"{join(path)} has no effect: {reason}"
            origin = context.key_origin(*path)
            yield Diagnostic("key-without-effect", message, origin, Severity.WARNING, path, help="remove it")


def _check_names(context: RuleContext) -> Iterator[Diagnostic]:
    """Report labels and annotations that override generated ones."""
    for section in ("labels", "annotations"):
        for name in context.values.get(("deployment", section)) or {}:
            path = ("deployment", section, name)
            if name.startswith(_PREFIX) or (section, name) == ("labels", _SELECTOR):
                reason = "only seldon-spec sets it" if name != _SELECTOR else "it selects the pods"
                yield _report_name(context, path, f"{name} cannot be changed: {reason}", Severity.ERROR, "remove it")
            elif section == "labels" and name in _LABELS:
                yield _report_name(context, path, f"{name} is generated", Severity.WARNING, _LABELS[name])


def _report_name(context: RuleContext, path: FieldPath, message: str, severity: Severity, remedy: str) -> Diagnostic:
    return Diagnostic("deployment-label", message, context.key_origin(*path), severity, path, help=remedy)


def _check_pod(context: RuleContext) -> Iterator[Diagnostic]:
    """Report keys that a pod does not have, or that should not be changed."""
    at = ("deployment", "pod")
    schema = field_schema(at) or {}
    for key, value in (context.values.get(at) or {}).items():
        problem = _describe_key(key, schema["x-keys"], context.values.get(("name",)) or "NAME")
        if problem is not None and value is not None:
            message, remedy = problem
            origin = context.key_origin(*at, key)
            yield Diagnostic("deployment-pod", message, origin, Severity.WARNING, (*at, key), help=remedy)


def _describe_key(key: str, known: list[str], container: str) -> tuple[str, str] | None:
    """Return what is wrong with a key of a pod, and the help; None: nothing."""
    if key in _OTHER_KEYS:
        return f"pod.{key} overrides the value of {_OTHER_KEYS[key]}", f"set {_OTHER_KEYS[key]}"
    if key == "restartPolicy":
        return "pod.restartPolicy cannot be changed: pods of a server are always restarted", "remove it"
    if key in _OF_CONTAINERS:
        remedy = f"write it for the container: containers: [{{name: {container}, {key}: …}}]"
        return f"{key} is a key of a container, not of a pod", remedy
    if key not in known:
        match = guess(key, known)
        remedy = f'did you mean "{match}"?' if match else "run kubectl explain pod.spec for the keys of a pod"
        return f'a pod has no key "{key}"', remedy
    return None


def _check_secrets(context: RuleContext) -> Iterator[Diagnostic]:
    """Report entries of ``secrets`` that no reference uses."""
    if context.references is None:
        return
    for name in context.values.get(("deployment", "secrets")) or {}:
        if name not in context.references:
            path = ("deployment", "secrets", name)
            key = "from_file" if name.startswith("/") else "from_env"
            match = guess(name, context.references)
            yield Diagnostic(
                "deployment-secrets",
                f"no reference uses {name}",
                context.key_origin(*path),
                Severity.WARNING,
                path,
                help=f'did you mean "{match}"?' if match else f"remove it, or refer to it: {{{key}: {name}}}",
            )


def find_references(values: LayeredValues) -> frozenset[str]:
    """Return the variables and files that a spec reads secrets from; without those of the files of components."""
    tree = {key: value for key, value in values.tree.items() if key != "deployment"}
    tls = values.get(("server", "tls")) or {}
    return frozenset({*_walk(tree), *(path for path in tls.values() if isinstance(path, str))})


def _walk(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and len(value) == 1 and REFERENCE_KEYS.issuperset(value):
        yield from (name for name in value.values() if isinstance(name, str))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _walk(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _walk(item)
