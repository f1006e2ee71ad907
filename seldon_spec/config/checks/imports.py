"""Find the imports of the user's class, and of the modules of the folder that it imports, with ``ast``."""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seldon_spec.config.checks.python_source import parse_source, split_class_name
from seldon_spec.config.paths import is_file, is_folder, is_inside
from seldon_spec.errors import Position

MAX_MODULES = 300


@dataclass(frozen=True, slots=True)
class Import:
    """An import of a module outside the folder.

    Attributes:
        module: the full name.
        is_certain: whether it always runs when the class is imported, i.e. not in a function or under a condition.
    """

    module: str
    position: Position
    is_certain: bool

    @property
    def top(self) -> str:
        """Return the first part of the module's name."""
        return self.module.partition(".")[0]


@dataclass(slots=True)
class ImportScan:
    """The imports of the class.

    Attributes:
        files: the imported modules of the folder as relative paths, with whether the import is certain.
        outside: the imports of other modules, in source order.
        changes_path: a module changes ``sys.path``, so that other directories may have modules.
    """

    files: dict[str, bool] = field(default_factory=dict)
    outside: list[Import] = field(default_factory=list)
    changes_path: bool = False


def scan_imports(folder: Path, class_name: str) -> ImportScan:
    """Follow the imports of a class's module through the folder.

    Skips modules that cannot be parsed; another rule reports the module of the class.
    """
    scan = ImportScan()
    pending = [(file, True) for file in _files_of(folder, split_class_name(class_name)[0])]
    while pending and len(scan.files) < MAX_MODULES:
        pending.sort(key=lambda each: not each[1])  # certain ones first, so that each file is read once
        file, is_certain = pending.pop(0)
        if file in scan.files:
            continue
        scan.files[file] = is_certain
        source = parse_source(folder / file) if is_inside(folder, file) else None
        if source is None:
            continue
        tree, lines = source
        scan.changes_path |= any("sys.path" in line or "addsitedir" in line for line in lines)
        try:
            statements = list(_imports(tree.body, is_certain=True))
        except RecursionError:  # an if with hundreds of branches
            continue
        package = Path(file).parent.parts
        for node, is_sure in statements:
            is_sure = is_sure and is_certain
            for module, parts in _modules(node, package):
                found = [path for name in (module, *parts) for path in _files_of(folder, name)]
                pending += [(path, is_sure) for path in found]
                if module and not found and not _has_module(folder, module.partition(".")[0]):
                    position = Position(file, node.lineno, node.col_offset + 1, *_width(node, lines))
                    scan.outside.append(Import(module, position, is_sure))
    return scan


def _has_module(folder: Path, name: str) -> bool:
    """Return whether the folder has a directory with Python files, or a compiled module, of that name."""
    with contextlib.suppress(OSError, ValueError):
        if is_folder(folder / name):
            return any(True for pattern in ("*.py", "*.so", "*/*.py") for _ in (folder / name).glob(pattern))
        return any(True for _ in folder.glob(f"{name}.*so"))
    return False


def _width(node: ast.stmt, lines: Sequence[str]) -> tuple[int, str]:
    text = lines[node.lineno - 1] if node.lineno <= len(lines) else ""
    end = node.end_col_offset if node.end_lineno == node.lineno and node.end_col_offset else len(text)
    return max(1, end - node.col_offset), text


def _files_of(folder: Path, module: str) -> list[str]:
    """Return the files that run when a module of the folder is imported: its packages, then the module."""
    found = []
    parts = module.split(".") if module else []
    for length in range(1, len(parts) + 1):
        base = os.path.join(*parts[:length])  # noqa: PTH118 - a text within the folder
        for name in (os.path.join(base, "__init__.py"), f"{base}.py"):  # noqa: PTH118
            if is_file(folder / name):
                found.append(name)
                break
    return found


def _modules(node: ast.Import | ast.ImportFrom, package: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Yield each imported module with the names in it that may be modules."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, []) for alias in node.names)
        return
    base = list(package[: len(package) - node.level + 1]) if node.level else []
    module = ".".join([*base, *([node.module] if node.module else [])])
    prefix = f"{module}." if module else ""
    yield module, [f"{prefix}{alias.name}" for alias in node.names if alias.name != "*"]


def _imports(body: Sequence[ast.stmt], *, is_certain: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield imports of a body that must not fail: not those with a handler for ImportError or for type checking."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, is_certain
        elif hasattr(node, "handlers"):
            yield from _try_imports(node, is_certain=is_certain)
        else:
            for inner, always_runs in _bodies(node):
                yield from _imports(inner, is_certain=is_certain and always_runs)


def _bodies(node: ast.stmt) -> Iterator[tuple[Sequence[ast.stmt], bool]]:
    """Yield the bodies of a compound statement, with whether each always runs."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.body, False
        case ast.ClassDef():
            yield node.body, True
        case ast.If():
            if not _is_guard(node.test):
                yield node.body, False
            if not _is_for_platform(node.test):
                yield node.orelse, False
        case ast.With() | ast.AsyncWith():
            if not any("suppress" in ast.dump(item.context_expr) for item in node.items):
                yield node.body, True
        case ast.For() | ast.AsyncFor() | ast.While():
            yield [*node.body, *node.orelse], False
        case ast.Match():
            yield from ((case.body, False) for case in node.cases)


def _try_imports(node: ast.stmt, *, is_certain: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the imports of a ``try``; a handler for ImportError makes the import and its replacement optional."""
    handlers = getattr(node, "handlers", [])
    if not any(_catches_imports(handler.type) for handler in handlers):
        yield from _imports(getattr(node, "body", []), is_certain=is_certain)
        for handler in handlers:
            yield from _imports(handler.body, is_certain=False)
    yield from _imports(getattr(node, "orelse", []), is_certain=False)
    yield from _imports(getattr(node, "finalbody", []), is_certain=is_certain)


def _catches_imports(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    names = {each.id for each in ast.walk(caught) if isinstance(each, ast.Name)}
    return bool(names & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def _is_guard(test: ast.expr) -> bool:
    """Return whether a condition is for type checkers, scripts, or another platform or Python."""
    return bool(_names_in(test) & {"TYPE_CHECKING", "__name__"}) or _is_for_platform(test)


def _is_for_platform(test: ast.expr) -> bool:
    names = _names_in(test)
    return bool(names & {"version_info", "platform", "system", "machine", "PY2", "PY3"}) or "find_spec" in ast.dump(
        test
    )


def _names_in(test: ast.expr) -> set[str]:
    return {
        each.attr if isinstance(each, ast.Attribute) else each.id
        for each in ast.walk(test)
        if isinstance(each, (ast.Attribute, ast.Name))
    }
