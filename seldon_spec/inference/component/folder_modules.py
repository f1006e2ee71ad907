"""The modules of component folders, of which one process can import several.

Modules are in ``sys.modules`` under their own names, as in any Python program. If two folders have modules of the same
name, the name becomes shared: each folder keeps its own module, and ``sys.modules`` has a proxy under that name. Import
statements, ``importlib``, pickles and lookups in ``sys.modules`` then find the module of the folder whose code runs
them: that of the innermost frame whose code is in a folder with this name, else the one whose code started the thread.
Without either they find a module of that name that comes from no folder, else that of the folder imported last.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.abc import Loader
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
from types import FrameType, ModuleType
from typing import Any

from seldon_spec.inference.component.installed_modules import find_installed, is_installed, is_installed_file

ALIAS = "_seldon_spec_class_"
"""Prefix of the name under which a module is loaded whose own name belongs to an installed package."""


class _SourceLoader(SourceFileLoader):
    """Compiles a module's source each time: cached bytecode hides an edit of the same size within the same second."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (_SourceLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)

_lock = threading.RLock()
"""Held while a name becomes shared."""

_known: dict[str, FolderModules] = {}
"""The folders by path."""

_registered: list[FolderModules] = []
"""The folders from which something was imported; the latest comes first."""

_shared: dict[str, set[FolderModules]] = {}
"""For each shared top-level name: the folders that have a module of this name."""

_foreign: dict[str, ModuleType] = {}
"""Modules with a shared name that were imported before and come from no folder, by full name."""


class FolderModules:
    """The modules of one folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._finder = FileFinder(folder, *_LOADERS)
        self._lock = threading.RLock()
        self._own: dict[str, ModuleType] = {}
        """Those with a shared name; the others are in ``sys.modules``."""
        self._digests: dict[str, bytes] = {}

    @classmethod
    def of(cls, folder: Path) -> FolderModules:
        """Return the modules of a folder, the same object for the same folder."""
        path = str(folder.resolve())
        with _lock:
            if path not in _known:
                _known[path] = cls(path)
                _folder_of.cache_clear()
            return _known[path]

    def register(self) -> None:
        """Make the folder's modules importable, without a conflict with those of other folders."""
        with _lock:
            _registered[:] = [self, *(folder for folder in _registered if folder is not self)]
            if _finder not in sys.meta_path:
                index = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
                sys.meta_path.insert(index, _finder)
            self._finder.invalidate_caches()
            for name in {path.name.partition(".")[0] for path in Path(self.folder).iterdir()}:
                if not name.isidentifier() or name in ("__main__", "conftest") or name.startswith("test_"):
                    continue
                if self._is_taken(name) and self.find(name) is not None and not find_installed(name):
                    self.share(name)
            if self.folder not in sys.path:
                sys.path.append(self.folder)  # for processes that the class starts

    def _is_taken(self, name: str) -> bool:
        """Return True if a top-level name is in use by a module that is neither installed nor of this folder."""
        if name in _shared or any(other.find(name) is not None for other in _known.values() if other is not self):
            return True
        module = sys.modules.get(name)
        return module is not None and not self.owns(module) and not is_installed(module)

    def share(self, top: str) -> None:
        """Make a top-level name one that several folders, or a folder and other code, have modules under."""
        global _python_import
        with _lock:
            if top not in _shared:
                owners = {folder for folder in _known.values() if folder.find(top) is not None}
                module = sys.modules.get(top)
                loaded = next((folder for folder in owners if folder.owns(module)), None)
                if module is not None and loaded is not None and getattr(module, "__file__", None) is None:
                    module.__path__ = [f"{loaded.folder}/{top}"]  # of a namespace package, it follows sys.path
                for name in [name for name in list(sys.modules) if name.partition(".")[0] == top]:
                    (_foreign if loaded is None else loaded._own)[name] = sys.modules[name]
                    sys.modules[name] = _SharedModule(name)
                if not _shared:
                    _python_import, builtins.__import__ = builtins.__import__, _import
                    threading.Thread.start = _start_thread  # type: ignore[method-assign, assignment]
                _shared[top] = owners
            _shared[top].add(self)

    def find(self, top: str) -> ModuleSpec | None:
        """Find a top-level module of the folder, also under its alias."""
        found = self._finder.find_spec(top.removeprefix(ALIAS))
        if found is None or not top.startswith(ALIAS):
            return found
        if found.origin is None:  # a package without __init__.py
            renamed = ModuleSpec(top, None, is_package=True)
            renamed.submodule_search_locations = found.submodule_search_locations
            return renamed
        assert isinstance(found.loader, (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader))
        return importlib.util.spec_from_file_location(
            top,
            found.origin,
            loader=type(found.loader)(top, found.origin),
            submodule_search_locations=found.submodule_search_locations,
        )

    def can_import(self, top: str) -> bool:
        """Whether the name gives this folder's module: it is shared, or not in use by another module."""
        module = sys.modules.get(top)
        return top in _shared or module is None or self.owns(module)

    def import_module(self, name: str) -> ModuleType:
        """Import a module by its full name."""
        top = name.partition(".")[0]
        module = sys.modules.get(top)
        if top.startswith(ALIAS) and module is not None and not self.owns(module):
            self.share(top)
        return self.load(name) if top in _shared else importlib.import_module(name)

    def load(self, name: str) -> ModuleType:
        """Return the folder's module of a shared name; import it if needed."""
        with self._lock:
            if name in self._own:
                return self._own[name]
            parent, _, child = name.rpartition(".")
            if parent:
                places = getattr(self.load(parent), "__path__", ())
                if name in self._own:  # the parent has imported it
                    return self._own[name]
                specs = (FileFinder(place, *_LOADERS).find_spec(name) for place in places)
                spec = next((spec for spec in specs if spec is not None), None)
            else:
                spec = self.find(name)
            if spec is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            module = self._own[name] = importlib.util.module_from_spec(spec)
            sys.modules.setdefault(name, _SharedModule(name))
            try:
                if spec.loader is not None:
                    spec.loader.exec_module(module)
            except BaseException:
                del self._own[name]
                raise
            if parent:
                setattr(self._own[parent], child, module)
            return module

    def load_if_any(self, name: str) -> ModuleType | None:
        """Do what ``load`` does; return None if there is no such module."""
        try:
            return self.load(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
        return None

    def owns(self, module: ModuleType | None) -> bool:
        """Whether a top-level module is in the folder itself."""
        if isinstance(module, _SharedModule):
            return False
        file = getattr(module, "__file__", None)
        if file is None:
            return any(str(Path(place).parent) == self.folder for place in getattr(module, "__path__", ()))
        path = Path(file)
        return self.folder in (str(path.parent), str(path.parent.parent) if hasattr(module, "__path__") else None)

    def _imported(self) -> Iterator[tuple[dict[str, ModuleType], str]]:
        """Yield the imported modules: the dict that has a module, and its name."""
        # a copy: making the pairs of list(items()) can start a garbage collection, and let another thread import
        modules = sys.modules.copy()
        tops = {name for name, module in modules.items() if "." not in name and self.owns(module)}
        yield from ((sys.modules, name) for name in modules if name.partition(".")[0] in tops)
        yield from ((self._own, name) for name in list(self._own))

    def source_files(self) -> list[str]:
        """Return the files of the imported modules that are Python source."""
        files = {getattr(modules.get(name), "__file__", None) or "" for modules, name in self._imported()}
        return sorted(file for file in files if file.endswith(tuple(SOURCE_SUFFIXES)))

    def drop_if_changed(self) -> None:
        """Unload the imported modules if one of their files has changed."""
        self._finder.invalidate_caches()
        if any(file in self._digests and self._digests[file] != _digest(file) for file in self.source_files()):
            for modules, name in list(self._imported()):
                if not isinstance(getattr(modules[name], "__loader__", None), ExtensionFileLoader):
                    del modules[name]
            self._digests = {}

    def remember(self) -> None:
        """Keep the digests of the files of all imported modules."""
        for file in self.source_files():
            self._digests.setdefault(file, _digest(file))


class _SharedModule(ModuleType):
    """The proxy in ``sys.modules`` for the modules of a shared name."""

    def __getattribute__(self, attribute: str) -> Any:
        return getattr(_resolve(super().__getattribute__("__name__"), attribute), attribute)

    def __setattr__(self, attribute: str, value: object) -> None:
        # importlib sets these two, which the real module has already
        if attribute != "__spec__" and not isinstance(value, _SharedModule):
            setattr(_resolve(super().__getattribute__("__name__"), attribute), attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(_resolve(super().__getattribute__("__name__"), attribute), attribute)


def _resolve(name: str, attribute: str) -> ModuleType:
    """Return the module of a shared name that the calling code means when it uses an attribute of the proxy.

    ``importlib`` reads ``__spec__`` of a module that it finds in ``sys.modules``, and may skip even this if another
    thread has just put it there. Code that only lists the modules reads other special attributes.
    """
    owners = _shared[name.partition(".")[0]]
    folder = _find_caller(owners)
    module: ModuleType | None
    if folder is not None:
        if attribute == "__spec__":
            module = folder.load(name)
        else:
            module = folder._own.get(name) if attribute.startswith("__") else folder.load_if_any(name)
    else:
        modules = [_foreign.get(name), *(folder._own.get(name) for folder in _registered)]
        module = next((module for module in modules if module is not None), None)
    if module is None:
        raise AttributeError(f"the module {name} has not been imported here")
    return module


def _find_caller(owners: Collection[FolderModules]) -> FolderModules | None:
    """Return the folder, one of the given ones, of the innermost frame whose code is in one of them.

    Without such a frame in the stack of a thread, it is the folder whose code started the thread.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_globals.get("__file__")
        folder = _folder_of(file) if isinstance(file, str) else None
        if folder in owners:
            return folder
        frame = frame.f_back
    starter = getattr(threading.current_thread(), _STARTER, None)
    return starter if starter in owners else None


_STARTER = "_seldon_spec_folder"
"""The attribute of a thread with the folder whose code started it."""

_python_start = threading.Thread.start


def _start_thread(thread: threading.Thread) -> None:
    """Replace ``Thread.start`` once a name is shared: a thread of a library, e.g. of a pool, pickles for its folder."""
    setattr(thread, _STARTER, _find_caller(_registered))
    _python_start(thread)


@functools.lru_cache(4096)
def _folder_of(file: str) -> FolderModules | None:
    """Return the innermost known folder around a file, unless the file belongs to an installed package."""
    if is_installed_file(file):
        return None
    return next((_known[str(path)] for path in Path(file).parents if str(path) in _known), None)


_python_import = builtins.__import__


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002 - the names of builtins.__import__
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Replace ``builtins.__import__`` once a name is shared: code in a folder gets its own module, not the proxy."""
    package = str((globals or {}).get("__package__"))
    top = (package if level else name).partition(".")[0]
    folder = _find_caller(_shared[top]) if top in _shared else None
    if folder is None:
        return _python_import(name, globals, locals, fromlist, level)
    full = importlib.util.resolve_name("." * level + name, package) if level else name
    module = folder.load(full)
    if not fromlist:
        return folder.load(top)
    for child in getattr(module, "__all__", ()) if "*" in fromlist else fromlist:
        if hasattr(module, "__path__") and not hasattr(module, child):
            folder.load_if_any(f"{full}.{child}")
    return module


class _Finder:
    """Finds modules of the folders, after installed modules and before other entries of the path."""

    def find_spec(self, name: str, path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        """Find a module; packages without ``__init__.py`` are left to Python's own finder."""
        top = name.partition(".")[0]
        if top in _shared:
            owners = _shared[top]
            folder = _find_caller(owners) or next((folder for folder in _registered if folder in owners), None)
            return None if folder is None else ModuleSpec(name, _SharedLoader(folder))
        if path is None:
            folder = _find_caller(_registered) or _registered[0]
            if name.startswith(ALIAS):
                return folder.find(name)
            found = folder.find(name)
            return found if found is not None and found.loader is not None and not find_installed(name) else None
        for place in path:
            if _folder_of(f"{place}/") is not None:
                found = FileFinder(place, *_LOADERS).find_spec(name)
                if found is not None and found.loader is not None:
                    return found
        return None


class _SharedLoader(Loader):
    """Loads a folder's module of a shared name, and gives the proxy to ``importlib``."""

    def __init__(self, folder: FolderModules) -> None:
        self._folder = folder

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self._folder.load(spec.name)
        return _SharedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


_finder = _Finder()


def _digest(file: str) -> bytes:
    try:
        return hashlib.sha256(Path(file).read_bytes()).digest()
    except OSError:
        return b"missing"
