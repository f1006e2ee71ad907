"""Rules that need more than one value, or the folder: judged on the file, the variables and the flags together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from seldon_spec.config.checks.class_source import (
    BadSource,
    ClassSource,
    NoClass,
    NoModule,
    SourcePlace,
    plain_types,
)
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.image_rules import find_image_problems
from seldon_spec.config.checks.server_rules import find_server_problems
from seldon_spec.config.layers.environment import PREFIX
from seldon_spec.config.layers.variables import TABLE, known_variables
from seldon_spec.config.masking import find_literals
from seldon_spec.config.model import PortsSpec, ServiceType
from seldon_spec.config.schema.schema import field_schema, guess, is_sensitive, join, show_value, takes_any_key
from seldon_spec.config.secret_names import HIDDEN
from seldon_spec.config.yaml.source import Node
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Position, Severity

HOOKS = {
    ServiceType.MODEL: ("predict", "predict_raw", "predict_rest", "predict_grpc"),
    ServiceType.OUTLIER_DETECTOR: ("predict", "predict_raw", "predict_rest", "predict_grpc", "score"),
    ServiceType.ROUTER: ("route", "route_raw", "route_rest", "route_grpc"),
    ServiceType.COMBINER: ("aggregate", "aggregate_raw", "aggregate_rest", "aggregate_grpc"),
    ServiceType.TRANSFORMER: tuple(
        f"transform_{side}{spelling}" for side in ("input", "output") for spelling in ("", "_raw", "_rest", "_grpc")
    ),
}
"""The hooks of which a class needs one, for each service type; every spelling of contract section 3.3 counts."""

MISSPELT = "did you mean to name"
"""How the help of ``no-hook`` begins where a method's name is nearly that of a hook."""

_REFUSES_EVERY_CALL = (ServiceType.ROUTER, ServiceType.COMBINER)


def check_rules(subject: RuleContext, wrong: frozenset[FieldPath]) -> list[Diagnostic]:
    """Every rule's findings, but for fields in ``wrong``: their value is refused already."""
    rules = (
        _class_is_named,
        _class_is_there,
        _class_fits,
        _hooks_can_be_called,
        _parameters_fit,
        _literals_fit,
        _ports_differ,
        find_image_problems,
        find_server_problems,
        _environment_is_free,
        _secrets_are_referred_to,
        _settings_have_effect,
        _booleans_are_meant,
        _texts_are_meant,
        _seconds_are_meant,
    )
    findings = [finding for rule in rules for finding in rule(subject)]
    return [f for f in findings if not any(f.path[: len(path)] == path for path in wrong)]


def _class_is_named(subject: RuleContext) -> Iterator[Diagnostic]:
    if subject.merged.get(("class_name",)) is None:
        yield Diagnostic(
            "missing-key",
            'there is no "class_name"',
            subject.document.origin(subject.document.start()),
            path=("class_name",),
            allowed="the name of a class, e.g. MyModel or pkg.module.Class",
            help="add class_name: …, or set MODEL_NAME",
        )


def _class_is_there(subject: RuleContext) -> Iterator[Diagnostic]:
    found, origin = subject.class_source, subject.origin("class_name")
    name = subject.merged.get(("class_name",))
    path = ("class_name",)
    if isinstance(found, NoModule):
        yield from _no_module(subject, found, name)
    elif isinstance(found, NoClass):
        prefix = name.rpartition(".")[0] or name
        # "MyModel.py" is the file's name where the class's is wanted
        match = prefix if found.name == "py" and prefix in found.classes else guess(found.name, found.classes)
        yield Diagnostic(
            "no-such-class",
            f'class_name: {found.file} defines no class "{found.name}"',
            origin,
            path=path,
            found=f"in {found.file}: {', '.join(found.classes) or 'no class'}",
            help=f'did you mean "{match if match == prefix else f"{prefix}.{match}"}"?' if match else None,
        )
    elif isinstance(found, BadSource):
        position = _position(subject, found.place)
        yield Diagnostic(
            "python-syntax",
            f"{found.place.file} is not Python: {found.reason}",
            Origin(OriginKind.FILE, position.file, position),
            path=path,
        )


def _no_module(subject: RuleContext, found: NoModule, name: str) -> Iterator[Diagnostic]:
    """A module that is not in the folder: an error, unless it may be an installed package's."""
    class_name = name.rpartition(".")[2]
    match = guess(found.module, found.modules)
    suggestions = [f"{home}.{class_name}" for home in found.homes]
    if match:
        suggestions.append(f"{match}.{class_name}" if "." in name else match)
    file = f"{found.module.replace('.', '/')}.py"
    if "." in name and not suggestions and not found.is_package_here:
        yield Diagnostic(
            "module-not-seen",
            f'class_name: the folder has no module "{found.module}"',
            subject.origin("class_name"),
            Severity.WARNING,
            ("class_name",),
            found=f"no {file}",
            help="fine if the image installs a package of that name; the class is not checked then",
        )
        return
    yield Diagnostic(
        "no-such-module",
        f'class_name: the folder has no module "{found.module}"',
        subject.origin("class_name"),
        path=("class_name",),
        found=f"no {file}; modules here: {', '.join(found.modules[:8]) or 'none'}",
        allowed="a class in a module of the folder: MyModel is class MyModel in MyModel.py",
        help=f'did you mean "{suggestions[0]}"?' if suggestions else f"write class {class_name} into {file}",
    )


def _class_fits(subject: RuleContext) -> Iterator[Diagnostic]:
    found = subject.class_source
    if not isinstance(found, ClassSource) or not found.is_whole:
        return
    service_type = ServiceType(subject.merged.get(("service_type",)) or "MODEL")
    hooks = HOOKS[service_type]
    if found.hooks.intersection(hooks):
        return
    refuses = service_type in _REFUSES_EVERY_CALL
    key = "service_type" if ("service_type",) in subject.merged.origins else "class_name"
    near = guess(hooks[0], (h for h in found.hooks if not h.startswith("_")))
    other = next((t.value for t, names in HOOKS.items() if found.hooks.intersection(names)), None)
    effect = "every call would be refused" if refuses else _EFFECTS[service_type]
    yield Diagnostic(
        "no-hook",
        f"{found.name} has no {hooks[0]} method, which a {service_type.value} needs: {effect}",
        subject.origin(key),
        Severity.ERROR if refuses else Severity.WARNING,
        (key,),
        allowed=f"one of {', '.join(hooks)}",
        related=(("the class", _position(subject, found.place)),),
        help=f"did you mean service_type: {other}?"
        if other
        else f'{MISSPELT} "{near}" "{hooks[0]}"?'
        if near
        else None,
    )


_EFFECTS = {
    ServiceType.MODEL: "every prediction would return an empty array",
    ServiceType.OUTLIER_DETECTOR: "every prediction would return an empty array",
    ServiceType.TRANSFORMER: "every request would be returned unchanged",
}


_CALLED_WITH: Mapping[str, tuple[int, int, frozenset[str]]] = {
    **{name: (1, 3, frozenset({"meta"})) for name in ("predict", "transform_input", "transform_output", "score")},
    **{name: (1, 3, frozenset({"meta"})) for name in ("route", "aggregate")},
    "send_feedback": (1, 5, frozenset({"routing", "meta"})),
    **{name: (0, 0, frozenset()) for name in ("load", "tags", "metrics", "init_metadata", "health_status")},
}
"""The least and the most values that each hook is called with, and the keywords that it may get."""


def _hooks_can_be_called(subject: RuleContext) -> Iterator[Diagnostic]:
    """Methods that need more than any call gives them, or can be given nothing."""
    found = subject.class_source
    if not isinstance(found, ClassSource):
        return
    for name, signature in found.signatures.items():
        if name not in _CALLED_WITH:
            continue
        least, most, keywords = _CALLED_WITH[name]
        takes_less = signature.most is not None and signature.most < least
        if takes_less or signature.least > most or not keywords.issuperset(signature.required):
            wanted = (
                "features, names, reward, truth, routing=None" if name == "send_feedback" else "X, names, meta=None"
            )
            amount = "takes too few" if takes_less else "needs too many"
            yield Diagnostic(
                "hook-signature",
                f"{found.name}.{name} cannot be called: it {amount} arguments",
                subject.origin("class_name"),
                path=("class_name",),
                related=(("the method", _position(subject, signature.place)),),
                help=f"write def {name}(self, {wanted})" if least else f"write def {name}(self)",
            )


def _parameters_fit(subject: RuleContext) -> Iterator[Diagnostic]:
    found = subject.class_source
    if not isinstance(found, ClassSource) or found.arguments is None:
        return
    given: dict[str, Any] = subject.merged.get(("parameters",)) or {}
    known = [argument.name for argument in found.arguments]
    place = (("the class", _position(subject, found.place)),)
    guessed: set[str | None] = set()
    for name in given:
        if name not in known and not found.takes_any:
            match = guess(name, [n for n in known if n not in given])
            guessed.add(match)
            yield Diagnostic(
                "unknown-argument",
                f'{found.name}.__init__ has no argument "{name}"',
                subject.key_origin("parameters", name),
                path=("parameters", name),
                allowed=", ".join(known) or "no parameters: __init__ takes none",
                help=f'did you mean "{match}"?' if match else None,
                related=place,
            )
    key = "parameters" if ("parameters",) in subject.merged.origins else "class_name"
    for argument in found.arguments:
        if argument.is_required and argument.name not in given and argument.name not in guessed:
            yield Diagnostic(
                "missing-argument",
                f'{found.name}.__init__ needs "{argument.name}", which has no value',
                subject.origin(key),
                Severity.WARNING,
                ("parameters", argument.name),
                help=f"add {argument.name} to parameters, unless the SeldonDeployment sets it at run time",
                related=place,
            )


def _literals_fit(subject: RuleContext) -> Iterator[Diagnostic]:
    """Values that the file writes out and that cannot be what a plain annotation says.

    Only the file's: a SeldonDeployment sends what it sends, and Python itself checks no annotation.
    """
    found = subject.class_source
    if not isinstance(found, ClassSource) or found.arguments is None:
        return
    for argument in found.arguments:
        value = subject.merged.get(("parameters", argument.name))
        origin = subject.merged.origins.get(("parameters", argument.name))
        if origin is None or origin.kind is not OriginKind.FILE or argument.annotation is None:
            continue
        types = plain_types(argument.annotation)
        if types is not None and not _is_one_of(value, types):
            yield Diagnostic(
                "argument-type",
                f'{found.name}.__init__ says that "{argument.name}" is {argument.annotation}',
                origin,
                path=("parameters", argument.name),
                found=HIDDEN if is_sensitive(("parameters", argument.name)) else show_value(value),
                related=(("the class", _position(subject, found.place)),),
            )


def _is_one_of(value: object, types: frozenset[type]) -> bool:
    if isinstance(value, dict) and set(value) <= {"from_env", "from_file"} and value:
        return str in types
    if isinstance(value, int) and not isinstance(value, bool) and float in types:
        return True
    return type(value) in types


def _ports_differ(subject: RuleContext) -> Iterator[Diagnostic]:
    defaults = PortsSpec()
    ports = {key: _or_default(subject, "ports", key, getattr(defaults, key)) for key in ("http", "grpc", "metrics")}
    seen: dict[int, str] = {}
    for key, port in ports.items():
        if port is None:
            continue
        if port in seen:
            later, first = (key, seen[port]) if _is_set(subject, "ports", key) else (seen[port], key)
            yield Diagnostic(
                "port-clash",
                f"ports.{later} and ports.{first} are the same port",
                subject.origin("ports", later),
                path=("ports", later),
                found=str(port),
                notes=(f"ports.{first} is {port}: {subject.merged.origins.get(('ports', first), 'its default')}",),
                help="give each its own port" + (", or grpc: null" if "grpc" in (later, first) else ""),
            )
        seen.setdefault(port, key)


def _is_set(subject: RuleContext, *path: str) -> bool:
    return path in subject.merged.origins


def _or_default(subject: RuleContext, section: str, key: str, default: object) -> Any:
    return subject.merged.get((section, key)) if _is_set(subject, section, key) else default


def _environment_is_free(subject: RuleContext) -> Iterator[Diagnostic]:
    """Names that the loader reads have a key of their own: set here, they would come too late to be read."""
    shared = {row.name for row in TABLE if row.is_shared}
    known = {name: path for name, path in known_variables().items() if name not in shared}
    for name in subject.merged.get(("environment",)) or {}:
        if name in known or name.startswith(PREFIX):
            key = join(known[name]) if name in known else join(tuple(name[len(PREFIX) :].lower().split("__")))
            instead = f"use the key {key}" if not key.startswith("unit.") else "only the operator sets it"
            yield Diagnostic(
                "reserved-variable",
                f"{name} cannot stand in environment: the loader reads it itself",
                subject.key_origin("environment", name),
                path=("environment", name),
                help=instead,
            )


def _secrets_are_referred_to(subject: RuleContext) -> Iterator[Diagnostic]:
    for path, origin in subject.merged.origins.items():
        holder = field_schema(path[:-1])
        is_own_name = holder is not None and takes_any_key(holder)
        if origin.kind is not OriginKind.FILE or not (is_own_name or path[:-1] == ("flask",)):
            continue
        for at, _ in find_literals(path, subject.merged.get(path)):
            yield Diagnostic(
                "literal-secret",
                f"{join(at)} looks like a secret that is written out",
                origin if at == path else subject.item_origin(*at),
                Severity.WARNING,
                at,
                help="an image shows it to all who can pull it: set it in environment, by reference"
                if path[0] == "image"
                else "refer to it: {from_env: NAME} or {from_file: PATH}",
            )


def _settings_have_effect(subject: RuleContext) -> Iterator[Diagnostic]:
    path = ("flask", "PRESERVE_CONTEXT_ON_EXCEPTION")
    if _is_set(subject, *path):
        yield Diagnostic(
            "dropped-setting",
            "flask.PRESERVE_CONTEXT_ON_EXCEPTION has no effect",
            subject.origin(*path),
            Severity.NOTE,
            path,
            help="Flask dropped it in 2.3; delete the line",
        )


def _booleans_are_meant(subject: RuleContext) -> Iterator[Diagnostic]:
    """``yes``, ``no``, ``on`` and ``off`` where any type may stand, and so no other finding would tell."""
    for path, node in subject.document.scalars():
        is_word = node.is_plain and isinstance(node.value, bool) and node.text.lower() not in ("true", "false")
        if not is_word or path[:1] != ("parameters",) or _is_typed_boolean(subject, path):
            continue
        yield Diagnostic(
            "yaml-boolean",
            f"{join(path)}: YAML reads {node.text} as {str(node.value).lower()}",
            subject.document.origin(node.position),
            Severity.WARNING,
            path,
            help=f'write "{node.text}" in quotes, or {str(node.value).lower()}',
        )


_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+")
_NOT_EXPANDED = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*($|/)|.*\$(\{[A-Za-z_]\w*\}|\([A-Za-z_]\w*\))")
_VERSIONS = frozenset({"ver", "version", "release", "tag", "python"})


def _texts_are_meant(subject: RuleContext) -> Iterator[Diagnostic]:
    """Values of parameters and variables that YAML reads, or leaves, as something else than they look like."""
    for path, node in subject.document.scalars():
        if path[:1] not in (("parameters",), ("environment",)) or path[-1] in ("from_env", "from_file"):
            continue
        value, origin = node.value, subject.document.origin(node.position)
        if isinstance(value, str) and _NOT_EXPANDED.match(value):
            message = f"{join(path)}: {node.text} is not expanded"
            remedy = "write {from_env: NAME} for the value of a variable"
            yield Diagnostic("not-expanded", message, origin, Severity.WARNING, path, help=remedy)
            continue
        surprise = _find_surprise(path, node)
        if surprise is not None:
            message, remedy = surprise
            yield Diagnostic("yaml-surprise", f"{join(path)}: {message}", origin, Severity.WARNING, path, help=remedy)


def _find_surprise(path: FieldPath, node: Node) -> tuple[str, str] | None:
    """What YAML makes of a value, and how to write what was most likely meant."""
    text, value = node.text, node.value
    if isinstance(value, str) and not node.is_plain and re.match(r"[A-Za-z]:[\a\b\t\n\v\f\r]", value):
        return "in double quotes a backslash begins an escape", "use single quotes, or double each backslash"
    if not node.is_plain or path[0] != "parameters":
        return None
    is_version = path[-1].lower().rpartition("_")[2] in _VERSIONS
    if isinstance(value, float) and is_version and repr(value) != text:
        return f"YAML reads {text} as the number {value}", f'write it in quotes: "{text}"'
    if isinstance(value, str) and _FLOAT.fullmatch(value):
        return f"YAML 1.1 reads {text} as text", f"write {_with_point(text)}, or put it in quotes"
    return _NULL_WORDS.get(text)


_NULL_WORDS = {
    "None": ("YAML reads None as text", 'write null, or "None" in quotes'),
    "~": ("YAML reads ~ as null", 'write null, or "~" in quotes'),
}


def _with_point(text: str) -> str:
    """A number with an exponent as YAML 1.1 knows it: with a point, and a sign in the exponent."""
    number, _, exponent = text.lower().partition("e")
    return f"{number if '.' in number else f'{number}.0'}e{exponent if exponent[0] in '+-' else f'+{exponent}'}"


def _seconds_are_meant(subject: RuleContext) -> Iterator[Diagnostic]:
    """Times that are most likely milliseconds: whole thousands of seconds."""
    for path in [*subject.merged.origins]:
        value = subject.merged.get(path)
        is_time = path[0] == "server" and path[-1].endswith("_seconds") and isinstance(value, (int, float))
        if is_time and value >= 1000 and value % 1000 == 0:
            yield Diagnostic(
                "large-timeout",
                f"{join(path)} is {value} seconds, which is {value / 3600:.1f} hours",
                subject.origin(*path),
                Severity.WARNING,
                path,
                help=f"write {value // 1000:g} if milliseconds are meant",
            )


def _is_typed_boolean(subject: RuleContext, path: FieldPath) -> bool:
    """Whether it is the value of an entry of Seldon's list that says BOOL."""
    kind = subject.document.find((*path[:-1], "type")) if path[-1] == "value" else None
    return kind is not None and kind[1].value == "BOOL"


def _position(subject: RuleContext, place: SourcePlace) -> Position:
    return Position(str(subject.folder / place.file), place.line, place.column, place.width, place.text)
