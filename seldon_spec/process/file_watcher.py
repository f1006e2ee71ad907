"""Finds the changed files of a folder by polling.

A library for file events is not used: those start threads, which a process that forks must not have, and the system
reports no event for many changes in a folder that is mounted into a container.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import stat
import time
from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from seldon_spec.config.checks.patterns import is_left_out

logger = logging.getLogger(__name__)

MAX_FILES = 20_000
_SCAN_SECONDS = 0.1
_MAX_SCAN_SECONDS = 1.0
_MAX_SCAN_SHARE = 0.2
"""The largest share of the time that scans may take; a large folder is scanned less often."""
_NOISY_SECONDS = 1.0
_NOISY_TIMES = 5
"""A file that changes this many times in a row, each time this soon, is written by a program, not an editor."""

_NEVER = (
    "**/.git",
    "**/.venv",
    # an import writes these: they must never cause the next reload
    "**/__pycache__",
    "**/*.py[co]",
    # temporary files of editors
    "**/.*.sw?",
    "**/4913",
    "**/*~",
    "**/.#*",
    "**/#*#",
)

_Stamp: TypeAlias = tuple[int, int, int]


class FileWatcher:
    """Watches a folder. Links to files are followed, links to folders are not.

    A noisy file, one that a program writes to all the time such as a log, is excluded after a few changes.

    Args:
        folder: the folder.
        always: the name of a file in the folder that is watched regardless of the patterns.
        patterns: lines of a .dockerignore; the files that they exclude are not watched.
        max_files: the largest number of files to scan; the deepest ones are left out.

    Attributes:
        due: the time of the next scan, by ``time.monotonic``.
    """

    def __init__(self, folder: Path, always: str, patterns: Sequence[str], max_files: int = MAX_FILES) -> None:
        self._folder = folder.resolve()
        self._always = always
        self._max_files = max_files
        self._is_limit_logged = False
        self._changed_at = 0.0
        self._in_a_row: dict[str, int] = {}
        self._noisy: set[str] = set()
        self._set_patterns(patterns)
        self._known = self._latest = self._scan()
        self.due = time.monotonic() + _SCAN_SECONDS

    def follow(self, patterns: Sequence[str]) -> None:
        """Use other patterns; changes made in the meantime are still found."""
        if tuple(patterns) != self._patterns:
            self._set_patterns(patterns)
            self._latest = self._scan()
            self._known = {path: self._known.get(path, stamp) for path, stamp in self._latest.items()}

    def find_changed(self) -> list[str]:
        """Scan the files.

        Returns:
            The paths, relative to the folder, that were created, deleted or changed since this was last returned; empty
            while consecutive scans differ, because a file is still being written.
        """
        began = time.monotonic()
        before, self._latest = self._latest, self._scan()
        now = time.monotonic()
        self.due = now + _SCAN_SECONDS
        if self._latest != before:
            return []
        self.due = now + min(max(_SCAN_SECONDS, (now - began) / _MAX_SCAN_SHARE), _MAX_SCAN_SECONDS)
        if self._latest == self._known:
            return []
        known, self._known = self._known, self._latest
        changed = sorted(path for path in {*known, *self._known} if known.get(path) != self._known.get(path))
        for path in changed:
            _delete_bytecode(self._folder / path)
        self._exclude_noisy(changed, now)
        return changed

    def _exclude_noisy(self, changed: Sequence[str], now: float) -> None:
        before = self._in_a_row if now - self._changed_at <= _NOISY_SECONDS else {}
        self._changed_at, self._in_a_row = now, {path: before.get(path, 0) + 1 for path in changed}
        for path, times in self._in_a_row.items():
            if times == _NOISY_TIMES and path != self._always and not path.endswith(".py"):
                self._noisy.add(path)
                self._known.pop(path, None)  # the same object as the latest scan: the file does not count as deleted
                logger.warning("%s changes constantly and is no longer watched: add it to image.exclude", path)

    def _set_patterns(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        # every scan matches every file, which would cost more than the rest of the scan
        self._is_watched = lru_cache(self._max_files)(self._match_file)
        self._is_walked = lru_cache(self._max_files)(self._match_folder)

    def _match_file(self, path: str) -> bool:
        return path == self._always or not is_left_out(PurePosixPath(path), (*self._patterns, *_NEVER))

    def _match_folder(self, path: str) -> bool:
        """Whether a file below a folder may be watched, possibly because of a pattern with ``!``."""
        folder = PurePosixPath(path)
        if is_left_out(folder, _NEVER):
            return False
        return not is_left_out(folder, self._patterns) or any(
            fnmatchcase(folder.parts[0], _first_step(line)) for line in self._patterns if line.lstrip().startswith("!")
        )

    def _scan(self) -> dict[str, _Stamp]:
        """Return the watched files, each with a stamp that changes with the file."""
        found = {}
        for path, entry in self._walk():
            if path not in self._noisy and self._is_watched(path):
                stamp = _stamp(entry)
                if stamp is not None:
                    found[path] = stamp
        return found

    def _walk(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield the files that may be watched, breadth first."""
        folders, left = deque([""]), self._max_files
        while folders:
            folder = folders.popleft()
            entries = _list(self._folder / folder, left + 1)
            for entry in entries[:left]:
                path = f"{folder}{entry.name}"
                if not entry.is_dir(follow_symlinks=False):
                    yield path, entry
                elif self._is_walked(path):
                    folders.append(f"{path}/")
            left -= len(entries)
            if left < 0:
                self._log_limit()
                return

    def _log_limit(self) -> None:
        if not self._is_limit_logged:
            self._is_limit_logged = True
            logger.warning("%s has more than %d files: not all are watched", self._folder, self._max_files)


def _first_step(pattern: str) -> str:
    steps = [step for step in pattern.strip().removeprefix("!").split("/") if step not in ("", ".")]
    return "*" if not steps or steps[0] == "**" else steps[0]


def _list(folder: Path, limit: int) -> list[os.DirEntry[str]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # it may have been deleted
        return list(islice(entries, limit))
    return []


def _stamp(entry: os.DirEntry[str]) -> _Stamp | None:
    """Return None if the entry is deleted, a link to nothing or to a folder, or not a regular file."""
    try:
        status = entry.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _delete_bytecode(source: Path) -> None:
    """Delete the compiled file of a Python file.

    Python uses it if the size and the second of the change match, and two edits can happen within one second.
    """
    if source.suffix == ".py":
        with contextlib.suppress(OSError):
            Path(importlib.util.cache_from_source(str(source))).unlink()
