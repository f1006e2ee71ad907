"""What the sources say of the user's class, read with ``ast``: nothing of the user's is imported or run.

Claims only what can be seen. A class that comes from outside the folder, a base that cannot be followed or a decorator
that could change the class leaves the answer open, and callers then say nothing.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from seldon_spec.config.paths import TooLong, Unreadable, is_file, is_folder, is_inside, read_file

MAX_SOURCE_BYTES = 4 * 1024 * 1024
_MAX_HOPS = 20
_MAX_MODULES = 100


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """A place in one of the folder's source files; ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    width: int
    text: str


@dataclass(frozen=True, slots=True)
class Argument:
    """One named argument of ``__init__``."""

    name: str
    annotation: str | None
    is_required: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """How many values a method can be called with, without ``self``.

    Attributes:
        least: arguments without a default.
        most: positional arguments; None: any number.
        required: names of keyword-only arguments without a default.
    """

    place: SourcePlace
    least: int
    most: int | None
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassSource:
    """The class as far as the folder's files show it.

    Attributes:
        hooks: every name the class is seen to have: methods, class attributes, attributes set on ``self``.
        told_meta: those of the methods that can take an argument ``meta``.
        is_whole: False where a base, a decorator or ``__getattr__`` may add hooks that cannot be seen.
        arguments: of ``__init__``, without ``self``; None where they cannot be seen.
        takes_any: ``__init__`` has ``**kwargs``.
        signatures: of the methods that no unknown decorator changes, by name.
    """

    name: str
    place: SourcePlace
    hooks: frozenset[str] = frozenset()
    told_meta: frozenset[str] = frozenset()
    is_whole: bool = True
    arguments: tuple[Argument, ...] | None = ()
    takes_any: bool = False
    signatures: Mapping[str, Signature] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unseen:
    """The class may exist, but no file of the folder shows it."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoModule:
    """No file of the folder is the module."""

    module: str
    modules: tuple[str, ...]
    """The modules that the folder has."""
    homes: tuple[str, ...] = ()
    """Modules of the folder that define a class of the name asked for."""
    is_package_here: bool = False
    """Whether the folder has the module's first part, so that no installed package can be meant."""


@dataclass(frozen=True, slots=True)
class NoClass:
    """The module is there and does not define the class."""

    file: str
    name: str
    classes: tuple[str, ...]
    """The classes that the module defines."""


@dataclass(frozen=True, slots=True)
class BadSource:
    """A source file that Python cannot read."""

    place: SourcePlace
    reason: str


Finding = ClassSource | Unseen | NoModule | NoClass | BadSource


def split_class_name(class_name: str) -> tuple[str, str]:
    """Module and class of a ``class_name``: ``MyModel`` is MyModel in MyModel.py, else the last dot divides."""
    module, _, name = class_name.rpartition(".")
    return (module or name), name


def read_class(folder: Path, class_name: str) -> Finding:
    """Find the class that ``class_name`` means and say what its source shows."""
    module, name = split_class_name(class_name)
    reader = _Reader(folder)
    path = reader.module_file(module)
    if path is None:
        if is_folder(folder / module.replace(".", "/")):
            return Unseen(f"{module} is a folder without __init__.py")
        top = module.split(".")[0]
        is_here = is_folder(folder / top) or is_file(folder / f"{top}.py")
        return NoModule(module, tuple(sorted(reader.modules())), tuple(reader.homes(name)), is_here)
    return reader.find(path, name, _MAX_HOPS)


@dataclass(slots=True)
class _Module:
    """One parsed file: what its top level binds each name to."""

    file: str
    path: Path
    lines: list[str]
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    """A name to the module and the name that it is imported from; relative modules are made absolute."""
    others: set[str] = field(default_factory=set)
    """Names that are bound in another way: an assignment, a function, an import of a module."""
    is_open: bool = False
    """Whether names may exist that cannot be seen: a star import or a module ``__getattr__``."""


class _Reader:
    """Reads the folder's modules as they are asked for, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache: dict[Path, _Module | BadSource] = {}

    def modules(self) -> Iterator[str]:
        for path in self.folder.glob("*.py"):
            yield path.stem
        for path in self.folder.glob("*/*.py"):
            if not path.parent.name.startswith("."):
                parent = path.parent.name
                yield parent if path.stem == "__init__" else f"{parent}.{path.stem}"

    def homes(self, name: str) -> Iterator[str]:
        for module in sorted(self.modules())[:_MAX_MODULES]:
            path = self.module_file(module)
            content = self.read(path) if path else None
            if isinstance(content, _Module) and name in content.classes:
                yield module

    def module_file(self, module: str) -> Path | None:
        base = self.folder.joinpath(*module.split("."))
        for path in (base / "__init__.py", base.with_name(base.name + ".py")):
            if is_file(path):
                return path
        return None

    def find(self, path: Path, name: str, hops: int) -> Finding:
        module = self.read(path)
        if isinstance(module, BadSource):
            return module
        if name in module.classes:
            return self.describe(module, module.classes[name], hops)
        if name in module.imports and hops:
            source, original = module.imports[name]
            target = self.module_file(source)
            if target is None or target == path:
                return Unseen(f"{name} is imported from {source}, which is not in the folder")
            found = self.find(target, original, hops - 1)
            return found if isinstance(found, (ClassSource, BadSource)) else Unseen(f"{name} is imported from {source}")
        if name in module.others or name in module.imports or module.is_open:
            return Unseen(f"{module.file} binds {name} in a way that cannot be followed")
        return NoClass(module.file, name, tuple(module.classes))

    def read(self, path: Path) -> _Module | BadSource:
        if path not in self.cache:
            self.cache[path] = _read_module(path, self.folder)
        return self.cache[path]

    def describe(self, module: _Module, node: ast.ClassDef, hops: int) -> ClassSource:
        own = _own_part(module, node)
        is_whole, arguments, takes_any = own.is_whole, own.arguments, own.takes_any
        hooks, told_meta = set(own.hooks), set(own.told_meta)
        signatures = dict(own.signatures)
        for base in self.bases(module, node, hops):
            if base is None:
                is_whole = False
                inherited: tuple[Argument, ...] | None = None
            else:
                is_whole = is_whole and base.is_whole
                told_meta |= base.told_meta - hooks  # what stands further left hides it
                signatures |= {name: s for name, s in base.signatures.items() if name not in hooks}
                hooks |= base.hooks
                inherited = base.arguments
            if "__init__" not in own.hooks and (base is None or "__init__" in base.hooks) and arguments == ():
                arguments, takes_any = inherited, base is not None and base.takes_any
        return replace(
            own,
            hooks=frozenset(hooks),
            told_meta=frozenset(told_meta),
            is_whole=is_whole,
            arguments=arguments,
            takes_any=takes_any,
            signatures=signatures,
        )

    def bases(self, module: _Module, node: ast.ClassDef, hops: int) -> Iterator[ClassSource | None]:
        for expression in node.bases:
            name = expression.id if isinstance(expression, ast.Name) else ""
            if name == "object" or _is_typing_base(expression):
                continue
            if isinstance(expression, ast.Attribute) or not hops or name == node.name:
                yield None
                continue
            found = self.find(module.path, name, hops - 1) if name else None
            yield found if isinstance(found, ClassSource) else None


def _is_typing_base(expression: ast.expr) -> bool:
    """Bases that add no hook: ``Generic[T]``, ``Protocol``, ``ABC``."""
    if isinstance(expression, ast.Subscript):
        expression = expression.value
    return isinstance(expression, ast.Name) and expression.id in ("Generic", "Protocol", "ABC")


def _read_module(path: Path, folder: Path) -> _Module | BadSource:
    file = path.relative_to(folder).as_posix()
    try:
        data = read_file(path, MAX_SOURCE_BYTES)
        tree = _parse(data, file)
    except SyntaxError as error:
        found = _syntax_error(file, error)
        return found if is_inside(folder, file) else replace(found, place=replace(found.place, text=""))
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes, or nesting beyond the parser's bounds
        return BadSource(SourcePlace(file, 1, 1, 1, ""), str(error) or type(error).__name__)
    except TooLong:
        return _Module(file, path, [], is_open=True)
    except Unreadable as error:
        return BadSource(SourcePlace(file, 1, 1, 1, ""), str(error))
    module = _Module(file, path, data.decode("utf-8", "replace").splitlines())
    package = path.relative_to(folder).with_suffix("").parts[:-1]
    for statement in _top_level(tree.body):
        _bind(module, statement, package)
    return module


def parse_source(path: Path) -> tuple[ast.Module, list[str]] | None:
    """Return the tree and the lines of a source file; None where it is too large or Python cannot parse it."""
    try:
        data = read_file(path, MAX_SOURCE_BYTES)
        return _parse(data, path.name), data.decode("utf-8", "replace").splitlines()
    except (Unreadable, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parse(data: bytes, file: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning about the user's escapes is not ours to report
        return ast.parse(data, filename=file)


def _syntax_error(file: str, error: SyntaxError) -> BadSource:
    text = (error.text or "").rstrip("\r\n")
    column = max(1, error.offset or 1)
    end = error.end_offset if error.end_lineno == error.lineno else None
    width = max(1, (end or 0) - column)
    return BadSource(SourcePlace(file, error.lineno or 1, column, width, text), error.msg)


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """A body's statements, and those within its ``if``, ``try`` and ``with``: they bind in the same scope."""
    for statement in body:
        if (
            isinstance(statement, (ast.If, ast.Try, ast.With, ast.For, ast.While))
            or type(statement).__name__ == "TryStar"
        ):
            for name in ("body", "orelse", "finalbody"):
                yield from _top_level(getattr(statement, name, []))
            for handler in getattr(statement, "handlers", []):
                yield from _top_level(handler.body)
        elif isinstance(statement, ast.Match):
            for case in statement.cases:
                yield from _top_level(case.body)
        else:
            yield statement


def _bind(module: _Module, statement: ast.stmt, package: tuple[str, ...]) -> None:
    if isinstance(statement, ast.ClassDef):
        module.classes[statement.name] = statement
    elif isinstance(statement, ast.ImportFrom):
        source = _absolute(statement, package)
        for alias in statement.names:
            if alias.name == "*":
                module.is_open = True
            else:
                module.imports[alias.asname or alias.name] = (source, alias.name)
    elif isinstance(statement, ast.Import):
        module.others.update(alias.asname or alias.name.split(".")[0] for alias in statement.names)
    elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        module.others.add(statement.name)
        module.is_open = module.is_open or statement.name == "__getattr__"
    elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        module.others.update(_targets(statement))
        for name in _targets(statement):
            module.classes.pop(name, None)  # the class that the module really has is what the assignment made
    elif isinstance(statement, ast.Expr) and "globals" in ast.dump(statement):
        module.is_open = True


def _absolute(statement: ast.ImportFrom, package: tuple[str, ...]) -> str:
    if not statement.level:
        return statement.module or ""
    base = package[: len(package) - statement.level + 1]
    return ".".join([*base, *((statement.module or "").split(".") if statement.module else [])])


def _targets(statement: ast.stmt) -> Iterator[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    for target in targets:
        for node in ast.walk(target) if target is not None else ():
            if isinstance(node, ast.Name):
                yield node.id


def _own_part(module: _Module, node: ast.ClassDef) -> ClassSource:
    """What the class's own body shows."""
    hooks: set[str] = set()
    told_meta: set[str] = set()
    init: ast.FunctionDef | None = None
    for statement in _top_level(node.body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            hooks.add(statement.name)
            hooks |= set(_set_on_self(statement))
            if _takes_meta(statement):
                told_meta.add(statement.name)
            if statement.name == "__init__" and isinstance(statement, ast.FunctionDef):
                init = statement
        else:
            hooks.update(_targets(statement))
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
        arguments = None if node.bases else tuple(_field_arguments(node))  # inherited fields are not followed
    else:
        arguments = ()
    if not is_whole:
        arguments = None
    if _is_pydantic(module, node) and init is None and not node.keywords:
        arguments, takes_any = tuple(_field_arguments(node)), True
    place = SourcePlace(module.file, node.lineno, *_name_span(module, node))
    signatures = _signatures(module, node)
    names = frozenset(hooks)
    return ClassSource(node.name, place, names, frozenset(told_meta), is_whole, arguments, takes_any, signatures)


def _signatures(module: _Module, node: ast.ClassDef) -> dict[str, Signature]:
    """The methods that are what their ``def`` says: no decorator that is not known, and no later assignment."""
    signatures: dict[str, Signature] = {}
    for statement in _top_level(node.body):
        names = [statement.name] if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) else ()
        for name in names or _targets(statement):
            signatures.pop(name, None)
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and all(
            _decorator_name(d) in ("staticmethod", "classmethod") for d in statement.decorator_list
        ):
            signatures[statement.name] = _signature(module, statement)
    methods = (s for s in _top_level(node.body) if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef)))
    on_self = {name for method in methods for name in _set_on_self(method)}
    return {name: signature for name, signature in signatures.items() if name not in on_self}


def _is_pydantic(module: _Module, node: ast.ClassDef) -> bool:
    """Whether the class is pydantic's own kind of a data class, with no other base."""
    base = node.bases[0] if len(node.bases) == 1 else None
    if isinstance(base, ast.Attribute):
        return ast.unparse(base) == "pydantic.BaseModel"
    return isinstance(base, ast.Name) and module.imports.get(base.id) == ("pydantic", "BaseModel")


def _field_arguments(node: ast.ClassDef) -> Iterator[Argument]:
    """The arguments that a data class makes of its fields."""
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


def _signature(module: _Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    args = function.args
    is_static = any(_decorator_name(d) == "staticmethod" for d in function.decorator_list)
    positional = len(args.posonlyargs) + len(args.args)
    own = 0 if is_static or (positional == 0 and args.vararg is not None) else 1
    keywords = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    return Signature(
        SourcePlace(module.file, function.lineno, *_name_span(module, function)),
        max(0, positional - len(args.defaults) - own),
        None if args.vararg is not None else positional - own,
        tuple(argument.arg for argument, default in keywords if default is None),
    )


def _takes_meta(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method takes ``X, names, meta=…``."""
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    if len(positional) < len(("self", "X", "names")) and args.vararg is None:
        return False
    by_name = {argument.arg for argument in (*positional[3:], *args.kwonlyargs)}
    return args.kwarg is not None or "meta" in by_name - {argument.arg for argument in args.posonlyargs}


def _name_span(module: _Module, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[int, int, str]:
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
    """Attributes that a method sets on its first argument; a hook may be one of them."""
    positional = [*function.args.posonlyargs, *function.args.args]
    if not positional:
        return
    me = positional[0].arg
    for node in ast.walk(function):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name, ctx=ast.Store()) if owner == me:
                yield name


def _arguments(init: ast.FunctionDef) -> Iterator[Argument]:
    args = init.args
    positional = [*args.posonlyargs, *args.args]
    first_default = len(positional) - len(args.defaults)
    for index, argument in enumerate(positional):
        if index >= max(1, len(args.posonlyargs)):  # without self; a positional-only one cannot be given by name
            yield _argument(argument, is_required=index < first_default)
    for argument, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _argument(argument, is_required=default is None)


_PLAIN_TYPES: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
_ALIASES = {"List": "list", "Dict": "dict"}


def plain_types(annotation: str) -> frozenset[type] | None:
    """The builtin types that an annotation allows; None if it says more, or something else, than builtin types."""
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


def _argument(argument: ast.arg, *, is_required: bool) -> Argument:
    annotation = ast.unparse(argument.annotation) if argument.annotation else None
    return Argument(argument.arg, annotation, is_required)
