"""The class by its name: "package.module.Class", or "Class" for class Class in Class.py (contract section 3.1).

The module that ``class_name`` names is taken from the folder first. Other imports find what is installed first, then
the folder: a file named like an installed package does not take that package's place in the imports of others.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from types import ModuleType
from typing import Any

from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component.failure import user_code

_ALIAS = "_seldon_spec_class_"
"""Prefix of the name under which a module is loaded whose own name belongs to an installed package."""

_IMPORTS_FLASK = re.compile(rb"^[ \t]*(from|import)[ \t]+flask\b", re.MULTILINE)


def split_class_name(class_name: str) -> tuple[str, str]:
    """The module and the attribute that a class name means, e.g. ``("pkg.module", "Class")``."""
    module, _, attribute = class_name.rpartition(".")
    return (module or attribute), attribute


def import_class(class_name: str, folder: Path) -> Callable[..., Any]:
    """Import the user's class, or another callable that makes the object; its module is run.

    Modules of the folder that have been imported before are used again, unless one of their files has changed: then all
    are imported anew.

    Args:
        class_name: as the spec has it.
        folder: where the class is looked for, before everything that is installed.

    Raises:
        ComponentFailed: there is no such module, it has no such attribute, or that cannot be called; or the module
            raised, and then ``__cause__`` is what it raised.
    """
    name, attribute = split_class_name(class_name)
    modules = FolderModules.of(folder)
    with _lock:
        modules.activate()
        modules.drop_if_changed()
        module = _import_module(name, modules)
        modules.remember()
    try:
        found = getattr(module, attribute)
    except AttributeError:
        place = getattr(module, "__file__", None) or name
        raise ComponentFailed(f'class_name: {place} defines no class "{attribute}"') from None
    if not callable(found):
        raise ComponentFailed(f'class_name: "{attribute}" in {module.__file__} is not a class but {found!r:.100}')
    maker: Callable[..., Any] = found
    return maker


def imports_flask(folder: Path) -> bool:
    """Whether an imported module of a folder imports Flask, at its top or in a function."""
    files = FolderModules.of(folder).source_files()
    return any(_IMPORTS_FLASK.search(Path(file).read_bytes()) is not None for file in files)


_lock = threading.RLock()


class _SourceLoader(SourceFileLoader):
    """Compiles a module's source anew: cached bytecode hides an edit of the same size within the same second."""

    def get_code(self, fullname: str) -> Any:
        """Compile the module."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (_SourceLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


class FolderModules:
    """The modules of one folder: those that are imported, and the digests of their files.

    One process can load several folders (tests, notebooks) in which modules have the same names. Those of the active
    folder are the ones that imports and pickles find.
    """

    active: FolderModules | None = None
    _known: dict[str, FolderModules] = {}  # noqa: RUF012 - of the process, as sys.modules is

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._finder = FileFinder(folder, *_LOADERS)
        self._inactive: dict[str, ModuleType] = {}
        self._digests: dict[str, bytes] = {}

    @classmethod
    def of(cls, folder: Path) -> FolderModules:
        """The modules of a folder, the same object for the same folder."""
        place = str(folder.resolve())
        if place not in cls._known:
            cls._known[place] = cls(place)
        return cls._known[place]

    def activate(self) -> None:
        """Make this the active folder."""
        if FolderModules.active is not self:
            with _lock:
                self._activate()

    def _activate(self) -> None:
        if FolderModules.active is not None:
            FolderModules.active._deactivate()
        for name in self._foreign_names():
            _pop_modules(name)
        sys.modules.update(self._inactive)
        self._inactive = {}
        if self.folder not in sys.path:
            sys.path.append(self.folder)  # for the processes that the class starts
        if _finder not in sys.meta_path:
            at = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
            sys.meta_path.insert(at, _finder)
        FolderModules.active = self

    def _deactivate(self) -> None:
        self._inactive = {name: sys.modules.pop(name) for name in list(self._names())}
        if self.folder in sys.path:
            sys.path.remove(self.folder)

    def _foreign_names(self) -> Iterator[str]:
        """Modules with a name of the folder's that come neither from it nor from an installation."""
        for place in Path(self.folder).iterdir():
            name = place.name.partition(".")[0]
            module = sys.modules.get(name)
            if module is None or name == "__main__" or name.startswith("test_") or name == "conftest":
                continue
            if not self.owns(module) and not _is_installed(module):
                yield name

    def _names(self) -> Iterator[str]:
        tops = {name for name, module in list(sys.modules.items()) if "." not in name and self.owns(module)}
        return (name for name in list(sys.modules) if name.partition(".")[0] in tops)

    def owns(self, module: ModuleType | None) -> bool:
        """Whether a top-level module stands in the folder itself."""
        file = getattr(module, "__file__", None)
        if file is None:
            return any(str(Path(place).parent) == self.folder for place in getattr(module, "__path__", ()))
        path = Path(file)
        return self.folder in (str(path.parent), str(path.parent.parent) if hasattr(module, "__path__") else None)

    def source_files(self) -> list[str]:
        """The files of the imported modules that are Python source."""
        modules = [sys.modules.get(name) for name in self._names()]
        files = {getattr(module, "__file__", None) or "" for module in modules}
        return sorted(file for file in files if file.endswith(tuple(SOURCE_SUFFIXES)))

    def drop_if_changed(self) -> None:
        """Forget the imported modules if one of their files is not what it was."""
        self._finder.invalidate_caches()
        if any(file in self._digests and self._digests[file] != _digest(file) for file in self.source_files()):
            for name in list(self._names()):
                if not isinstance(getattr(sys.modules[name], "__loader__", None), ExtensionFileLoader):
                    del sys.modules[name]
            self._digests = {}

    def remember(self) -> None:
        """Keep the digests of the files of all modules that are imported now."""
        for file in self.source_files():
            self._digests.setdefault(file, _digest(file))

    def find(self, name: str) -> ModuleSpec | None:
        """A top-level module of the folder."""
        return self._finder.find_spec(name)


class _Finder:
    """Finds modules of the active folder, after what is installed and before other entries of the path."""

    def find_spec(self, name: str, path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        """Find a module; packages without ``__init__.py`` are left to Python's own finder."""
        modules = FolderModules.active
        if modules is None:
            return None
        if path is None:
            found = modules.find(name)
            return found if found is not None and found.loader is not None and not _find_installed(name) else None
        for place in path:
            if f"{place}/".startswith(f"{modules.folder}/") and not _is_installed_file(place):
                found = FileFinder(place, *_LOADERS).find_spec(name)
                if found is not None and found.loader is not None:
                    return found
        return None


_finder = _Finder()


def _import_module(name: str, modules: FolderModules) -> ModuleType:
    top, _, rest = name.partition(".")
    with user_code():
        try:
            found = modules.find(top)
            module = sys.modules.get(top)
            if found is not None and (_find_installed(top) or (module is not None and not modules.owns(module))):
                top = _import_as(f"{_ALIAS}{top}", found)
            return importlib.import_module(f"{top}.{rest}" if rest else top)
        except ModuleNotFoundError as error:
            if not _is_part(error.name, f"{top}.{rest}" if rest else top):
                raise
            missing = error.name.removeprefix(_ALIAS) if error.name else name
    raise ComponentFailed(f'class_name: there is no module "{missing}" in {modules.folder} nor among what is installed')


def _import_as(alias: str, found: ModuleSpec) -> str:
    """Import a module of the folder under another name, since its own belongs to an installed one."""
    if alias in sys.modules:
        return alias
    places = found.submodule_search_locations
    if found.origin is None:
        spec: ModuleSpec | None = ModuleSpec(alias, None, is_package=True)
        assert spec is not None
        spec.submodule_search_locations = list(places or ())
    else:
        assert isinstance(found.loader, (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader))
        loader = type(found.loader)(alias, found.origin)
        spec = importlib.util.spec_from_file_location(
            alias, found.origin, loader=loader, submodule_search_locations=places
        )
        assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    try:
        if spec.loader is not None:
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[alias]
        raise
    return alias


def _is_part(missing: str | None, name: str) -> bool:
    """Whether the module that was not found is the one asked for, or a package around it."""
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def _pop_modules(top: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == top]:
        del sys.modules[name]


def _digest(file: str) -> bytes:
    try:
        return hashlib.sha256(Path(file).read_bytes()).digest()
    except OSError:
        return b"gone"


_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_PACKAGE = str(Path(__file__).resolve().parents[2])


def _is_installed_file(file: str) -> bool:
    parts = Path(file).parts
    return (
        "site-packages" in parts
        or "dist-packages" in parts
        or file.startswith((*(f"{place}/" for place in _INSTALLED), _PACKAGE))
    )


def _is_installed(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return file is None or _is_installed_file(str(file))


def _find_installed(name: str) -> bool:
    """Whether an installed package, or the standard library, has a top-level module of this name."""
    if name in sys.stdlib_module_names or name == "seldon_spec":
        return True
    places = [place for place in sys.path if _is_installed_file(f"{place}/")]
    return PathFinder.find_spec(name, places) is not None
