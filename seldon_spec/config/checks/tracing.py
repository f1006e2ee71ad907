"""What ``server.tracing`` needs beside this package. Imports none of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

from seldon_spec.config.model import Spec
from seldon_spec.errors import Diagnostic, Origin, Severity, SpecError

EXTRA = "tracing"
"""The name of the extra that installs it."""

_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "opentelemetry.exporter.otlp.proto.grpc")


_OLD_NAMES = ("TRACING", "--tracing")
"""Who asked in these words asked for another tracer, and is served in any case."""


def check_tracing(origin: Origin) -> Iterator[Diagnostic]:
    """Note that packages are missing: only where the server starts does that matter.

    Args:
        origin: where ``server.tracing`` is set.
    """
    if not all(_is_there(module) for module in _NEEDED):
        is_old = origin.name in _OLD_NAMES
        yield Diagnostic(
            "missing-package",
            f"server.tracing needs packages that are not installed here{': nothing is traced' if is_old else ''}",
            origin,
            Severity.WARNING if is_old else Severity.NOTE,
            ("server", "tracing"),
            help=f"pip install 'seldon-spec[{EXTRA}]'",
        )


def settle_tracing(spec: Spec) -> Spec:
    """What is served where ``load`` has found that packages are missing: nothing, or the same without tracing.

    Raises:
        SpecError: a package is missing, and a key of ours asks for it.
    """
    told = [finding for finding in spec.diagnostics if finding.code == "missing-package"]
    if not told:
        return spec
    if spec.origin("server", "tracing").name not in _OLD_NAMES:
        raise SpecError(tuple(replace(finding, severity=Severity.ERROR) for finding in told))
    return replace(spec, server=replace(spec.server, tracing=False))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # a package above it is missing
        return False
