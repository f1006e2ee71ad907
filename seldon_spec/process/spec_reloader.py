"""Reads the spec of a running server again: on SIGHUP, and with ``serve --reload`` when a file has changed."""

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

_FIXED = ("host", "engine", "workers")
"""Keys of ``server`` that take effect when ports are bound and memory is shared, as those of ``ports`` do."""
_PORTS = ("http", "grpc", "metrics")
_MAX_NAMES = 3


class SpecReloader:
    """Reads a spec again.

    Args:
        read_again: reads the spec, ready to serve; raises SpecError if it is invalid.
        report: prints the diagnostics of an invalid spec.
        find_patterns: returns the files of a spec's folder that are not watched, as the lines of a .dockerignore; None:
            no file is watched.
    """

    def __init__(
        self,
        read_again: Callable[[], Spec],
        report: Callable[[SpecError], object],
        find_patterns: Callable[[Spec], Sequence[str]] | None = None,
    ) -> None:
        self._read_again = read_again
        self._report = report
        self._find_patterns = find_patterns
        self._watcher: FileWatcher | None = None

    def begin(self, spec: Spec) -> None:
        """Start to watch the files, if they are to be watched."""
        if self._find_patterns is not None:
            self._watcher = FileWatcher(spec.folder, spec.file, self._find_patterns(spec))
            logger.info("watching %s: a changed file replaces the workers", spec.folder.resolve())

    @property
    def due(self) -> float | None:
        """When to call ``describe_change`` next, by ``time.monotonic``; None: never."""
        return None if self._watcher is None else self._watcher.due

    def describe_change(self) -> str:
        """Describe what has changed since the last call; empty: nothing, or a file is still being written."""
        changed = [] if self._watcher is None else self._watcher.find_changed()
        if not changed:
            return ""
        if len(changed) == 1:
            return f"{changed[0]} has changed"
        named, others = changed[:_MAX_NAMES], len(changed) - _MAX_NAMES
        *first, last = [*named, f"{others} more"] if others > 0 else named
        return f"{', '.join(first)} and {last} have changed"

    def read(self, before: Spec) -> Spec | None:
        """Return the spec as it is now, except for the keys that require a restart, and apply its log settings.

        Args:
            before: the spec that is served.

        Returns:
            None if the spec is invalid, which is reported.
        """
        try:
            spec = _keep_fixed(self._read_again(), before)
        except SpecError as error:
            self._report(error)
            logger.error("the spec is invalid: keeping the previous one")
            return None
        configure_logs(spec.server.log)
        if self._watcher is not None and self._find_patterns is not None:
            with contextlib.suppress(OSError):  # a file with patterns is being replaced, which is the next change
                self._watcher.follow(self._find_patterns(spec))
        return spec


def _keep_fixed(spec: Spec, before: Spec) -> Spec:
    """Return a newer spec with the fixed keys of the one before, and log a warning if they differ."""
    kept = {key: getattr(before.server, key) for key in _FIXED}
    if (spec.server.tls is None) != (before.server.tls is None):
        kept["tls"] = before.server.tls
    changed = [f"server.{key}" for key, value in kept.items() if getattr(spec.server, key) != value]
    changed += [f"ports.{key}" for key in _PORTS if getattr(spec.ports, key) != getattr(before.ports, key)]
    if changed:
        logger.warning("%s changed: restart required", ", ".join(changed))
    return replace(spec, ports=before.ports, server=replace(spec.server, **kept))
