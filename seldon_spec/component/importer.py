"""The class by its name: "package.module.Class", or "Class" for class Class in Class.py (contract section 3.1)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seldon_spec.component.failure import user_code
from seldon_spec.errors import ComponentFailed


def split_class_name(class_name: str) -> tuple[str, str]:
    """The module and the attribute that a class name means, e.g. ``("pkg.module", "Class")``."""
    module, _, attribute = class_name.rpartition(".")
    return (module or attribute), attribute


def import_class(class_name: str, folder: Path) -> Callable[..., Any]:
    """Import the user's class, or another callable that makes the object; its module is run.

    Args:
        class_name: as the spec has it.
        folder: where the class is looked for, after everything that is installed.

    Raises:
        ComponentFailed: there is no such module, it has no such attribute, or that cannot be called; or the module
            raised, and then ``__cause__`` is what it raised.
    """
    _add_to_path(folder)
    name, attribute = split_class_name(class_name)
    module = _import_module(name, folder)
    try:
        found = getattr(module, attribute)
    except AttributeError:
        place = getattr(module, "__file__", None) or name
        raise ComponentFailed(f'class_name: {place} defines no class "{attribute}"') from None
    if not callable(found):
        raise ComponentFailed(f'class_name: "{attribute}" in {module.__file__} is not a class but {found!r:.100}')
    maker: Callable[..., Any] = found
    return maker


def _add_to_path(folder: Path) -> None:
    # At the end, as the original does with the current directory: a file of the user's named like an installed package
    # must not take that package's place in the imports of others.
    place = str(folder.resolve())
    if place not in sys.path:
        sys.path.append(place)


def _import_module(name: str, folder: Path) -> ModuleType:
    with user_code():
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not _is_part(error.name, name):
                raise
            missing = error.name
    raise ComponentFailed(f'class_name: there is no module "{missing}" in {folder} nor among what is installed')


def _is_part(missing: str | None, name: str) -> bool:
    """Whether the module that was not found is the one asked for, or a package around it."""
    return missing is not None and f"{name}.".startswith(f"{missing}.")
