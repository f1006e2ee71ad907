"""Parse Python source files with ``ast``, and find the names that they bind. Runs no user code."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from seldon_spec.config.paths import TooLong, Unreadable, is_inside, read_file
from seldon_spec.errors import Position

MAX_SOURCE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BadSource:
    """A source file with a syntax error, or one that cannot be read."""

    position: Position
    reason: str


def split_class_name(class_name: str) -> tuple[str, str]:
    """Split a ``class_name`` into module and class; ``MyModel`` is class MyModel in MyModel.py."""
    module, _, name = class_name.rpartition(".")
    return (module or name), name


@dataclass(slots=True)
class Module:
    """A parsed file with the names that its top level binds."""

    file: str
    path: Path
    lines: list[str]
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The absolute module and the name in it, by imported name."""
    others: set[str] = field(default_factory=set)
    """Names that are bound by an assignment, a function or an import of a module."""
    is_open: bool = False
    """Whether the module may have further names: it has a star import or ``__getattr__``."""


def read_module(path: Path, folder: Path) -> Module | BadSource:
    """Parse a file of the folder; a file above the size limit is returned without names."""
    file = path.relative_to(folder).as_posix()
    try:
        data = read_file(path, MAX_SOURCE_BYTES)
        tree = _parse(data, file)
    except SyntaxError as error:
        found = _syntax_error(file, error)
        return found if is_inside(folder, file) else replace(found, position=replace(found.position, text=""))
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes, or too deep nesting
        return BadSource(Position(file, 1, 1, 1, ""), str(error) or type(error).__name__)
    except TooLong:
        return Module(file, path, [], is_open=True)
    except Unreadable as error:
        return BadSource(Position(file, 1, 1, 1, ""), str(error))
    module = Module(file, path, data.decode("utf-8", "replace").splitlines())
    package = path.relative_to(folder).with_suffix("").parts[:-1]
    for statement in flatten(tree.body):
        _bind(module, statement, package)
    return module


def parse_source(path: Path) -> tuple[ast.Module, list[str]] | None:
    """Return the tree and the lines of a source file; None if it is too large or has a syntax error."""
    try:
        data = read_file(path, MAX_SOURCE_BYTES)
        return _parse(data, path.name), data.decode("utf-8", "replace").splitlines()
    except (Unreadable, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parse(data: bytes, file: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # e.g. about escapes in the user's code
        return ast.parse(data, filename=file)


def _syntax_error(file: str, error: SyntaxError) -> BadSource:
    text = (error.text or "").rstrip("\r\n")
    column = max(1, error.offset or 1)
    end = error.end_offset if error.end_lineno == error.lineno else None
    width = max(1, (end or 0) - column)
    return BadSource(Position(file, error.lineno or 1, column, width, text), error.msg)


def flatten(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body and of the compound statements in it that have the same scope."""
    for statement in body:
        if (
            isinstance(statement, (ast.If, ast.Try, ast.With, ast.For, ast.While))
            or type(statement).__name__ == "TryStar"
        ):
            for name in ("body", "orelse", "finalbody"):
                yield from flatten(getattr(statement, name, []))
            for handler in getattr(statement, "handlers", []):
                yield from flatten(handler.body)
        elif isinstance(statement, ast.Match):
            for case in statement.cases:
                yield from flatten(case.body)
        else:
            yield statement


def _bind(module: Module, statement: ast.stmt, package: tuple[str, ...]) -> None:
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
        module.others.update(assigned_names(statement))
        for name in assigned_names(statement):
            module.classes.pop(name, None)  # the assignment replaces the class
    elif isinstance(statement, ast.Expr) and "globals" in ast.dump(statement):
        module.is_open = True


def _absolute(statement: ast.ImportFrom, package: tuple[str, ...]) -> str:
    if not statement.level:
        return statement.module or ""
    base = package[: len(package) - statement.level + 1]
    return ".".join([*base, *((statement.module or "").split(".") if statement.module else [])])


def assigned_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement assigns."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    for target in targets:
        for node in ast.walk(target) if target is not None else ():
            if isinstance(node, ast.Name):
                yield node.id
