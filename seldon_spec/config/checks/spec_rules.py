"""Check the layered values: rules that need several values, the class or the folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seldon_spec.config.checks.class_rules import (
    check_class_exists,
    check_parameter_types,
    check_parameters,
    check_service_type,
    check_signatures,
)
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.deployment_rules import check_deployment
from seldon_spec.config.checks.image_rules import find_image_problems
from seldon_spec.config.checks.model_rules import check_model
from seldon_spec.config.checks.server_rules import find_server_problems
from seldon_spec.config.checks.tensor_rules import check_infer, check_tensors
from seldon_spec.config.checks.yaml_rules import check_booleans, check_texts
from seldon_spec.config.layers.environment import PREFIX
from seldon_spec.config.layers.variables import TABLE, known_variables
from seldon_spec.config.masking import find_literals
from seldon_spec.config.model import PortsSpec
from seldon_spec.config.schema.lookup import field_schema, join, takes_any_key, with_required_keys
from seldon_spec.errors import Diagnostic, FieldPath, OriginKind, Severity


def check_rules(context: RuleContext, invalid: frozenset[FieldPath]) -> list[Diagnostic]:
    """Apply every rule; ignores diagnostics of the fields in ``invalid``, which are reported already."""
    rules = (
        _check_kind,
        _check_graph_keys,
        check_model,
        check_class_exists,
        check_service_type,
        check_signatures,
        check_parameters,
        check_parameter_types,
        check_infer,
        check_tensors,
        _check_required_keys,
        _check_ports,
        find_image_problems,
        find_server_problems,
        check_deployment,
        _check_environment,
        _check_literal_secrets,
        _check_dropped_settings,
        check_booleans,
        check_texts,
        _check_timeouts,
    )
    if ("graph",) in invalid:  # misspelt: the class is not missing, and the components have a graph
        invalid |= {("class_name",), ("components",)}
    findings = [finding for rule in rules for finding in rule(context)]
    if ("service_type",) in invalid:
        findings = [finding for finding in findings if finding.code != "no-hook"]
    return [f for f in findings if not any(f.path[: len(path)] == path for path in invalid)]


def _check_kind(context: RuleContext) -> Iterator[Diagnostic]:
    """Report a spec that is not exactly one of a class, a model file and a graph."""
    has = {"class_name": context.is_set("class_name"), "model": context.has_model, "graph": context.has_graph}
    given = [key for key, is_given in has.items() if is_given]
    if not given:
        yield Diagnostic(
            "graph-or-class",
            'there is no "class_name", "model" or "graph"',
            context.document.origin(context.document.start()),
            path=("class_name",),
            allowed="the name of a class, e.g. MyModel or pkg.module.Class, a model file, or a graph of components",
            help="add class_name: …, or set MODEL_NAME; for a model file, add model: {path: …}; of several components, "
            "add graph: …",
        )
    elif len(given) > 1:
        first, last = given[0], given[-1]
        yield Diagnostic(
            "graph-or-class",
            f"a spec has only one of class_name, model and graph: this one has {' and '.join(given)}",
            context.key_origin(last),
            path=(last,),
            notes=(f"{first}: {context.key_origin(first) if first == 'model' else context.origin(first)}",),
            help="remove one; to use the class in the graph, write an entry for it in components"
            if given == ["class_name", "graph"]
            else "remove one; to use both in a graph, write an entry for each in components"
            if last == "graph"
            else "remove one: the runtime of the model file is the class",
        )


def _check_graph_keys(context: RuleContext) -> Iterator[Diagnostic]:
    """Report keys without effect in a graph, whose classes are components, and the reverse."""
    keys: tuple[FieldPath, ...] = (("components",),)
    reason = "there is no graph"
    if context.has_graph:
        keys, reason = (("service_type",), ("parameters",), ("server", "batching")), "this spec is a graph"
    elif context.has_model and not context.is_set("class_name"):
        keys, reason = (("components",), ("parameters",)), "a model file has no class with arguments"
    for path in keys:
        if context.is_set(*path):
            yield Diagnostic(
                "key-without-effect",
                f"{join(path)} has no effect: {reason}",
                context.key_origin(*path),
                Severity.WARNING,
                path,
                help="remove it",
            )


def _check_required_keys(context: RuleContext) -> Iterator[Diagnostic]:
    """Report missing keys of mappings."""
    for at, schema in with_required_keys():
        section = context.values.get(at)
        for key in schema["required"] if isinstance(section, Mapping) else ():
            # An invalid key of the file is reported already.
            if key not in section and context.document.find((*at, key)) is None:
                from seldon_spec.config.schema.violations import missing_key

                origins = [o for path, o in context.values.origins.items() if path[: len(at)] == at]
                node = context.document.find(at)
                is_replaced = node is not None and not isinstance(node[1].value, dict)  # by a part of a mapping
                yield missing_key(at, key, origins[-1 if is_replaced else 0])


def _check_ports(context: RuleContext) -> Iterator[Diagnostic]:
    defaults = PortsSpec()
    ports: dict[str, int | None] = {
        key: context.values.get(("ports", key)) if context.is_set("ports", key) else getattr(defaults, key)
        for key in ("http", "grpc", "metrics")
    }
    seen: dict[int, str] = {}
    for key, port in ports.items():
        if port is None:
            continue
        if port in seen:
            later, first = (key, seen[port]) if context.is_set("ports", key) else (seen[port], key)
            yield Diagnostic(
                "port-clash",
                f"ports.{later} and ports.{first} are the same port",
                context.origin("ports", later),
                path=("ports", later),
                found=str(port),
                notes=(f"ports.{first} is {port}: {context.values.origins.get(('ports', first), 'its default')}",),
                help="give each its own port" + (", or grpc: null" if "grpc" in (later, first) else ""),
            )
        seen.setdefault(port, key)


def _check_environment(context: RuleContext) -> Iterator[Diagnostic]:
    """Report variables that the loader reads: ``environment`` sets them too late."""
    shared = {row.name for row in TABLE if row.is_shared}
    known = {name: path for name, path in known_variables().items() if name not in shared}
    for name in context.values.get(("environment",)) or {}:
        if name in known or name.startswith(PREFIX):
            key = join(known[name]) if name in known else join(tuple(name[len(PREFIX) :].lower().split("__")))
            instead = f"use the key {key}" if not key.startswith("unit.") else "only the operator can set it"
            yield Diagnostic(
                "reserved-variable",
                f"{name} cannot be set in environment: the loader reads it before",
                context.key_origin("environment", name),
                path=("environment", name),
                help=instead,
            )


_REMEDIES = {
    "image": "anyone who can pull the image can read it: use a reference in environment",
    "deployment": "the manifest would contain it: use a Secret, e.g. valueFrom: {secretKeyRef: {name: …, key: …}}",
}
"""The help for a literal secret, by its section."""


def _check_literal_secrets(context: RuleContext) -> Iterator[Diagnostic]:
    for path, origin in context.values.origins.items():
        is_token = path[:1] == ("components",) and path[2:] == ("token",)
        if path[:1] == ("components",) and not is_token:  # checked with the component
            continue
        parent = field_schema(path[:-1])
        is_own_name = parent is not None and takes_any_key(parent)
        if origin.kind is not OriginKind.FILE or not (is_own_name or is_token or path[:-1] == ("flask",)):
            continue
        for at, _ in find_literals(path, context.values.get(path)):
            yield Diagnostic(
                "literal-secret",
                f"{join(at)} looks like a literal secret",
                origin if at == path else context.item_origin(*at),
                Severity.WARNING,
                at,
                help=_REMEDIES.get(path[0], "use a reference: {from_env: NAME} or {from_file: PATH}"),
            )


def _check_dropped_settings(context: RuleContext) -> Iterator[Diagnostic]:
    path = ("flask", "PRESERVE_CONTEXT_ON_EXCEPTION")
    if context.is_set(*path):
        yield Diagnostic(
            "dropped-setting",
            "flask.PRESERVE_CONTEXT_ON_EXCEPTION has no effect",
            context.origin(*path),
            Severity.NOTE,
            path,
            help="Flask removed it in 2.3; delete the line",
        )


def _check_timeouts(context: RuleContext) -> Iterator[Diagnostic]:
    """Report whole thousands of seconds, which are most likely milliseconds."""
    for path in [*context.values.origins]:
        value = context.values.get(path)
        is_time = path[0] == "server" and path[-1].endswith("_seconds") and isinstance(value, (int, float))
        if is_time and value >= 1000 and value % 1000 == 0:
            yield Diagnostic(
                "large-timeout",
                f"{join(path)} is {value} seconds, which is {value / 3600:.1f} hours",
                context.origin(*path),
                Severity.WARNING,
                path,
                help=f"write {value // 1000:g} if you mean milliseconds",
            )
