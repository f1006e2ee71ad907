"""Imports the class by its name: "package.module.Class", or "Class" for class Class in Class.py (contract section 3.1).

The module that ``class_name`` names is looked up in the folder first. Other imports find installed modules first, then
the folder: a file named like an installed package does not replace that package in the imports of other code.
"""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.component.failure import user_code
from seldon_spec.inference.component.folder_modules import ALIAS, FolderModules
from seldon_spec.inference.component.installed_modules import find_installed

_IMPORTS_FLASK = re.compile(rb"^[ \t]*(from|import)[ \t]+flask\b", re.MULTILINE)

_lock = threading.RLock()


def split_class_name(class_name: str) -> tuple[str, str]:
    """Return the module and the attribute of a class name, e.g. ``("pkg.module", "Class")``."""
    module, _, attribute = class_name.rpartition(".")
    return (module or attribute), attribute


def import_class(class_name: str, folder: Path) -> Callable[..., Any]:
    """Import the user's class, or another callable that makes the object; its module is executed.

    Modules of the folder that were imported before are reused, unless one of their files has changed: then all of them
    are imported again. Folders whose modules have the same names do not affect each other.

    Args:
        class_name: as in the spec.
        folder: searched for the class before all installed modules.

    Raises:
        ComponentFailed: there is no such module, it has no such attribute, or the attribute is not callable; or the
            module raised, and then ``__cause__`` is its exception.
    """
    name, attribute = split_class_name(class_name)
    modules = FolderModules.of(folder)
    with _lock:
        modules.register()
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


def import_runtime(name: str) -> Callable[..., Any]:
    """Import the function that loads model files of a format.

    Args:
        name: of its module and the function, ``pkg.module:function``.
    """
    module, _, function = name.partition(":")
    loader: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return loader


def register_folder(folder: Path) -> None:
    """Make the modules of a folder importable, as they are for a class of the folder."""
    with _lock:
        FolderModules.of(folder).register()


def imports_flask(folder: Path) -> bool:
    """Whether an imported module of a folder imports Flask, at its top or in a function."""
    files = FolderModules.of(folder).source_files()
    return any(_IMPORTS_FLASK.search(Path(file).read_bytes()) is not None for file in files)


def module_imports_flask(name: str) -> bool:
    """Whether an imported module imports Flask; without a file, as in a notebook: whether it has ``flask``."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        return hasattr(module, "flask")
    return _IMPORTS_FLASK.search(Path(file).read_bytes()) is not None


def _import_module(name: str, modules: FolderModules) -> ModuleType:
    top, _, rest = name.partition(".")
    with user_code():
        try:
            if modules.find(top) is not None and (find_installed(top) or not modules.can_import(top)):
                top = f"{ALIAS}{top}"
            return modules.import_module(f"{top}.{rest}" if rest else top)
        except ModuleNotFoundError as error:
            if not _is_part(error.name, f"{top}.{rest}" if rest else top):
                raise
            missing = error.name.removeprefix(ALIAS) if error.name else name
    raise ComponentFailed(f'class_name: there is no module "{missing}" in {modules.folder} nor among what is installed')


def _is_part(missing: str | None, name: str) -> bool:
    """Return True if the module that was not found is the requested one or a package around it."""
    return missing is not None and f"{name}.".startswith(f"{missing}.")
