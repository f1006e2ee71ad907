"""The command that started the old server: its flags, read as the equivalent variables.

Source: contract section 7.1. Nothing is run; other parts of a command are reported without their text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from seldon_spec.errors import Position
from seldon_spec.migrate.candidates import Gathered, Rank
from seldon_spec.migrate.shell_lexer import Word
from seldon_spec.migrate.variables import add_variable

PROGRAM = "seldon-core-microservice"
SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh"})
_MODULE = "seldon_core.microservice"
_S2I_RUN = "/s2i/bin/run"
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_HARMLESS = frozenset({"exec", "python", "python3", "-m", "-u", "env", "tini", "dumb-init", "-g", "--"})

FLAGS = {
    "--service-type": "SERVICE_TYPE",
    "--persistence": "PERSISTENCE",
    "--parameters": "PREDICTIVE_UNIT_PARAMETERS",
    "--log-level": "SELDON_LOG_LEVEL",
    "--debug": "SELDON_DEBUG",
    "--tracing": "TRACING",
    "--workers": "GUNICORN_WORKERS",
    "--threads": "GUNICORN_THREADS",
    "--max-requests": "GUNICORN_MAX_REQUESTS",
    "--max-requests-jitter": "GUNICORN_MAX_REQUESTS_JITTER",
    "--keepalive": "GUNICORN_KEEPALIVE",
    "--single-threaded": "FLASK_SINGLE_THREADED",
    "--http-port": "PREDICTIVE_UNIT_HTTP_SERVICE_PORT",
    "--grpc-port": "PREDICTIVE_UNIT_GRPC_SERVICE_PORT",
    "--metrics-port": "PREDICTIVE_UNIT_METRICS_SERVICE_PORT",
    "--access-log": "GUNICORN_ACCESS_LOG",
    "--grpc-threads": "GRPC_THREADS",
    "--grpc-workers": "GRPC_WORKERS",
    "--pidfile": "",
    "--api-type": "API_TYPE",
}
"""Each flag with the equivalent variable; older releases had ``--api-type``."""

_OPTIONAL_VALUE = frozenset({"--persistence", "--debug", "--tracing", "--access-log"})
_POSITIONALS = ("MODEL_NAME", "API_TYPE")


@dataclass(frozen=True, slots=True)
class Command:
    """The words of a command, and its position."""

    words: Sequence[Word]
    position: Position
    image_rank: Rank = Rank.IMAGE
    """Rank of values that come from a variable of the image."""


def find_script(words: Sequence[Word]) -> str | None:
    """Return the script of ``sh -c SCRIPT``; None for another command."""
    if len(words) >= 3 and posixpath.basename(words[0].text) in SHELLS and re.fullmatch(r"-[a-z]*c", words[1].text):
        return words[2].text
    return None


def read_command(command: Command, gathered: Gathered) -> bool:
    """Add the settings of the flags; return whether the command starts the old server."""
    start = _find_program(command.words)
    if start is None:
        is_s2i = any(word.text == _S2I_RUN for word in command.words)
        if not is_s2i and command.words:
            gathered.leave_out(
                command.position,
                "the command",
                f"it does not start {PROGRAM} in a way that migrate can read; the image runs seldon-spec serve",
            )
        return is_s2i
    _read_before(command, start, gathered)
    end = next((i for i, word in enumerate(command.words) if i > start and word.is_operator), len(command.words))
    if any(word.text not in ("&", ";", ")", "\n") for word in command.words[end : end + 1]):
        gathered.leave_out(command.position, "the command", "the redirection of the server's output is not migrated")
    _Arguments(command, gathered).read(list(command.words[start + 1 : end]))
    return True


def _find_program(words: Sequence[Word]) -> int | None:
    for index, word in enumerate(words):
        if posixpath.basename(word.text) == PROGRAM or word.text == _MODULE:
            return index
    return None


def _read_before(command: Command, start: int, gathered: Gathered) -> None:
    """Read assignments before the program as variables; report anything else."""
    rest: list[Word] = []
    for word in command.words[:start]:
        if _ASSIGNMENT.match(word.text) and not rest:
            name, _, text = word.text.partition("=")
            _add(command, name, Word(text, word.start, word.variables, word.unknown), name, Rank.IMAGE, gathered)
        elif posixpath.basename(word.text) not in _HARMLESS:
            rest.append(word)
    if rest:
        gathered.leave_out(
            command.position, "the command", "what it runs before the server starts: do it in __init__ or load()"
        )


def _add(command: Command, name: str, word: Word, label: str, rank: Rank, gathered: Gathered) -> None:
    if word.unknown:
        names = ", ".join(dict.fromkeys(word.unknown))
        gathered.leave_out(command.position, label, f"it refers to unknown values: {names}")
    else:
        add_variable(gathered, name, word.text, command.position, label, rank)


class _Arguments:
    """Parses the arguments as the old server did."""

    def __init__(self, command: Command, gathered: Gathered) -> None:
        self.command, self.gathered = command, gathered
        self.positionals = 0

    def read(self, words: list[Word]) -> None:
        while words:
            word = words.pop(0)
            if word.text.startswith("--"):
                self._flag(word, words)
            elif word.text or word.variables:
                self._positional(word)

    def _flag(self, word: Word, rest: list[Word]) -> None:
        written, equals, text = word.text.partition("=")
        flags = [written] if written in FLAGS else [flag for flag in FLAGS if flag.startswith(written)]
        if len(flags) != 1:
            self.gathered.leave_out(self.command.position, written, "the old server has no such flag")
            return
        flag = flags[0]
        if equals:
            value = Word(text, word.start, word.variables, word.unknown)
        elif rest and not rest[0].text.startswith("--"):
            value = rest.pop(0)
        elif flag in _OPTIONAL_VALUE:
            value = Word("1", word.start)
        else:
            self.gathered.leave_out(self.command.position, flag, "it has no value")
            return
        self._value(flag, FLAGS[flag], value)

    def _positional(self, word: Word) -> None:
        self.positionals += 1
        if self.positionals > len(_POSITIONALS):
            self.gathered.leave_out(
                self.command.position, "an argument", "the old server accepts two positional arguments"
            )
            return
        name = _POSITIONALS[self.positionals - 1]
        self._value(f"{PROGRAM}'s {('class', 'transport')[self.positionals - 1]}", name, word)

    def _value(self, label: str, name: str, word: Word) -> None:
        if not name:
            self.gathered.leave_out(self.command.position, label, "no pid file is written")
        elif word.is_bare and word.variables == (name,):
            return  # the variable is read by itself, or is set where the image runs
        else:
            rank = self.command.image_rank if word.variables else Rank.FLAG
            rank = Rank.WEAK_FLAG if label == "--log-level" else rank
            _add(self.command, name, word, label, rank, self.gathered)
