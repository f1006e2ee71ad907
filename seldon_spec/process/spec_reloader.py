"""How a running server comes to a newer spec: on SIGHUP, and where it is wanted as soon as a file has changed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from seldon_spec.config.model import Spec
from seldon_spec.errors import SpecError
from seldon_spec.observability.logs import configure_logs
from seldon_spec.process.file_watcher import FileWatcher

logger = logging.getLogger(__name__)

_BOUND = ("host", "engine", "workers")
"""Keys of ``server`` that are settled when ports are bound and memory is shared; ``ports`` are too."""
_PORTS = ("http", "grpc", "metrics")
_NAMED = 3


class SpecReloader:
    """Where newer specs come from.

    Args:
        reread: reads the spec again, ready to serve; raises SpecError if it is wrong.
        tell: prints what is wrong with it.
        find_patterns: which files of a spec's folder are not watched, as the lines of a .dockerignore; None: none is.
    """

    def __init__(
        self,
        reread: Callable[[], Spec],
        tell: Callable[[SpecError], object],
        find_patterns: Callable[[Spec], Sequence[str]] | None = None,
    ) -> None:
        self._reread = reread
        self._tell = tell
        self._find_patterns = find_patterns
        self._watch: FileWatcher | None = None

    def begin(self, spec: Spec) -> None:
        """Watch the files from now on, where that is wanted."""
        if self._find_patterns is not None:
            self._watch = FileWatcher(spec.folder, spec.file, self._find_patterns(spec))
            logger.info("watching %s: an edit replaces the workers", spec.folder.resolve())

    @property
    def due(self) -> float | None:
        """When ``describe_change`` is to be asked again, by ``time.monotonic``; None: never."""
        return None if self._watch is None else self._watch.due

    def describe_change(self) -> str:
        """What has changed since this was last told, in a few words; empty: nothing, or it is still being written."""
        changed = [] if self._watch is None else self._watch.find_changed()
        if not changed:
            return ""
        if len(changed) == 1:
            return f"{changed[0]} has changed"
        named, others = changed[:_NAMED], len(changed) - _NAMED
        *first, last = [*named, f"{others} more"] if others > 0 else named
        return f"{', '.join(first)} and {last} have changed"

    def read(self, before: Spec) -> Spec | None:
        """The spec as it is now, but for what only another start can change; the log goes by it at once.

        Args:
            before: what is served.

        Returns:
            None if it is wrong, which has been told.
        """
        try:
            spec = _keep_bound(self._reread(), before)
        except SpecError as error:
            self._tell(error)
            logger.error("the spec is wrong: the workers go on with the one before")
            return None
        configure_logs(spec.server.log)
        if self._watch is not None and self._find_patterns is not None:
            with contextlib.suppress(OSError):  # a file that the patterns come from is being replaced: that is a change
                self._watch.follow(self._find_patterns(spec))
        return spec


def _keep_bound(spec: Spec, before: Spec) -> Spec:
    """A newer spec with what was settled at the start as it was then; each difference is warned of."""
    kept = {key: getattr(before.server, key) for key in _BOUND}
    if (spec.server.tls is None) != (before.server.tls is None):
        kept["tls"] = before.server.tls
    late = [f"server.{key}" for key, value in kept.items() if getattr(spec.server, key) != value]
    late += [f"ports.{key}" for key in _PORTS if getattr(spec.ports, key) != getattr(before.ports, key)]
    if late:
        logger.warning("only the next start heeds the new %s", ", ".join(late))
    return replace(spec, ports=before.ports, server=replace(spec.server, **kept))
