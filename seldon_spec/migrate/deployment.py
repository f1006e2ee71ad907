"""One unit of a manifest: its type, parameters, ports, variables, command and annotations.

Source: contract sections 7.3, 7.4 and 7.7; the resource's own schema for the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.parameters import set_entry
from seldon_spec.config.model import ServiceType
from seldon_spec.config.schema.check import check
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.schema.suggest import guess
from seldon_spec.deploy.manifest.variables import DRAIN_SECONDS
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Position
from seldon_spec.migrate.candidates import Candidate, Gathered, Rank
from seldon_spec.migrate.command import PROGRAM, Command, find_script, read_command
from seldon_spec.migrate.manifest import INFERENCE_SERVICE, SELDON, Tree
from seldon_spec.migrate.shell_lexer import UnclosedQuote, Word, read_words
from seldon_spec.migrate.units import Unit
from seldon_spec.migrate.variables import add_annotation, add_layered, add_variable, is_secret

_TYPES = {**{kind.value: kind for kind in ServiceType}, "OUTPUT_TRANSFORMER": ServiceType.TRANSFORMER}
_METHODS = {
    "ROUTE": ServiceType.ROUTER,
    "AGGREGATE": ServiceType.COMBINER,
    "TRANSFORM_INPUT": ServiceType.TRANSFORMER,
    "TRANSFORM_OUTPUT": ServiceType.TRANSFORMER,
}
_CLASS_NAME = generic_variable(("class_name",))
_GRAPH = generic_variable(("graph",))
_DELAY = generic_variable(("server", "shutdown", "delay_seconds"))
_GRACE = generic_variable(("server", "shutdown", "grace_seconds"))
_PORTS = {"http": "HTTP", "grpc": "GRPC", "metrics": "METRICS", "http1": "HTTP", "h2c": "GRPC"}
"""The ports of the server by the names of a container's ports; KServe expects the last two."""
_NAME = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*")
_PROTOCOLS = ("", "seldon", "v2", "kfserving")
"""The protocols of a SeldonDeployment that are served; the last two are names of the Open Inference Protocol."""
_STAYS = "its value is known only in the cluster, where the manifest still sets it"
_REFERENCE = re.compile(r"\$(\$|\((?P<name>[A-Za-z_][A-Za-z0-9_]*)\))")
"""What Kubernetes replaces in a value: another variable, and a dollar that is escaped by another one."""


def read_unit(unit: Unit, gathered: Gathered) -> None:
    """Add the settings of the unit."""
    if not _is_described(unit):
        _add_type(unit, gathered)
    if unit.is_ours and not _is_described(unit):
        _add_labels(unit, gathered)
    if _NAME.fullmatch(unit.name) and len(unit.name) <= 63:
        keys, label = (("name",), "graph.name") if unit.resource.kind == SELDON else (("metadata", "name"), "the name")
        tree = unit.graph.get(*keys) or unit.graph
        gathered.add(("name",), unit.name, tree.position(), label, Rank.DEPLOYMENT)
    for tree in unit.annotations():
        for key, value in tree.entries():
            add_annotation(gathered, key, value.text(), value.position())
    if not unit.is_prepackaged():
        _add_parameters(unit, gathered)
    _add_endpoint(unit.graph, gathered)
    if unit.container is not None:
        _read_container(unit, unit.container, gathered)
    if unit.resource.kind == INFERENCE_SERVICE:
        _add_timeout(unit, gathered)
    _report_rest(unit, gathered)


def _add_timeout(unit: Unit, gathered: Gathered) -> None:
    """Add the timeout of a predictor of KServe, in whole seconds, unless a variable has a more precise one."""
    timeout = unit.predictor_tree.get("timeout")
    path = ("server", "request_timeout_seconds")
    if timeout is None or any(candidate.path == path for candidate in gathered.candidates):
        return
    aside = Gathered()
    add_variable(aside, generic_variable(path), timeout.text(), timeout.position(), "timeout", Rank.DEPLOYMENT)
    gathered.extend(aside)


def _is_described(unit: Unit) -> bool:
    """Return whether the variables of the container describe it completely, as ``manifest --all`` does."""
    return bool(unit.variable(_CLASS_NAME, _GRAPH))


def _add_labels(unit: Unit, gathered: Gathered) -> None:
    """Add the version and the type that the labels of pods of ours contain."""
    tree = unit.template or unit.predictor_tree
    labels = tree.get("metadata", "labels") or tree.get("labels")
    version = labels.get("app.kubernetes.io/version") if labels else None
    if version is not None:
        gathered.add(("version",), version.text(), version.position(), "the label of the version", Rank.S2I)
    kind = labels.get("app.kubernetes.io/component") if labels else None
    written = kind.text().upper().replace("-", "_") if kind else ""
    if kind is not None and written in ServiceType.__members__:
        gathered.add(("service_type",), written, kind.position(), "the label of the component", Rank.S2I)


def _add_type(unit: Unit, gathered: Gathered) -> None:
    """Add the type by which the executor calls the unit; without one, the type that its methods imply."""
    tree = unit.graph.get("type")
    written = tree.text() if tree else ""
    if tree and written in _TYPES:
        candidate = Candidate(
            ("service_type",), _TYPES[written].value, tree.position(), f"graph.type {written}", Rank.FORCED
        )
        gathered.candidates.append(candidate)
        return
    if tree and written not in ("", "UNKNOWN_TYPE"):
        match = guess(written, _TYPES)
        allowed = ", ".join(_TYPES)
        origin = Origin(OriginKind.FILE, tree.position().file, tree.position())
        help_text = f'did you mean "{match}"?' if match else None
        message = "the graph's type is not one of its values"
        gathered.problems.append(
            Diagnostic("enum", message, origin, found=f'"{written[:80]}"', allowed=f"one of {allowed}", help=help_text)
        )
        return
    methods = unit.graph.get("methods")
    kinds = {_METHODS[each.text()] for each in methods.items() if each.text() in _METHODS} if methods else set()
    if methods and len(kinds) == 1:
        candidate = Candidate(("service_type",), kinds.pop().value, methods.position(), "graph.methods", Rank.FORCED)
        gathered.candidates.append(candidate)


def _add_parameters(unit: Unit, gathered: Gathered) -> None:
    """Add the parameters, each checked and converted as by the loader, at its own position."""
    tree = unit.graph.get("parameters")
    if tree is None:
        return
    entries: list[Any] = tree.node.to_json() if isinstance(tree.node.value, list) else [tree.node.to_json()]
    trees = tree.items() or [tree]
    places = SourceLocations(lambda path: _place(path, trees, tree), lambda path: _place(path, trees, tree))
    problems = check(entries, ("parameters",), places)
    wrong = {problem.path[1] for problem in problems if len(problem.path) > 1}
    gathered.problems += [_redact(problem, trees) for problem in problems]
    for index, each in enumerate(trees):
        if str(index) in wrong:
            continue
        value = each.get("value")
        position = value.position() if value else each.position()
        layered = LayeredValues({}, {})
        set_entry(layered, str(index), _expand(entries[index]), Origin(OriginKind.FILE, position.file, position))
        label = f"parameter {entries[index]['name']}, {entries[index]['type']}"
        if layered.problems:
            gathered.problems += [_redact(replace(p, path=("parameters", str(index))), trees) for p in layered.problems]
        else:
            add_layered(gathered, layered, position, label, Rank.DEPLOYMENT)


def _expand(entry: Any) -> Any:
    """Return a parameter as it is in the container: the kubelet reads ``$$`` as ``$`` in the operator's variable."""
    value = entry["value"]
    if not isinstance(value, str):
        return entry
    return {**entry, "value": _REFERENCE.sub(lambda match: match[0] if match["name"] else "$", value)}


def _place(path: FieldPath, trees: list[Tree], whole: Tree) -> Origin:
    """Return the position of a part of the list: the value, else the entry, else the list."""
    tree = whole
    if len(path) > 1 and path[1].isdigit() and int(path[1]) < len(trees):
        tree = trees[int(path[1])]
        tree = tree.get(*path[2:]) or tree
    return Origin(OriginKind.FILE, tree.position().file, tree.position())


def _redact(problem: Diagnostic, trees: list[Tree]) -> Diagnostic:
    """Remove the value from a finding about a parameter with a secret name."""
    index = problem.path[1] if len(problem.path) > 1 else ""
    name = trees[int(index)].text("name") if index.isdigit() and int(index) < len(trees) else ""
    if not is_secret(name) or problem.origin.position is None:
        return problem
    hidden = replace(problem.origin, position=replace(problem.origin.position, text=""))
    return replace(problem, origin=hidden, found="(not shown)" if problem.found else None)


def _add_endpoint(graph: Tree, gathered: Gathered) -> None:
    for key, port in (("httpPort", "HTTP"), ("grpcPort", "GRPC")):
        tree = graph.get("endpoint", key)
        if tree is not None and tree.text() not in ("", "0"):
            name = f"PREDICTIVE_UNIT_{port}_SERVICE_PORT"
            add_variable(gathered, name, tree.text(), tree.position(), f"graph.endpoint.{key}", Rank.DEPLOYMENT)


def _read_container(unit: Unit, container: Tree, gathered: Gathered) -> None:
    ports = container.get("ports")
    for port in ports.items() if ports else ():
        number = port.get("containerPort")
        if number is not None and port.text("name") in _PORTS:
            name = f"PREDICTIVE_UNIT_{_PORTS[port.text('name')]}_SERVICE_PORT"
            label = f"the port named {port.text('name')}"
            add_variable(gathered, name, number.text(), number.position(), label, Rank.DEPLOYMENT)
    known = read_variables(_without_drain(unit, gathered), gathered, unit.variable_name)
    if container.get("envFrom"):
        tree = container.get("envFrom")
        assert tree is not None
        gathered.leave_out(tree.position(), "envFrom", _STAYS)
    _read_command(unit, container, known, gathered)
    image = container.get("image")
    if image is not None and not unit.is_ours:
        why = "the current image: give the new image another tag, with image.tag or build --tag"
        gathered.leave_out(image.position(), f"image {_printable(image.text())}", why)


def _without_drain(unit: Unit, gathered: Gathered) -> list[Tree]:
    """Return the variables of a container without the delay that a manifest of ours adds to the shutdown.

    It comes before the settings that ``--all`` repeats, so that the same delay in the spec differs from it. A grace
    period that directly follows it is longer than that of the spec by the delay, or by more if that is below 1 second.
    """
    variables = unit.variables()
    names = [unit.variable_name(each) for each in variables]
    delay = names.index(_DELAY) if _DELAY in names else len(names)
    repeated = min((names.index(name) for name in (_CLASS_NAME, _GRAPH) if name in names), default=len(names))
    if not unit.is_ours or unit.resource.kind == SELDON or delay >= repeated:
        return variables
    if variables[delay].text("value") != str(DRAIN_SECONDS):
        return variables
    rest = variables[delay + 1 :]
    value = rest[0].get("value") if names[delay + 1 : delay + 2] == [_GRACE] else None
    number = value.text() if value else ""
    if value is not None and re.fullmatch(r"[0-9.]{1,9}", number) and number.count(".") < 2:
        seconds = round(float(number) - DRAIN_SECONDS, 6)
        label = f"env {_GRACE}, without the delay"
        path = ("server", "shutdown", "grace_seconds")
        gathered.add(path, int(seconds) if seconds.is_integer() else seconds, value.position(), label, Rank.DEPLOYMENT)
        rest = rest[1:]
    return [*variables[:delay], *rest]


def _printable(text: str) -> str:
    """Return the name of an image on one line; empty if it contains credentials."""
    return "" if is_secret("", text) else "".join(c if c.isprintable() else "?" for c in text)[:200]


def _name_of(variable: Tree) -> str:
    return variable.text("name")


def read_variables(
    variables: Iterable[Tree], gathered: Gathered, name_of: Callable[[Tree], str] = _name_of
) -> dict[str, str]:
    """Add the variables of a container; return the texts that others can refer to.

    Args:
        variables: with their names and values.
        gathered: what they are added to.
        name_of: returns the name by which a variable is read.
    """
    known: dict[str, str] = {}
    for variable in variables:
        _read_variable(variable, known, gathered, name_of(variable))
    return known


def _read_variable(variable: Tree, known: dict[str, str], gathered: Gathered, name: str) -> None:
    """Read a variable of the container: a value, or a reference to a resource of the cluster."""
    name_tree = variable.get("name")
    if name_tree is None or not name:
        return
    label = f"env {variable.text('name')}"
    value = variable.get("value")
    if variable.get("valueFrom", "secretKeyRef"):
        add_reference(name, name_tree.position(), label, gathered)
    elif variable.get("valueFrom"):
        gathered.leave_out(name_tree.position(), label, _STAYS)
    else:
        text = value.text() if value else ""
        names = [match["name"] for match in _REFERENCE.finditer(text) if match["name"] is not None]
        if any(each not in known for each in names):
            gathered.leave_out(name_tree.position(), label, _STAYS)
            return
        text = _REFERENCE.sub(lambda match: known[match["name"]] if match["name"] else "$", text)
        if not is_secret(name, text):
            known[name] = text
        place = value.position() if value else name_tree.position()
        add_variable(gathered, name, text, place, label, Rank.DEPLOYMENT)


def add_reference(name: str, position: Position, label: str, gathered: Gathered) -> None:
    """Add a reference to a variable from a Secret if the class reads it; else leave it to the deployment."""
    aside = Gathered()
    add_variable(aside, name, "", position, label, Rank.DEPLOYMENT)
    if any(candidate.path[0] == "variable" for candidate in aside.candidates):
        value = {"from_env": name}
        gathered.candidates += [
            replace(candidate, value=value, label=f"{label}, a Secret") for candidate in aside.candidates
        ]
    else:
        gathered.leave_out(position, label, _STAYS)


def _read_command(unit: Unit, container: Tree, known: dict[str, str], gathered: Gathered) -> None:
    """Read ``command`` and ``args``, which override those of the image, if they start the old server."""
    trees = [tree for key in ("command", "args") if (tree := container.get(key)) is not None]
    texts = [word.text() for tree in trees for word in tree.items()]
    if not texts:
        return
    position = trees[0].position()
    if unit.is_ours and texts[:2] == ["seldon-spec", "serve"]:
        return
    if any(PROGRAM in text for text in texts):
        words = [
            Word(_REFERENCE.sub(lambda match: known.get(match["name"] or "", match[0]), text), 0) for text in texts
        ]
        read_command(Command(_unwrap(words, known), position, Rank.DEPLOYMENT), gathered)
    gathered.leave_out(position, "command", "it overrides the command of the image: remove it from the manifest")


def _unwrap(words: list[Word], known: dict[str, str]) -> list[Word]:
    """Return the words of the script, if the command is a shell with ``-c``."""
    script = find_script(words)
    if script is None:
        return words
    try:
        return read_words(script, known, is_shell=True)
    except UnclosedQuote:
        return words


def _report_rest(unit: Unit, gathered: Gathered) -> None:
    protocol = unit.resource.tree.get("spec", "protocol") or unit.predictor_tree.get("protocol")
    if protocol is not None and protocol.text() not in _PROTOCOLS:
        why = f"the protocols seldon and v2 are served, not {_printable(protocol.text())}"
        gathered.leave_out(protocol.position(), "protocol", why)
    for key in () if unit.is_prepackaged() else ("envSecretRefName", "modelUri"):
        tree = unit.graph.get(key)
        if tree is not None and tree.text():
            gathered.leave_out(tree.position(), f"graph.{key}", "it stays in the SeldonDeployment")
