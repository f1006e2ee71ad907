"""What a requirements file needs beside itself: the files it includes, or the whole folder.

Knows no Dockerfile. Of the folder it reads the requirements files alone.

Source: pip's documentation, "Requirements File Format".
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CONTINUED = re.compile(r"\\\r?\n")
_COMMENT = re.compile(r"(^|\s)#.*$")
_INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s*=\s*|\s*)(?P<path>.+)")
_LOCAL_OPTION = re.compile(r"(?:-e|-f|--editable|--find-links)(?:\s*=\s*|\s*)(?P<path>.+)")
_ARCHIVES = (".whl", ".tar.gz", ".zip")


@dataclass(frozen=True, slots=True)
class Needed:
    """What has to be in the image before pip reads a requirements file.

    Attributes:
        files: the requirements file and those that it includes, as paths within the folder, each once, as read.
        is_folder: a requirement is itself something of the folder, such as a wheel or ``-e .``: all of it is needed.
    """

    files: tuple[str, ...]
    is_folder: bool


def find_needed(folder: Path, file: str) -> Needed:
    """Follow a requirements file and what it includes.

    Args:
        folder: the user's folder.
        file: a path within it. A file that is not there, or is outside the folder, is left to pip to complain of.
    """
    files: list[str] = []
    is_folder = _follow(folder, posixpath.normpath(file), files)
    return Needed(tuple(files), is_folder)


def _follow(folder: Path, file: str, files: list[str]) -> bool:
    if file in files or file.startswith(("/", "../")) or not (folder / file).is_file():
        return False
    files.append(file)
    is_folder = False
    for line in _lines((folder / file).read_text(encoding="utf-8", errors="replace")):
        if included := _INCLUDE.fullmatch(line):
            path = posixpath.join(posixpath.dirname(file), _unquote(included["path"]))
            is_folder |= _follow(folder, posixpath.normpath(path), files)
        else:
            is_folder |= _is_local(line)
    return is_folder


def _lines(text: str) -> Iterator[str]:
    for line in _CONTINUED.sub(" ", text).splitlines():
        if stripped := _COMMENT.sub("", line).strip():
            yield stripped


def _unquote(path: str) -> str:
    try:
        return " ".join(shlex.split(path))
    except ValueError:
        return path


def _is_local(line: str) -> bool:
    """Whether a line names something of the folder rather than of an index, a URL or a repository."""
    option = _LOCAL_OPTION.fullmatch(line)
    if line.startswith("-") and not option:
        return False
    named = _unquote(option["path"]) if option else line.partition(";")[0].strip()
    if "://" in named:
        return named.partition("@")[2].strip().startswith("file:") or named.startswith("file:")
    is_path = named.startswith(".") or "/" in named.partition("@")[0] or named.lower().endswith(_ARCHIVES)
    return is_path or option is not None or "file:" in named
