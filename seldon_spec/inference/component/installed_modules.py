"""Whether a module or a file belongs to the standard library or to an installed package."""

from __future__ import annotations

import functools
import sys
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_PACKAGE = str(Path(__file__).resolve().parents[2])


@functools.lru_cache(4096)
def is_installed_file(file: str) -> bool:
    """Whether a file belongs to the standard library or to an installed package, this one included."""
    parts = Path(file).parts
    return (
        "site-packages" in parts
        or "dist-packages" in parts
        or file.startswith(tuple(f"{place}/" for place in (*_INSTALLED, _PACKAGE)))
    )


def is_installed(module: ModuleType) -> bool:
    """Whether a module belongs to the standard library, or to an installed package."""
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return file is None or is_installed_file(str(file))


def find_installed(name: str) -> bool:
    """Whether an installed package, or the standard library, has a top-level module of this name."""
    if name in sys.stdlib_module_names or name == "seldon_spec":
        return True
    places = [place for place in sys.path if is_installed_file(f"{place}/")]
    return PathFinder.find_spec(name, places) is not None
