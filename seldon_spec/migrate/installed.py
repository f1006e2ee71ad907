"""RUN instructions: the requirements, package indexes and system packages that they install.

Of other commands only the names of the programs are reported, because arguments may contain passwords.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seldon_spec.config.paths import is_file, is_inside
from seldon_spec.errors import FieldPath, Position
from seldon_spec.migrate.candidates import Gathered, Rank
from seldon_spec.migrate.copied import find_source
from seldon_spec.migrate.image_parts import find_objection
from seldon_spec.migrate.instructions import Instruction
from seldon_spec.migrate.shell_lexer import UnclosedQuote, Word, read_words
from seldon_spec.migrate.variables import is_secret

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,\s-]*\])?\s*((==|>=|<=|~=|!=|<|>)[^@/\\]*)?")
_FILE_FLAG = re.compile(r"(?:-r|--requirement=?)(?P<file>.*)")
_PIP_VALUES = frozenset(
    {"--trusted-host", "-f", "--find-links", "-c", "--constraint", "-t", "--target", "--timeout", "--retries"}
    | {"--proxy", "--cert", "--cache-dir", "--root-user-action", "--platform", "--python-version"}
)
"""Flags of pip with a value and without an equivalent key."""

_INDEXES: Mapping[str, FieldPath] = {
    "-i": ("image", "index_url"),
    "--index-url": ("image", "index_url"),
    "--extra-index-url": ("image", "extra_index_urls"),
}
_PYTHON = re.compile(r"(python|pypy)[0-9.]*")
_TOOLS = frozenset({"pip", "setuptools", "wheel"})
_USUAL = frozenset({"mkdir", "chown", "chmod", "chgrp", "cd", "rm", "true", "set", "assemble"})
"""Programs whose effect the new image has anyway, or does not need."""

_BUILD_TOOLS = frozenset(
    {"build-essential", "gcc", "g++", "gfortran", "make", "cmake", "ninja-build", "clang", "cython3", "swig", "cargo"}
    | {"rustc", "autoconf", "automake", "libtool", "pkg-config", "python3-dev", "python-dev", "git", "git-core"}
    | {"mercurial", "subversion", "patch", "binutils", "libc6-dev", "libc-dev", "musl-dev"}
)
"""Debian packages needed only for installing. Not ``lib*-dev``: what is built with a library needs it at run time."""

_NO_REQUIREMENT = "it does not install a plain requirement: add it to requirements.txt"
_STEPS = "it is not migrated: add instructions to image.steps if you need them"


@dataclass(frozen=True, slots=True)
class Run:
    """One RUN, with its context."""

    folder: Path
    work_folder: str
    position: Position
    gathered: Gathered

    def leave_out(self, what: str, why: str) -> None:
        """Record something that is not migrated."""
        self.gathered.leave_out(self.position, what, why)

    def add(self, path: FieldPath, item: str, label: str) -> None:
        """Add an item of a list, if the schema accepts it."""
        objection = find_objection(path, [item], self.position)
        if objection is None:
            self.gathered.add_item(path, item, self.position, label, Rank.IMAGE)
        else:
            self.leave_out(label, f"{path[-1]} does not accept it: {objection}")


def read_run(folder: Path, work_folder: str, run: Instruction, known: Mapping[str, str], gathered: Gathered) -> None:
    """Add what a RUN installs, and report the programs of its other commands.

    Args:
        folder: the migrated folder.
        work_folder: the working directory of the image; paths of the RUN are relative to it.
        run: the instruction.
        known: the variables that it can use.
        gathered: receives the results.
    """
    here = Run(folder, work_folder, run.position(), gathered)
    if run.text.startswith("[") or "<<" in run.text:
        here.leave_out("RUN", _STEPS)
        return
    try:
        words = read_words(run.text, known, is_shell=True)
    except UnclosedQuote as error:
        here.leave_out("RUN", f"it cannot be read: {error}")
        return
    others = [_program(command) for command in _split(words) if not _read_installer(here, command)]
    if others:
        here.leave_out(f"RUN {', '.join(dict.fromkeys(others))}", _STEPS)


def _split(words: Sequence[Word]) -> list[list[Word]]:
    """Split at shell operators; remove flags of RUN and prefixes such as sudo."""
    commands: list[list[Word]] = [[]]
    for word in words:
        if word.is_operator:
            commands.append([])
        elif commands[-1] or not (word.text.startswith("--") or word.text in ("sudo", "exec")):
            commands[-1].append(word)
    return [command for command in commands if command]


def _program(command: Sequence[Word]) -> str:
    word = command[0]
    name = posixpath.basename(word.text)
    return name if not word.variables and re.fullmatch(r"[A-Za-z0-9._+-]{1,40}", name) else "a command"


def _read_installer(here: Run, command: list[Word]) -> bool:
    """Add what a command installs; return whether nothing of it has to be reported."""
    texts = [word.text for word in command]
    if len(texts) >= 3 and _PYTHON.fullmatch(posixpath.basename(texts[0])) and texts[1:3] == ["-m", "pip"]:
        command, texts = command[2:], texts[2:]
    program = posixpath.basename(texts[0])
    if re.fullmatch(r"pip[0-9.]*", program):
        _read_pip(here, command[texts.index("install") + 1 :] if "install" in texts else [])
        return True
    if program in ("apt-get", "apt"):
        _read_apt(here, command[texts.index("install") + 1 :] if "install" in texts else [])
        return True
    return program in _USUAL


def _read_apt(here: Run, words: Sequence[Word]) -> None:
    for word in words:
        if word.unknown:
            here.leave_out("RUN apt-get install", f"a name is known only during the build: {word.unknown[0]}")
        elif word.text and not word.text.startswith(("-", "/")):
            is_tool = word.text.partition("=")[0] in _BUILD_TOOLS
            key = "build_packages" if is_tool else "system_packages"
            here.add(("image", key), word.text, "RUN apt-get install")


def _read_pip(here: Run, words: list[Word]) -> None:
    while words:
        word = words.pop(0)
        flag, equals, text = word.text.partition("=")
        file = _FILE_FLAG.fullmatch(word.text)
        if file is not None:
            _add_requirements(here, file["file"] or _next(words))
        elif flag in _INDEXES:
            _add_index(here, flag, text if equals else _next(words))
        elif flag in _PIP_VALUES:
            _ = equals or _next(words)
        elif flag in ("-e", "--editable"):
            _ = equals or _next(words)
            here.leave_out("RUN pip install", _NO_REQUIREMENT)
        elif not word.text.startswith("-"):
            _take_package(here, word)


def _next(words: list[Word]) -> str:
    return words.pop(0).text if words else ""


def _add_index(here: Run, flag: str, url: str) -> None:
    path = _INDEXES[flag]
    objection = find_objection(path, url if path[-1] == "index_url" else [url], here.position)
    if objection is not None or is_secret("", url):
        why = f"{'.'.join(path)} takes a URL without credentials; pass a password to the build as the secret netrc"
        here.leave_out(f"pip's {flag}", why)
    elif path[-1] == "index_url":
        here.gathered.add(path, url, here.position, f"RUN pip {flag}", Rank.IMAGE)
    else:
        here.gathered.add_item(path, url, here.position, f"RUN pip {flag}", Rank.IMAGE)


def _add_requirements(here: Run, file: str) -> None:
    """Add the requirements file, with its path in the folder."""
    within = posixpath.relpath(file, here.work_folder) if file.startswith("/") else posixpath.normpath(file)
    copied = find_source(here.folder, here.gathered.copies, posixpath.join(here.work_folder, file))
    for name in (copied, within, posixpath.basename(file)):
        if name and is_inside(here.folder, name) and is_file(here.folder / name):
            here.add(("image", "requirements"), name, "RUN pip install -r")
            return
    here.leave_out("RUN pip install -r", "the folder has no such file")


def _take_package(here: Run, word: Word) -> None:
    name = re.split(r"[\[=<>~!@ ;]", word.text, maxsplit=1)[0].lower()
    if name in _TOOLS or word.text in (".", "./"):
        return
    if not word.unknown and _REQUIREMENT.fullmatch(word.text):
        here.gathered.packages.append((word.text, here.position))
    else:
        here.leave_out("RUN pip install", _NO_REQUIREMENT)
