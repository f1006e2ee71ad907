"""The importer of the replacement for ``seldon_core``; last in ``sys.meta_path``, so that an installed package wins."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

logger = logging.getLogger(__name__)

PACKAGE = "seldon_core"

REPLACEMENTS: dict[str, str | None] = {
    PACKAGE: "seldon_spec.compat.package",
    f"{PACKAGE}.flask_utils": "seldon_spec.compat.flask_utils",
    f"{PACKAGE}.metrics": "seldon_spec.compat.metrics",
    f"{PACKAGE}.microservice": "seldon_spec.compat.microservice",
    f"{PACKAGE}.proto": None,
    f"{PACKAGE}.proto.prediction_pb2": "seldon_spec.compat.prediction_pb2",
    f"{PACKAGE}.proto.prediction_pb2_grpc": "seldon_spec.compat.prediction_pb2_grpc",
    f"{PACKAGE}.seldon_client": "seldon_spec.compat.seldon_client",
    f"{PACKAGE}.storage": "seldon_spec.compat.storage",
    f"{PACKAGE}.user_model": "seldon_spec.compat.user_model",
    f"{PACKAGE}.utils": "seldon_spec.compat.conversion",
    f"{PACKAGE}.version": "seldon_spec.compat.version",
}
"""The module with the public names of each replaced module; None for a package that only contains modules."""


def install() -> None:
    """Make ``import seldon_core`` work if that package is not installed.

    ``serve``, ``predict`` and ``make_app`` call this before they load the class; a test of the class calls it itself.
    Further calls have no effect. The first import is logged. A missing module or name is an ImportError that lists the
    available ones.
    """
    if not any(isinstance(finder, SeldonCoreFinder) for finder in sys.meta_path):
        sys.meta_path.append(SeldonCoreFinder())


class SeldonCoreFinder(MetaPathFinder):
    """Finds the modules of the table, after every other finder has failed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - of the protocol
        target: ModuleType | None = None,  # noqa: ARG002 - of the protocol
    ) -> ModuleSpec | None:
        """Return the spec of a replacement module.

        Raises:
            ModuleNotFoundError: the replacement has no such module.
        """
        if fullname != PACKAGE and not (fullname.startswith(f"{PACKAGE}.") and _is_replacement()):
            return None
        if fullname not in REPLACEMENTS:
            known = ", ".join(name for name in REPLACEMENTS if name != PACKAGE)
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: seldon-spec replaces seldon-core; available: {known}",
                name=fullname,
            )
        return _spec_of(fullname)


def _is_replacement() -> bool:
    """Return whether the imported package is the replacement, not an installed one without this module."""
    spec = getattr(sys.modules.get(PACKAGE), "__spec__", None)
    return isinstance(getattr(spec, "loader", None), _ReplacementLoader)


def _spec_of(fullname: str) -> ModuleSpec:
    names = ", ".join(_names_of(fullname)) or "modules only"
    is_package = any(name.startswith(f"{fullname}.") for name in REPLACEMENTS)
    # Python shows the origin in "cannot import name … from … (origin)"
    origin = f"seldon-spec replaces seldon-core; available here: {names}"
    spec = ModuleSpec(fullname, _ReplacementLoader(), origin=origin, is_package=is_package)
    spec.has_location = True
    return spec


def _names_of(fullname: str) -> list[str]:
    source = REPLACEMENTS[fullname]
    return [] if source is None else list(import_module(source).__all__)


class _ReplacementLoader(Loader):
    """Copies the public names into the replacement module."""

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == PACKAGE:
            logger.warning(
                "seldon_core is not installed: seldon-spec replaces it, with the names that classes are known to use"
            )
        source = REPLACEMENTS[module.__name__]
        names = _names_of(module.__name__)
        for name in names:
            setattr(module, name, getattr(import_module(str(source)), name))
        module.__doc__ = f"The replacement of seldon-spec for {module.__name__}."
        module.__dict__["__all__"] = names
        module.__dict__["__getattr__"] = _make_getattr(module.__name__, names)


def _make_getattr(module: str, names: Sequence[str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a module, whose error lists the available names."""

    def refuse(name: str) -> object:
        raise AttributeError(
            f"module {module!r} has no attribute {name!r}: seldon-spec replaces seldon-core; available here:"
            f" {', '.join(names) or 'modules only'}"
        )

    return refuse
