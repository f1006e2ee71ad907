"""The last stage of a Dockerfile: its base, variables, labels, user and command.

Source: Dockerfile reference; contract section 7.7 for the images of the guide and the s2i builder.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seldon_spec.errors import Position
from seldon_spec.migrate.candidates import Gathered, Rank
from seldon_spec.migrate.command import Command, find_script, read_command
from seldon_spec.migrate.copied import add_copies, read_copy, report_moved
from seldon_spec.migrate.image_parts import add_base, add_label, add_user, add_work_folder, report_ports
from seldon_spec.migrate.installed import read_run
from seldon_spec.migrate.instructions import Dockerfile, Instruction, parse_dockerfile
from seldon_spec.migrate.shell_lexer import UnclosedQuote, Word, literal_word, read_whole, read_words
from seldon_spec.migrate.variables import add_variable, is_secret

_ALIAS = re.compile(r"(?P<base>\S+)(?:\s+AS\s+(?P<alias>\S+))?\s*", re.IGNORECASE)
_PLATFORM = re.compile(r"--[a-z]+(=\S+)?\s+")


@dataclass(slots=True)
class Stage:
    """One FROM with its instructions."""

    base: str
    origin: Instruction
    unknown: tuple[str, ...] = ()
    instructions: list[Instruction] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A variable or label that the image sets."""

    word: Word
    position: Position


@dataclass(slots=True)
class Image:
    """The state of the image after its instructions."""

    variables: dict[str, Assignment] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Assignment] = field(default_factory=dict)
    ports: list[tuple[str, Position]] = field(default_factory=list)
    runs: list[Instruction] = field(default_factory=list)
    entrypoint: Instruction | None = None
    command: Instruction | None = None
    user: tuple[str, Position] | None = None
    folder: tuple[str, Position] | None = None

    def known(self) -> Mapping[str, str]:
        """Return the values that later instructions can use; variables override arguments."""
        return ChainMap(self.values, self.arguments)

    def set_variables(self, pairs: Sequence[tuple[str, Assignment]]) -> None:
        """Apply an ENV; an unknown value removes an earlier one.

        A secret counts as unknown, so that no other value contains it.
        """
        for name, each in pairs:
            self.variables[name] = each
            self.values.pop(name, None)
            if not each.word.unknown and not is_secret(name, each.word.text):
                self.values[name] = each.word.text


def read_dockerfile(folder: Path, path: Path, data: bytes, gathered: Gathered) -> None:
    """Add the settings of a Dockerfile."""
    dockerfile = parse_dockerfile(data, str(path))
    arguments: dict[str, str] = {}
    chain = _read_last_stage(dockerfile, arguments, gathered)
    if not chain:
        gathered.leave_out(Position(str(path), 1, 1), path.name, "it has no FROM, so it builds no image")
        return
    base = chain[0]
    add_base(base.base, base.unknown, base.origin.position(), gathered)
    image = Image()
    reader = _Reader(image, dockerfile.escape, arguments, gathered)
    for stage in chain:
        for instruction in stage.instructions:
            reader.read(instruction)
    _add_image(folder, image, gathered)


def _read_last_stage(dockerfile: Dockerfile, arguments: dict[str, str], gathered: Gathered) -> list[Stage]:
    """Return the last stage, preceded by the stages of this file that it is based on."""
    stages: list[Stage] = []
    names: dict[str, int] = {}
    for instruction in dockerfile.instructions:
        if instruction.keyword == "FROM":
            alias = _open_stage(instruction, stages, arguments, gathered)
            names[str(len(stages) - 1)] = len(stages) - 1
            if alias:
                names[alias] = len(stages) - 1
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.keyword == "ARG":
            name, equals, text = instruction.text.partition("=")
            if equals and not is_secret(name.strip(), text):
                arguments[name.strip()] = _read(instruction, text, arguments, dockerfile.escape, gathered).text
    chain: list[Stage] = []
    index: int | None = len(stages) - 1 if stages else None
    while index is not None:
        chain.insert(0, stages[index])
        earlier = names.get(stages[index].base.lower())
        index = earlier if earlier is not None and earlier < index else None
    return chain


def _open_stage(
    instruction: Instruction, stages: list[Stage], arguments: Mapping[str, str], gathered: Gathered
) -> str | None:
    """Add a stage; return its alias."""
    text = instruction.text
    while match := _PLATFORM.match(text):
        gathered.leave_out(instruction.position(), match[0].split("=")[0].strip(), "the build defines the platform")
        text = text[match.end() :]
    found = _ALIAS.fullmatch(text)
    word = _read(instruction, found["base"] if found else text, arguments, "\\", gathered)
    stages.append(Stage(word.text, instruction, word.unknown))
    return found["alias"].lower() if found and found["alias"] else None


def _read(instruction: Instruction, text: str, known: Mapping[str, str], escape: str, gathered: Gathered) -> Word:
    """Return one word; report an unclosed quote and return the text unchanged."""
    try:
        return read_whole(text.strip(), known, escape=escape)
    except UnclosedQuote as error:
        _report_unreadable(instruction, str(error), gathered)
        return Word(text, 0, unknown=("an unclosed quote",))


def _report_unreadable(instruction: Instruction, reason: str, gathered: Gathered) -> None:
    gathered.leave_out(instruction.position(), instruction.keyword, f"it cannot be read: {reason}")


class _Reader:
    """Applies the instructions of the last stage to an image."""

    def __init__(self, image: Image, escape: str, arguments: Mapping[str, str], gathered: Gathered) -> None:
        self.image, self.escape, self.arguments, self.gathered = image, escape, arguments, gathered

    def read(self, instruction: Instruction) -> None:
        """Apply one instruction; most have no equivalent key."""
        action = {
            "ENV": self._env,
            "LABEL": self._label,
            "ARG": self._arg,
            "EXPOSE": self._expose,
            "USER": self._user,
            "WORKDIR": self._folder,
            "COPY": self._copy,
            "ADD": self._copy,
            "RUN": self.image.runs.append,
            "CMD": self._command,
            "ENTRYPOINT": self._entrypoint,
        }.get(instruction.keyword)
        if action is not None:
            action(instruction)

    def _words(self, instruction: Instruction) -> list[Word]:
        try:
            return read_words(instruction.text, self.image.known(), escape=self.escape)
        except UnclosedQuote as error:
            _report_unreadable(instruction, str(error), self.gathered)
            return []

    def _pairs(self, instruction: Instruction) -> list[tuple[str, Assignment]]:
        """Parse ``NAME=value …``, or the old form ``NAME value``, which takes the rest of the line."""
        words = self._words(instruction)
        if not words:
            return []
        if "=" not in words[0].text:
            name, _, rest = instruction.text.partition(" " if " " in instruction.text else "\t")
            if not rest.strip():
                _report_unreadable(instruction, f"{name} has no value", self.gathered)
                return []
            word = _read(instruction, rest, self.image.known(), self.escape, self.gathered)
            return [(name, Assignment(word, instruction.at(0, len(name))))]
        pairs = []
        for word in words:
            name, equals, text = word.text.partition("=")
            position = instruction.at(word.start, len(name))
            if equals:
                pairs.append((name, Assignment(Word(text, word.start, word.variables, word.unknown), position)))
            else:
                _report_unreadable(instruction, f"{name} has no value", self.gathered)
        return pairs

    def _env(self, instruction: Instruction) -> None:
        self.image.set_variables(self._pairs(instruction))

    def _label(self, instruction: Instruction) -> None:
        self.image.labels.update(self._pairs(instruction))

    def _arg(self, instruction: Instruction) -> None:
        for word in self._words(instruction):
            name, equals, text = word.text.partition("=")
            if equals and not word.unknown and not is_secret(name, text):
                self.image.arguments[name] = text
            elif name in self.arguments:
                self.image.arguments[name] = self.arguments[name]

    def _expose(self, instruction: Instruction) -> None:
        for word in self._words(instruction):
            self.image.ports.append((word.text, instruction.at(word.start, len(word.text))))

    def _user(self, instruction: Instruction) -> None:
        for word in self._words(instruction)[:1]:
            self.image.user = (word.text if not word.unknown else "", instruction.at(word.start, len(word.text)))

    def _folder(self, instruction: Instruction) -> None:
        for word in self._words(instruction)[:1]:
            before = self.image.folder[0] if self.image.folder else "/"
            self.image.folder = (posixpath.join(before, word.text), instruction.at(word.start, len(word.text)))

    def _copy(self, instruction: Instruction) -> None:
        copied = read_copy(instruction.text, self._words(instruction))
        if copied is not None:
            work_folder = self.image.folder[0] if self.image.folder else "/"
            add_copies(copied, work_folder, instruction.position(), self.gathered)

    def _command(self, instruction: Instruction) -> None:
        self.image.command = instruction

    def _entrypoint(self, instruction: Instruction) -> None:
        self.image.entrypoint = instruction


def _add_image(folder: Path, image: Image, gathered: Gathered) -> None:
    for name, each in image.variables.items():
        label = f"ENV {name}"
        if each.word.unknown:
            names = ", ".join(dict.fromkeys(each.word.unknown))
            gathered.leave_out(each.position, label, f"it refers to unknown values: {names}")
        else:
            add_variable(gathered, name, each.word.text, each.position, label, Rank.IMAGE)
    for name, each in image.labels.items():
        add_label(name, each.word.text, each.position, gathered)
    if image.user:
        add_user(*image.user, gathered)
    if image.folder:
        add_work_folder(*image.folder, gathered)
    work_folder = posixpath.normpath(image.folder[0] if image.folder else "/")
    gathered.search_path = [work_folder, *image.values.get("PYTHONPATH", "").split(":")]
    report_moved(folder, work_folder, gathered)
    for run in image.runs:
        read_run(folder, work_folder, run, image.known(), gathered)
    command = _whole_command(image, gathered)
    if command is not None:
        read_command(command, gathered)
    report_ports(image.ports, gathered)


def _whole_command(image: Image, gathered: Gathered) -> Command | None:
    """Return the command of the container: ENTRYPOINT, with CMD as its arguments if both are in exec form."""
    parts = [each for each in (image.entrypoint, image.command) if each is not None]
    if not parts:
        return None
    words: list[Word] = []
    for part in parts:
        listed = _exec_form(part)
        if listed is None:
            words += _shell_words(part, part.text, image.known(), gathered)
            break  # an ENTRYPOINT in shell form ignores CMD
        words += [literal_word(text) for text in listed]
    inner = find_script(words)
    if inner is not None:
        words = _shell_words(parts[0], inner, image.known(), gathered)
    return Command(words, parts[0].position())


def _exec_form(instruction: Instruction) -> list[str] | None:
    """Return the words of a JSON list of strings; None for shell form, which is anything else, as for Docker."""
    if not instruction.text.startswith("["):
        return None
    try:
        value = json.loads(instruction.text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) and all(isinstance(word, str) for word in value) else None


def _shell_words(instruction: Instruction, text: str, known: Mapping[str, str], gathered: Gathered) -> list[Word]:
    try:
        return read_words(text, known, is_shell=True)
    except UnclosedQuote as error:
        _report_unreadable(instruction, str(error), gathered)
        return []
