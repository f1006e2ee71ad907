"""The source of a file of the old image, according to its COPY and ADD instructions."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seldon_spec.config.paths import is_file, is_folder, is_inside
from seldon_spec.errors import Position
from seldon_spec.migrate.candidates import Copy, Gathered
from seldon_spec.migrate.shell_lexer import Word


@dataclass(frozen=True, slots=True)
class CopyWords:
    """The paths of a COPY or ADD, and whether it copies from another image or stage."""

    sources: tuple[str, ...]
    target: str
    is_from_elsewhere: bool


def read_copy(text: str, words: Sequence[Word]) -> CopyWords | None:
    """Return what an instruction copies; None where it cannot be followed, such as a here-document or a URL."""
    flags = [word.text for word in words if word.text.startswith("--")]
    rest = text
    for flag in flags:
        rest = rest.replace(flag, "", 1)
    paths = [word.text for word in words if not word.text.startswith("--")]
    if any(word.unknown for word in words):
        return None
    if rest.strip().startswith("["):
        try:
            paths = [str(each) for each in json.loads(rest)]
        except (ValueError, RecursionError, TypeError):
            return None
    if len(paths) < 2 or any("://" in path or path.startswith("<<") for path in paths):
        return None
    return CopyWords(tuple(paths[:-1]), paths[-1], any(flag.startswith("--from") for flag in flags))


def find_source(folder: Path, copies: Sequence[Copy], path: str) -> str | None:
    """Return the path within the folder of the file that the old image had at a path; None where nothing copied it."""
    for copy in reversed(copies):
        for source in _expand(folder, copy.source):
            found = _within(folder, source, copy, path)
            if found is not None and is_file(folder / found) and is_inside(folder, found):
                return found
    return None


def _within(folder: Path, source: str, copy: Copy, path: str) -> str | None:
    target = posixpath.normpath(copy.target)
    if is_folder(folder / source):
        rest = posixpath.relpath(path, target)
        return None if rest.startswith("../") else posixpath.normpath(posixpath.join(source, rest))
    beside = posixpath.join(target, posixpath.basename(source))
    return source if path in ((beside,) if copy.target.endswith("/") else (beside, target)) else None


def _expand(folder: Path, source: str) -> Iterator[str]:
    plain = posixpath.normpath(source.lstrip("/") or ".")
    if plain.startswith(".."):
        return
    if any(character in plain for character in "*?["):
        yield from (path.relative_to(folder).as_posix() for path in sorted(folder.glob(plain))[:1000])
    else:
        yield plain


def report_moved(folder: Path, work_folder: str, gathered: Gathered) -> None:
    """Report directories with another path in the old image; the new one keeps the layout of the folder."""
    for copy in gathered.copies:
        source = posixpath.normpath(copy.source.lstrip("/") or ".")
        place = posixpath.normpath(posixpath.join(work_folder, source))
        if source == "." or not is_folder(folder / source) or posixpath.normpath(copy.target) == place:
            continue
        why = f"the new image keeps the layout of the folder: its files are in {place}, not in {copy.target}"
        gathered.leave_out(copy.position, f"COPY {copy.source}", why)


def add_copies(words: CopyWords, work_folder: str, position: Position, gathered: Gathered) -> None:
    """Record what an instruction copies from the folder."""
    if not words.is_from_elsewhere:
        target = posixpath.join(work_folder, words.target)
        if len(words.sources) > 1 or words.target.endswith(("/", "/.")) or words.target == ".":
            target = f"{posixpath.normpath(target)}/"
        gathered.copies += [Copy(source, target, position) for source in words.sources]
