"""The files of a folder, looked at from time to time: which of them have changed?

No library that watches is asked: those have threads, and whoever forks must not; and where a folder is mounted into a
container, the system tells of many changes not at all.
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
_LOOK_SECONDS = 0.1
_LONGEST_LOOK_SECONDS = 1.0
_LARGEST_SHARE = 0.2
"""Of the time, that looking may take; in a large folder the looks are rarer."""
_RESTLESS_SECONDS = 1.0
_RESTLESS_TIMES = 5
"""A file that changes so often in a row, and each time so soon, is written by a program; code only by its editor."""

_NEVER = (
    "**/.git",
    "**/.venv",
    # what an import writes must not bring about the next import, whatever the folder's own patterns say
    "**/__pycache__",
    "**/*.py[co]",
    # what editors put beside a file while it is open or being saved
    "**/.*.sw?",
    "**/4913",
    "**/*~",
    "**/.#*",
    "**/#*#",
)

_Stamp: TypeAlias = tuple[int, int, int]


class FileWatcher:
    """A watch over a folder. Links are followed to files, but not to folders.

    A file that a program writes to without end, such as a log, is soon watched no more.

    Args:
        folder: the folder.
        always: a file at its top that is watched whatever the patterns say.
        patterns: lines of a .dockerignore; what they leave out is not watched.
        max_files: how many are looked at; beyond that, the deepest are not.

    Attributes:
        due: when the next look is, by ``time.monotonic``.
    """

    def __init__(self, folder: Path, always: str, patterns: Sequence[str], max_files: int = MAX_FILES) -> None:
        self._folder = folder.resolve()
        self._always = always
        self._max_files = max_files
        self._is_bound_told = False
        self._told = 0.0
        self._in_a_row: dict[str, int] = {}
        self._restless: set[str] = set()
        self._set_patterns(patterns)
        self._known = self._latest = self._look()
        self.due = time.monotonic() + _LOOK_SECONDS

    def follow(self, patterns: Sequence[str]) -> None:
        """Go by other patterns; what has changed meanwhile is still found."""
        if tuple(patterns) != self._patterns:
            self._set_patterns(patterns)
            self._latest = self._look()
            self._known = {path: self._known.get(path, stamp) for path, stamp in self._latest.items()}

    def find_changed(self) -> list[str]:
        """Look at the files.

        Returns:
            The paths, within the folder, of those that are new, gone or other than when they were last told of; empty
            as long as two looks differ, for then somebody is still writing.
        """
        began = time.monotonic()
        before, self._latest = self._latest, self._look()
        now = time.monotonic()
        self.due = now + _LOOK_SECONDS
        if self._latest != before:
            return []
        self.due = now + min(max(_LOOK_SECONDS, (now - began) / _LARGEST_SHARE), _LONGEST_LOOK_SECONDS)
        if self._latest == self._known:
            return []
        known, self._known = self._known, self._latest
        changed = sorted(path for path in {*known, *self._known} if known.get(path) != self._known.get(path))
        for path in changed:
            _forget_bytecode(self._folder / path)
        self._leave_restless(changed, now)
        return changed

    def _leave_restless(self, changed: Sequence[str], now: float) -> None:
        before = self._in_a_row if now - self._told <= _RESTLESS_SECONDS else {}
        self._told, self._in_a_row = now, {path: before.get(path, 0) + 1 for path in changed}
        for path, times in self._in_a_row.items():
            if times == _RESTLESS_TIMES and path != self._always and not path.endswith(".py"):
                self._restless.add(path)
                self._known.pop(path, None)  # the latest look, too: from now on it is as if the file were not there
                logger.warning("%s changes all the time and is watched no more: name it in image.exclude", path)

    def _set_patterns(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        # a look asks about every file anew, and matching costs more than all the rest
        self._is_watched = lru_cache(self._max_files)(self._match_file)
        self._is_walked = lru_cache(self._max_files)(self._match_folder)

    def _match_file(self, path: str) -> bool:
        return path == self._always or not is_left_out(PurePosixPath(path), (*self._patterns, *_NEVER))

    def _match_folder(self, path: str) -> bool:
        """Whether something below a folder may be watched, if only because of a pattern with ``!``."""
        place = PurePosixPath(path)
        if is_left_out(place, _NEVER):
            return False
        return not is_left_out(place, self._patterns) or any(
            fnmatchcase(place.parts[0], _first_step(line)) for line in self._patterns if line.lstrip().startswith("!")
        )

    def _look(self) -> dict[str, _Stamp]:
        """The files there are, each with what changes when it does."""
        found = {}
        for path, entry in self._walk():
            if path not in self._restless and self._is_watched(path):
                stamp = _stamp(entry)
                if stamp is not None:
                    found[path] = stamp
        return found

    def _walk(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """All that may be watched, the upper ones first."""
        folders, left = deque([""]), self._max_files
        while folders:
            place = folders.popleft()
            entries = _list(self._folder / place, left + 1)
            for entry in entries[:left]:
                path = f"{place}{entry.name}"
                if not entry.is_dir(follow_symlinks=False):
                    yield path, entry
                elif self._is_walked(path):
                    folders.append(f"{path}/")
            left -= len(entries)
            if left < 0:
                self._tell_bound()
                return

    def _tell_bound(self) -> None:
        if not self._is_bound_told:
            self._is_bound_told = True
            logger.warning("%s has more than %d files: not all are watched", self._folder, self._max_files)


def _first_step(pattern: str) -> str:
    steps = [step for step in pattern.strip().removeprefix("!").split("/") if step not in ("", ".")]
    return "*" if not steps or steps[0] == "**" else steps[0]


def _list(folder: Path, most: int) -> list[os.DirEntry[str]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # it may be gone by now
        return list(islice(entries, most))
    return []


def _stamp(entry: os.DirEntry[str]) -> _Stamp | None:
    """None for what is gone by now, for a link to nothing or to a folder, and for what is no file."""
    try:
        status = entry.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _forget_bytecode(source: Path) -> None:
    """Delete what Python has compiled of a file.

    Python takes it for up to date where the file's size and the second of its change are the same, and two edits can be
    made in one second.
    """
    if source.suffix == ".py":
        with contextlib.suppress(OSError):
            Path(importlib.util.cache_from_source(str(source))).unlink()
