"""The extras of this package that keys of ``server`` need. Imports none of their packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from seldon_spec.config.checks.tracing import EXTRA as TRACING
from seldon_spec.config.model import Spec
from seldon_spec.errors import Diagnostic, Origin, Severity, SpecError

UVICORN = "uvicorn"


def find_extras(server: Mapping[str, Any]) -> dict[str, str]:
    """Return the extras that the values of ``server`` need, each with the key that needs it."""
    extras = {}
    if server.get("tracing"):
        extras[TRACING] = "server.tracing"
    if server.get("engine") == "uvicorn":
        extras[UVICORN] = "server.engine"
    return extras


def check_engine(origin: Origin) -> Iterator[Diagnostic]:
    """Yield a note if uvicorn is not installed; only ``serve`` needs it.

    Args:
        origin: the origin of ``server.engine``.
    """
    if find_spec("uvicorn") is None:
        yield Diagnostic(
            "missing-package",
            "server.engine: uvicorn needs a package that is not installed here",
            origin,
            Severity.NOTE,
            ("server", "engine"),
            help=f"pip install 'seldon-spec[{UVICORN}]', or remove server.engine",
        )


def require_engine(spec: Spec) -> None:
    """Check that the server can use ``server.engine``.

    Raises:
        SpecError: uvicorn is not installed.
    """
    missing = [d for d in spec.diagnostics if d.code == "missing-package" and d.path == ("server", "engine")]
    if missing:
        raise SpecError(tuple(replace(d, severity=Severity.ERROR) for d in missing))
