"""Reads the spec of a running server again: on SIGHUP, and with ``serve --reload`` when a file has changed."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from seldon_spec.config.model import Spec
from seldon_spec.errors import SpecError
from seldon_spec.observability.logs import configure_logs
from seldon_spec.process.file_watcher import FileWatcher

logger = logging.getLogger(__name__)

_FIXED = ("host", "engine", "workers", "preload")
"""Keys of ``server`` that take effect when the server starts, as those of ``ports`` do."""
_PORTS = ("http", "grpc", "metrics")
_MAX_NAMES = 3


class WatchedFolder(NamedTuple):
    """A folder whose files are watched; the arguments of ``FileWatcher``."""

    folder: Path
    file: str
    patterns: Sequence[str]


class SpecReloader:
    """Reads a spec again.

    Args:
        read_again: reads the spec, ready to serve; raises SpecError if it is invalid.
        report: prints the diagnostics of an invalid spec.
        find_watched: returns the folders to watch for a spec, each once; None: no file is watched.
    """

    def __init__(
        self,
        read_again: Callable[[], Spec],
        report: Callable[[SpecError], object],
        find_watched: Callable[[Spec], Sequence[WatchedFolder]] | None = None,
    ) -> None:
        self._read_again = read_again
        self._report = report
        self._find_watched = find_watched
        self._watchers: dict[Path, FileWatcher] = {}

    def begin(self, spec: Spec) -> None:
        """Start to watch the files, if they are to be watched."""
        self._watch(spec)
        if self._watchers:
            folders = ", ".join(str(folder) for folder in self._watchers)
            logger.info("watching %s: a changed file replaces the workers", folders)

    @property
    def due(self) -> float | None:
        """When to call ``describe_change`` next, by ``time.monotonic``; None: never."""
        return min((watcher.due for watcher in self._watchers.values()), default=None)

    def describe_change(self) -> str:
        """Describe what has changed since the last call; empty: nothing, or a file is still being written."""
        changed = [*self._find_changed()]
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
        with contextlib.suppress(OSError):  # a file with patterns is being replaced, which is the next change
            self._watch(spec)
        return spec

    def _watch(self, spec: Spec) -> None:
        """Watch the folders of a spec from now on; changes in those that were watched before are still found."""
        watched = (
            {} if self._find_watched is None else {each.folder.resolve(): each for each in self._find_watched(spec)}
        )
        for folder in self._watchers.keys() - watched.keys():
            del self._watchers[folder]
        for folder, each in watched.items():
            if folder in self._watchers:
                self._watchers[folder].follow(each.patterns)
            else:
                self._watchers[folder] = FileWatcher(*each)

    def _find_changed(self) -> Iterator[str]:
        """Yield the paths that have changed, relative to the first folder."""
        now = time.monotonic()
        first = next(iter(self._watchers), None)
        for folder, watcher in self._watchers.items():
            if watcher.due <= now:
                for path in watcher.find_changed():
                    yield path if folder == first else os.path.relpath(folder / path, first)


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
