"""Describe a class by its body: methods, arguments of ``__init__``, and signatures."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from seldon_spec.config.checks.python_source import Module, assigned_names, flatten
from seldon_spec.errors import Position


@dataclass(frozen=True, slots=True)
class Argument:
    """A named argument of ``__init__``."""

    name: str
    annotation: str | None
    is_required: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """The number of arguments of a method, without ``self``.

    Attributes:
        position: the position of the method's name.
        least: the number of positional arguments without a default.
        most: the number of positional arguments; None: unlimited.
        required: names of keyword-only arguments without a default.
    """

    position: Position
    least: int
    most: int | None
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassSource:
    """The class as the files of the folder define it.

    Attributes:
        position: the position of the class's name.
        hooks: the known names of the class: methods, class attributes, attributes set on ``self``.
        takes_meta: the methods that take an argument ``meta``.
        is_whole: False if a base, a decorator or ``__getattr__`` may add hooks.
        arguments: the arguments of ``__init__`` without ``self``; None if they are unknown.
        takes_any: ``__init__`` has ``**kwargs``.
        signatures: the signatures of methods without unknown decorators, by name.
    """

    name: str
    position: Position
    hooks: frozenset[str] = frozenset()
    takes_meta: frozenset[str] = frozenset()
    is_whole: bool = True
    arguments: tuple[Argument, ...] | None = ()
    takes_any: bool = False
    signatures: Mapping[str, Signature] = field(default_factory=dict)


def describe_body(module: Module, node: ast.ClassDef) -> ClassSource:
    """Describe a class by its body alone, without its bases."""
    hooks: set[str] = set()
    takes_meta: set[str] = set()
    init: ast.FunctionDef | None = None
    for statement in flatten(node.body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            hooks.add(statement.name)
            hooks |= set(_set_on_self(statement))
            if _takes_meta(statement):
                takes_meta.add(statement.name)
            if statement.name == "__init__" and isinstance(statement, ast.FunctionDef):
                init = statement
        else:
            hooks.update(assigned_names(statement))
            if isinstance(statement, ast.ImportFrom):
                hooks.update(alias.asname or alias.name for alias in statement.names)
    is_plain = not node.keywords and not hooks & {"__getattr__", "__getattribute__", "__new__"}
    is_dataclass = any(_decorator_name(d) == "dataclass" for d in node.decorator_list)
    is_whole = is_plain and all(_decorator_name(d) == "dataclass" for d in node.decorator_list)
    arguments: tuple[Argument, ...] | None
    takes_any = False
    if init is not None:
        arguments = tuple(_arguments(init)) if not init.decorator_list else None
        takes_any = init.args.kwarg is not None
    elif is_dataclass:
        arguments = None if node.bases else tuple(_field_arguments(node))  # inherited fields are not read
    else:
        arguments = ()
    if not is_whole:
        arguments = None
    if _is_pydantic(module, node) and init is None and not node.keywords:
        arguments, takes_any = tuple(_field_arguments(node)), True
    position = Position(module.file, node.lineno, *_name_span(module, node))
    signatures = _signatures(module, node)
    names = frozenset(hooks)
    return ClassSource(node.name, position, names, frozenset(takes_meta), is_whole, arguments, takes_any, signatures)


def _signatures(module: Module, node: ast.ClassDef) -> dict[str, Signature]:
    """Return the signatures of methods without unknown decorators that no later assignment replaces."""
    signatures: dict[str, Signature] = {}
    for statement in flatten(node.body):
        names = [statement.name] if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) else ()
        for name in names or assigned_names(statement):
            signatures.pop(name, None)
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and all(
            _decorator_name(d) in ("staticmethod", "classmethod") for d in statement.decorator_list
        ):
            signatures[statement.name] = _signature(module, statement)
    methods = (s for s in flatten(node.body) if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef)))
    on_self = {name for method in methods for name in _set_on_self(method)}
    return {name: signature for name, signature in signatures.items() if name not in on_self}


def _is_pydantic(module: Module, node: ast.ClassDef) -> bool:
    """Return whether the only base of the class is pydantic's ``BaseModel``."""
    base = node.bases[0] if len(node.bases) == 1 else None
    if isinstance(base, ast.Attribute):
        return ast.unparse(base) == "pydantic.BaseModel"
    return isinstance(base, ast.Name) and module.imports.get(base.id) == ("pydantic", "BaseModel")


def _field_arguments(node: ast.ClassDef) -> Iterator[Argument]:
    """Yield the arguments that a dataclass or pydantic model has for its fields."""
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        annotation, value, name = ast.unparse(statement.annotation), statement.value, statement.target.id
        if "ClassVar" in annotation or "KW_ONLY" in annotation or "PrivateAttr" in annotation or name == "model_config":
            continue
        given: dict[str | None, ast.expr] = {}
        if isinstance(value, ast.Call) and _decorator_name(value) in ("field", "Field"):
            given = {keyword.arg: keyword.value for keyword in value.keywords}
            is_required = not {"default", "default_factory", "alias", "validation_alias", None} & set(given)
            is_required = is_required and (not value.args or _is_ellipsis(value.args[0]))
        else:
            is_required = value is None or _is_ellipsis(value)
        if not (isinstance(given.get("init"), ast.Constant) and ast.unparse(given["init"]) == "False"):
            yield Argument(name, annotation, is_required)


def _is_ellipsis(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Constant) and expression.value is ...


def _signature(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    args = function.args
    is_static = any(_decorator_name(d) == "staticmethod" for d in function.decorator_list)
    positional = len(args.posonlyargs) + len(args.args)
    own = 0 if is_static or (positional == 0 and args.vararg is not None) else 1
    keywords = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    return Signature(
        Position(module.file, function.lineno, *_name_span(module, function)),
        max(0, positional - len(args.defaults) - own),
        None if args.vararg is not None else positional - own,
        tuple(argument.arg for argument, default in keywords if default is None),
    )


def _takes_meta(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a method takes ``X, names, meta=…``."""
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    if len(positional) < len(("self", "X", "names")) and args.vararg is None:
        return False
    by_name = {argument.arg for argument in (*positional[3:], *args.kwonlyargs)}
    return args.kwarg is not None or "meta" in by_name - {argument.arg for argument in args.posonlyargs}


def _name_span(module: Module, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[int, int, str]:
    text = module.lines[node.lineno - 1] if node.lineno <= len(module.lines) else ""
    column = text.find(node.name, node.col_offset)
    return max(column, 0) + 1, len(node.name), text


def _decorator_name(expression: ast.expr) -> str:
    if isinstance(expression, ast.Call):
        expression = expression.func
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def _set_on_self(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield the attributes that a method sets on its first argument; a hook may be one of them."""
    positional = [*function.args.posonlyargs, *function.args.args]
    if not positional:
        return
    self_name = positional[0].arg
    for node in ast.walk(function):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name, ctx=ast.Store()) if owner == self_name:
                yield name


def _arguments(init: ast.FunctionDef) -> Iterator[Argument]:
    args = init.args
    positional = [*args.posonlyargs, *args.args]
    first_default = len(positional) - len(args.defaults)
    for index, argument in enumerate(positional):
        if index >= max(
            1, len(args.posonlyargs)
        ):  # without self and positional-only arguments, which cannot be passed by name
            yield _argument(argument, is_required=index < first_default)
    for argument, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _argument(argument, is_required=default is None)


def _argument(argument: ast.arg, *, is_required: bool) -> Argument:
    annotation = ast.unparse(argument.annotation) if argument.annotation else None
    return Argument(argument.arg, annotation, is_required)
