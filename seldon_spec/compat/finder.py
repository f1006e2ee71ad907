"""Stands in for the package ``seldon_core``: an importer at the very end, so that an installed package wins."""

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

STAND_INS: dict[str, str | None] = {
    PACKAGE: "seldon_spec.compat.package",
    f"{PACKAGE}.flask_utils": "seldon_spec.compat.flask_utils",
    f"{PACKAGE}.metrics": "seldon_spec.compat.metrics",
    f"{PACKAGE}.microservice": "seldon_spec.compat.microservice",
    f"{PACKAGE}.proto": None,
    f"{PACKAGE}.proto.prediction_pb2": "seldon_spec.compat.prediction_pb2",
    f"{PACKAGE}.proto.prediction_pb2_grpc": "seldon_spec.compat.prediction_pb2_grpc",
    f"{PACKAGE}.storage": "seldon_spec.compat.storage",
    f"{PACKAGE}.user_model": "seldon_spec.compat.user_model",
    f"{PACKAGE}.utils": "seldon_spec.compat.conversion",
    f"{PACKAGE}.version": "seldon_spec.compat.version",
}
"""The module of ours whose public names each of theirs has; None: a package that holds modules only."""


def install() -> None:
    """Let ``import seldon_core`` find what a user's class needs of it, where that package is not installed.

    ``serve``, ``predict`` and ``make_app`` do this before they load the class; a test of the class does it itself. Said
    again it changes nothing. The first import that it answers is logged. A module or a name that is not here is an
    ImportError which says what is.
    """
    if not any(isinstance(finder, SeldonCoreFinder) for finder in sys.meta_path):
        sys.meta_path.append(SeldonCoreFinder())


class SeldonCoreFinder(MetaPathFinder):
    """Finds the modules of the table, once every other finder has failed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol's
    ) -> ModuleSpec | None:
        """The spec of a module that stands in.

        Raises:
            ModuleNotFoundError: there is no such module in the package that stands in.
        """
        if fullname != PACKAGE and not (fullname.startswith(f"{PACKAGE}.") and _stands_in()):
            return None
        if fullname not in STAND_INS:
            known = ", ".join(name for name in STAND_INS if name != PACKAGE)
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: seldon-spec stands in for seldon-core, and has {known}", name=fullname
            )
        return _spec_of(fullname)


def _stands_in() -> bool:
    """Whether the package that is being imported from is ours, and not an installed one without this module."""
    spec = getattr(sys.modules.get(PACKAGE), "__spec__", None)
    return isinstance(getattr(spec, "loader", None), _StandInLoader)


def _spec_of(fullname: str) -> ModuleSpec:
    names = ", ".join(_names_of(fullname)) or "modules only"
    is_package = any(name.startswith(f"{fullname}.") for name in STAND_INS)
    # Python's own "cannot import name … from … (origin)" ends with this: so it tells what there is
    origin = f"seldon-spec stands in for seldon-core, and has here: {names}"
    spec = ModuleSpec(fullname, _StandInLoader(), origin=origin, is_package=is_package)
    spec.has_location = True
    return spec


def _names_of(fullname: str) -> list[str]:
    ours = STAND_INS[fullname]
    return [] if ours is None else list(import_module(ours).__all__)


class _StandInLoader(Loader):
    """Fills a module of theirs with the names of ours."""

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == PACKAGE:
            logger.warning(
                "seldon_core is not installed: seldon-spec answers its import, with what classes are known to use of it"
            )
        ours = STAND_INS[module.__name__]
        names = _names_of(module.__name__)
        for name in names:
            setattr(module, name, getattr(import_module(str(ours)), name))
        module.__doc__ = f"What seldon-spec has in the place of {module.__name__}."
        module.__dict__["__all__"] = names
        module.__dict__["__getattr__"] = _refuser(module.__name__, names)


def _refuser(module: str, names: Sequence[str]) -> Callable[[str], object]:
    """A module's ``__getattr__``, which says what there is."""

    def refuse(name: str) -> object:
        raise AttributeError(
            f"module {module!r} has no attribute {name!r}: seldon-spec stands in for seldon-core, and has here:"
            f" {', '.join(names) or 'modules only'}"
        )

    return refuse
