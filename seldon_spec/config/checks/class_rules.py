"""Rules of the user's class: it exists, has the hooks of its service type, and takes the parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from seldon_spec.config.checks.class_body import ClassSource, Signature
from seldon_spec.config.checks.class_source import NoClass, NoModule
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.python_source import BadSource
from seldon_spec.config.checks.tensor_rules import INFER_ARGUMENTS, uses_infer
from seldon_spec.config.model import REFERENCE_KEYS, ServiceType
from seldon_spec.config.schema.describe import show_value
from seldon_spec.config.schema.lookup import is_sensitive
from seldon_spec.config.schema.suggest import guess
from seldon_spec.config.secret_names import HIDDEN
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Severity

HOOKS = {
    ServiceType.MODEL: ("predict", "predict_raw", "predict_rest", "predict_grpc"),
    ServiceType.OUTLIER_DETECTOR: ("predict", "predict_raw", "predict_rest", "predict_grpc", "score"),
    ServiceType.ROUTER: ("route", "route_raw", "route_rest", "route_grpc"),
    ServiceType.COMBINER: ("aggregate", "aggregate_raw", "aggregate_rest", "aggregate_grpc"),
    ServiceType.TRANSFORMER: tuple(
        f"transform_{side}{spelling}" for side in ("input", "output") for spelling in ("", "_raw", "_rest", "_grpc")
    ),
}
"""The hooks by service type, of which a class needs one (contract section 3.3)."""

MISSPELT = "did you mean to name"
"""The start of the help of ``no-hook`` for a method with a similar name."""

_PREDICTING = (ServiceType.MODEL, ServiceType.OUTLIER_DETECTOR)
_REQUIRED = (ServiceType.ROUTER, ServiceType.COMBINER)


def check_class_exists(context: RuleContext) -> Iterator[Diagnostic]:
    """Report a module or class that is not in the folder, or has a syntax error."""
    found, origin = context.class_source, context.origin("class_name")
    name = context.values.get(("class_name",))
    path = ("class_name",)
    if isinstance(found, NoModule):
        yield from _report_no_module(context, found, name)
    elif isinstance(found, NoClass):
        prefix = name.rpartition(".")[0] or name
        # "MyModel.py" is the name of the file, not of the class
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
        position = context.locate(found.position)
        yield Diagnostic(
            "python-syntax",
            f"{found.position.file} is not Python: {found.reason}",
            Origin(OriginKind.FILE, position.file, position),
            path=path,
        )


def _report_no_module(context: RuleContext, found: NoModule, name: str) -> Iterator[Diagnostic]:
    """Report a module that is not in the folder: an error unless it may be an installed package."""
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
            context.origin("class_name"),
            Severity.WARNING,
            ("class_name",),
            found=f"no {file}",
            help="OK if the image installs a package of that name; the class is then not checked",
        )
        return
    yield Diagnostic(
        "no-such-module",
        f'class_name: the folder has no module "{found.module}"',
        context.origin("class_name"),
        path=("class_name",),
        found=f"no {file}; modules here: {', '.join(found.modules[:8]) or 'none'}",
        allowed="a class in a module of the folder, e.g. MyModel for class MyModel in MyModel.py",
        help=f'did you mean "{suggestions[0]}"?' if suggestions else f"write class {class_name} into {file}",
    )


def check_service_type(context: RuleContext) -> Iterator[Diagnostic]:
    """Report a class without a hook of its service type."""
    found = context.class_source
    if not isinstance(found, ClassSource) or not found.is_whole:
        return
    service_type = ServiceType(context.values.get(("service_type",)) or "MODEL")
    hooks = HOOKS[service_type]
    if found.hooks.intersection(hooks) or (service_type in _PREDICTING and uses_infer(context, found) is not False):
        return
    is_required = service_type in _REQUIRED
    key = "service_type" if ("service_type",) in context.values.origins else "class_name"
    near = guess(hooks[0], (h for h in found.hooks if not h.startswith("_")))
    other = next((t.value for t, names in HOOKS.items() if found.hooks.intersection(names)), None)
    effect = "every request would fail" if is_required else _EFFECTS[service_type]
    yield Diagnostic(
        "no-hook",
        f"{found.name} has no {hooks[0]} method, which a {service_type.value} needs: {effect}",
        context.origin(key),
        Severity.ERROR if is_required else Severity.WARNING,
        (key,),
        allowed=f"one of {', '.join(hooks)}",
        related=(("the class", context.locate(found.position)),),
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
"""The minimum and maximum number of arguments that each hook is called with, and the possible keywords."""


def check_signatures(context: RuleContext) -> Iterator[Diagnostic]:
    """Report methods that need more arguments than a call passes, or take fewer."""
    found = context.class_source
    if not isinstance(found, ClassSource):
        return
    for name, signature in found.signatures.items():
        if name == "infer" and uses_infer(context, found):
            yield from _check_infer_signature(context, found, signature)
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
                context.origin("class_name"),
                path=("class_name",),
                related=(("the method", context.locate(signature.position)),),
                help=f"write def {name}(self, {wanted})" if least else f"write def {name}(self)",
            )


def _check_infer_signature(context: RuleContext, found: ClassSource, signature: Signature) -> Iterator[Diagnostic]:
    """Report an ``infer`` that does not take the inputs, or requires arguments that are not passed."""
    required = {*signature.required, *(argument.name for argument in signature.arguments[1:] if argument.is_required)}
    takes_less = signature.most == 0
    if takes_less or not required <= INFER_ARGUMENTS:
        yield Diagnostic(
            "hook-signature",
            f"{found.name}.infer cannot be called: it {'takes too few' if takes_less else 'needs too many'} arguments",
            context.origin("class_name"),
            path=("class_name",),
            related=(("the method", context.locate(signature.position)),),
            help="write def infer(self, inputs, parameters=None, context=None)",
        )


def check_parameters(context: RuleContext) -> Iterator[Diagnostic]:
    """Report parameters that ``__init__`` does not take, and arguments without a value."""
    found = context.class_source
    if not isinstance(found, ClassSource) or found.arguments is None:
        return
    given: dict[str, Any] = context.values.get(("parameters",)) or {}
    known = [argument.name for argument in found.arguments]
    related = (("the class", context.locate(found.position)),)
    guessed: set[str | None] = set()
    for name in given:
        if name not in known and not found.takes_any:
            match = guess(name, [n for n in known if n not in given])
            guessed.add(match)
            yield Diagnostic(
                "unknown-argument",
                f'{found.name}.__init__ has no argument "{name}"',
                context.key_origin("parameters", name),
                path=("parameters", name),
                allowed=", ".join(known) or "no parameters, since __init__ takes none",
                help=f'did you mean "{match}"?' if match else None,
                related=related,
            )
    key = "parameters" if ("parameters",) in context.values.origins else "class_name"
    for argument in found.arguments:
        if argument.is_required and argument.name not in given and argument.name not in guessed:
            yield Diagnostic(
                "missing-argument",
                f'{found.name}.__init__ needs "{argument.name}", which has no value',
                context.origin(key),
                Severity.WARNING,
                ("parameters", argument.name),
                help=f"add {argument.name} to parameters, unless the SeldonDeployment sets it",
                related=related,
            )


def check_parameter_types(context: RuleContext) -> Iterator[Diagnostic]:
    """Report values in the file that do not match a plain annotation. Values from variables are not checked."""
    found = context.class_source
    if not isinstance(found, ClassSource) or found.arguments is None:
        return
    for argument in found.arguments:
        value = context.values.get(("parameters", argument.name))
        origin = context.values.origins.get(("parameters", argument.name))
        if origin is None or origin.kind is not OriginKind.FILE or argument.annotation is None:
            continue
        types = plain_types(argument.annotation)
        if types is not None and not _is_one_of(value, types):
            yield Diagnostic(
                "argument-type",
                f'{found.name}.__init__ annotates "{argument.name}" as {argument.annotation}',
                origin,
                path=("parameters", argument.name),
                found=HIDDEN if is_sensitive(("parameters", argument.name)) else show_value(value),
                related=(("the class", context.locate(found.position)),),
            )


def _is_one_of(value: object, types: frozenset[type]) -> bool:
    if isinstance(value, dict) and value and REFERENCE_KEYS.issuperset(value):
        return str in types
    if isinstance(value, int) and not isinstance(value, bool) and float in types:
        return True
    return type(value) in types


_PLAIN_TYPES: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
_ALIASES = {"List": "list", "Dict": "dict"}


def plain_types(annotation: str) -> frozenset[type] | None:
    """Return the built-in types of an annotation; None for any other annotation."""
    try:
        expression = ast.parse(annotation.strip("'\""), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return None
    return _types_in(expression)


def _types_in(expression: ast.expr) -> frozenset[type] | None:
    match expression:
        case ast.Constant(value=None):
            return frozenset({type(None)})
        case ast.Name(id=name) if _ALIASES.get(name, name) in _PLAIN_TYPES:
            return frozenset({_PLAIN_TYPES[_ALIASES.get(name, name)]})
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            types = _types_in(inner)
            return None if types is None else types | {type(None)}
        case ast.Subscript(value=ast.Name(id=name)) if _ALIASES.get(name, name) in ("list", "dict"):
            return frozenset({_PLAIN_TYPES[_ALIASES.get(name, name)]})
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            one, other = _types_in(left), _types_in(right)
            return None if one is None or other is None else one | other
    return None
