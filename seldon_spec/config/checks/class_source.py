"""Find the user's class in the folder and describe it from its source.

Returns only what is certain: a class from outside the folder, an unknown base or an unknown decorator leaves properties
unknown, and the rules then report nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from seldon_spec.config.checks.class_body import Argument, ClassSource, describe_body
from seldon_spec.config.checks.python_source import BadSource, Module, read_module, split_class_name
from seldon_spec.config.paths import is_file, is_folder

_COMPONENT = ("seldon_core.user_model", "SeldonComponent")
_MAX_HOPS = 20
_MAX_MODULES = 100


@dataclass(frozen=True, slots=True)
class Unseen:
    """The class may exist, but its definition is not in the folder."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoModule:
    """The folder does not have the module."""

    module: str
    modules: tuple[str, ...]
    """The modules of the folder."""
    homes: tuple[str, ...] = ()
    """Modules of the folder that define a class of that name."""
    is_package_here: bool = False
    """Whether the folder has the first part of the module's name, so that it is not an installed package."""


@dataclass(frozen=True, slots=True)
class NoClass:
    """The module does not define the class."""

    file: str
    name: str
    classes: tuple[str, ...]
    """The classes of the module."""


ClassLookup = ClassSource | Unseen | NoModule | NoClass | BadSource


def read_class(folder: Path, class_name: str) -> ClassLookup:
    """Find the class of ``class_name`` in the folder and describe it."""
    module, name = split_class_name(class_name)
    reader = _ClassReader(folder)
    path = reader.module_file(module)
    if path is None:
        if is_folder(folder / module.replace(".", "/")):
            return Unseen(f"{module} is a folder without __init__.py")
        top = module.split(".")[0]
        is_here = is_folder(folder / top) or is_file(folder / f"{top}.py")
        return NoModule(module, tuple(sorted(reader.modules())), tuple(reader.homes(name)), is_here)
    return reader.find(path, name, _MAX_HOPS)


class _ClassReader:
    """Reads modules of the folder, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache: dict[Path, Module | BadSource] = {}

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
            if isinstance(content, Module) and name in content.classes:
                yield module

    def module_file(self, module: str) -> Path | None:
        base = self.folder.joinpath(*module.split("."))
        for path in (base / "__init__.py", base.with_name(base.name + ".py")):
            if is_file(path):
                return path
        return None

    def find(self, path: Path, name: str, hops: int) -> ClassLookup:
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

    def read(self, path: Path) -> Module | BadSource:
        if path not in self.cache:
            self.cache[path] = read_module(path, self.folder)
        return self.cache[path]

    def describe(self, module: Module, node: ast.ClassDef, hops: int) -> ClassSource:
        own = describe_body(module, node)
        is_whole, arguments, takes_any = own.is_whole, own.arguments, own.takes_any
        hooks, takes_meta = set(own.hooks), set(own.takes_meta)
        signatures = dict(own.signatures)
        for base in self.bases(module, node, hops):
            if base is None:
                is_whole = False
                inherited: tuple[Argument, ...] | None = None
            else:
                is_whole = is_whole and base.is_whole
                takes_meta |= base.takes_meta - hooks  # names of the class and of earlier bases hide it
                signatures |= {name: s for name, s in base.signatures.items() if name not in hooks}
                hooks |= base.hooks
                inherited = base.arguments
            if "__init__" not in own.hooks and (base is None or "__init__" in base.hooks) and arguments == ():
                arguments, takes_any = inherited, base is not None and base.takes_any
        return replace(
            own,
            hooks=frozenset(hooks),
            takes_meta=frozenset(takes_meta),
            is_whole=is_whole,
            arguments=arguments,
            takes_any=takes_any,
            signatures=signatures,
        )

    def bases(self, module: Module, node: ast.ClassDef, hops: int) -> Iterator[ClassSource | None]:
        for expression in node.bases:
            name = expression.id if isinstance(expression, ast.Name) else ""
            if name == "object" or _is_typing_base(expression):
                continue
            if module.imports.get(name) == _COMPONENT:
                yield _without_hooks(describe_body(module, node))
                continue
            if isinstance(expression, ast.Attribute) or not hops or name == node.name:
                yield None
                continue
            found = self.find(module.path, name, hops - 1) if name else None
            yield found if isinstance(found, ClassSource) else None


def _is_typing_base(expression: ast.expr) -> bool:
    """Return whether a base adds no hook: ``Generic[T]``, ``Protocol``, ``ABC``."""
    if isinstance(expression, ast.Subscript):
        expression = expression.value
    return isinstance(expression, ast.Name) and expression.id in ("Generic", "Protocol", "ABC")


def _without_hooks(own: ClassSource) -> ClassSource:
    """Return what a class inherits from Seldon's ``SeldonComponent``, whose hooks raise SeldonNotImplementedError."""
    return replace(
        own,
        hooks=frozenset({"__init__", "load"}),
        takes_meta=frozenset(),
        is_whole=True,
        arguments=(),
        takes_any=True,
        signatures={},
    )
