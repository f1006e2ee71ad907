"""Check that the packages for ``server.tracing`` are installed, without importing them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

from seldon_spec.config.model import Spec
from seldon_spec.errors import Diagnostic, Origin, Severity, SpecError

EXTRA = "tracing"
"""The extra that installs the packages."""

_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "opentelemetry.exporter.otlp.proto.grpc")

_OLD_NAMES = ("TRACING", "--tracing")
"""Settings of Seldon Core, which used another tracer: with these the server starts without tracing."""


def check_tracing(origin: Origin) -> Iterator[Diagnostic]:
    """Yield a note if packages are missing; only the server needs them.

    Args:
        origin: the origin of ``server.tracing``.
    """
    if not all(_is_installed(module) for module in _NEEDED):
        is_old = origin.name in _OLD_NAMES
        yield Diagnostic(
            "missing-package",
            f"server.tracing needs packages that are not installed here{': nothing is traced' if is_old else ''}",
            origin,
            Severity.WARNING if is_old else Severity.NOTE,
            ("server", "tracing"),
            help=f"pip install 'seldon-spec[{EXTRA}]'",
        )


def require_tracing(spec: Spec) -> Spec:
    """Return the spec to serve, without tracing if packages are missing and a setting of Seldon Core enabled it.

    Raises:
        SpecError: packages are missing, and ``server.tracing`` was enabled in another way.
    """
    missing = [finding for finding in spec.diagnostics if finding.code == "missing-package"]
    if not missing:
        return spec
    if spec.origin("server", "tracing").name not in _OLD_NAMES:
        raise SpecError(tuple(replace(finding, severity=Severity.ERROR) for finding in missing))
    return replace(spec, server=replace(spec.server, tracing=False))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # a parent package is missing
        return False
