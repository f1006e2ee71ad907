"""What both command lines do to serve: read a spec, serve it, and read it again while it is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from seldon_spec.cli.exit_codes import tell
from seldon_spec.config.checks.extras import require_engine
from seldon_spec.config.checks.tls import require_tls
from seldon_spec.config.checks.tracing import settle_tracing
from seldon_spec.config.model import Spec
from seldon_spec.errors import SpecError


def serve(read: Callable[[Mapping[str, str]], Spec], *, is_watched: bool = False, profiled: Path | None = None) -> None:
    """Serve until SIGTERM; SIGHUP reads the spec again.

    Args:
        read: makes the spec of the process's variables; raises SpecError.
        is_watched: whether an edit of a file in the spec's folder does so too.
        profiled: the file that a profile is written to; None: none is taken.

    Raises:
        SpecError: the spec is wrong, a secret or a certificate cannot be read, or a package is missing.
        NoProfile: a profile is wanted, and cannot be taken.
        BindFailed: a port cannot be had.
        ComponentFailed: the class could not be built.
    """
    from seldon_spec.app import Preparation
    from seldon_spec.process.profile import Profile
    from seldon_spec.process.run import serve as serve_spec
    from seldon_spec.process.spec_reloader import SpecReloader

    preparation = Preparation()

    def read_prepared() -> Spec:
        spec = read(preparation.variables)
        require_engine(spec)
        spec = settle_tracing(spec)
        require_tls(spec)
        prepared = preparation.prepare(spec)
        tell(spec.diagnostics, is_summed_up=False)
        return prepared

    renewal = SpecReloader(read_prepared, _tell_wrong, _find_patterns if is_watched else None)
    profile = None if profiled is None else Profile(profiled)
    serve_spec(read_prepared(), renewal, profile)


def _tell_wrong(error: SpecError) -> None:
    tell(error.diagnostics, is_summed_up=False)


def _find_patterns(spec: Spec) -> list[str]:
    from seldon_spec.cli.image import find_patterns  # only for whom the folder is watched

    return find_patterns(spec)
