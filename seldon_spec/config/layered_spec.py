"""Read one spec: its document and the values of its layers, before the rules are checked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.class_source import ClassLookup, Unseen, read_class
from seldon_spec.config.layers.field_text import ArgumentHints
from seldon_spec.config.layers.file import add_file, name_odd_characters
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.masking import hide_secrets
from seldon_spec.config.model import SPEC_FILE
from seldon_spec.config.paths import Missing, TooLong, Unreadable, is_file, is_folder, read_file
from seldon_spec.config.schema.suggest import guess
from seldon_spec.config.yaml.document import Document
from seldon_spec.config.yaml.parser import MAX_BYTES, parse_document
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind


@dataclass(slots=True)
class LayeredSpec:
    """A spec whose layers are being merged.

    Attributes:
        document: the file, or the part of the file of a graph that describes a component.
        folder: of the class and of the other files.
        file: the name of the file.
        values: of the layers so far.
        wrong: the paths of invalid values, which are reported already.
    """

    document: Document
    folder: Path
    file: str
    values: LayeredValues = field(default_factory=lambda: LayeredValues({}, {}))
    wrong: set[FieldPath] = field(default_factory=set)
    _classes: dict[str, ClassLookup] = field(default_factory=dict)

    @property
    def is_readable(self) -> bool:
        """Whether the file has values, or is missing or empty without an error."""
        return self.document.root is not None or not self.document.problems

    @property
    def class_source(self) -> ClassLookup | None:
        """The class as the folder defines it; None if ``class_name`` is missing or invalid."""
        class_name = self.values.get(("class_name",))
        if not isinstance(class_name, str):
            return None
        if class_name not in self._classes:
            self._classes[class_name] = read_class(self.folder, class_name)
        return self._classes[class_name]

    def hints(self) -> ArgumentHints:
        """Return the names and annotations of the arguments of the class."""
        source = self.class_source
        if not isinstance(source, ClassSource) or source.arguments is None:
            return ArgumentHints()
        return ArgumentHints(
            tuple(argument.name for argument in source.arguments),
            {argument.name: argument.annotation for argument in source.arguments if argument.annotation},
        )


def split_spec_path(path: Path) -> tuple[Path, str]:
    """Return the folder and the name of the file that a path names: the file, or the folder of seldon.yaml."""
    return (path, SPEC_FILE) if is_folder(path) else (path.parent, path.name)


def read_spec(path: Path, *, needs_file: bool = True) -> LayeredSpec:
    """Read a file as the first layer.

    Args:
        path: the file, or its folder.
        needs_file: report a missing file.
    """
    folder, name = split_spec_path(path)
    layered = LayeredSpec(_read_document(folder, name, needs_file=needs_file), folder, name)
    document = layered.document
    document.problems[:] = [name_odd_characters(problem) for problem in document.problems]
    hide_secrets(document)
    layered.wrong |= add_file(document, layered.values)
    return layered


def spec_of_class(class_name: str, folder: Path) -> LayeredSpec:
    """Return a spec without a file, of a class that exists as an object: its source is not looked up."""
    unseen = Unseen(f"{class_name} is a class of this process")
    return LayeredSpec(Document(SPEC_FILE, []), folder, SPEC_FILE, _classes={class_name: unseen})


def _read_document(folder: Path, name: str, *, needs_file: bool) -> Document:
    path = folder / name
    if path.suffix == ".py" and is_file(path):
        document = Document(str(path), [])
        origin = Origin(OriginKind.FILE, str(path))
        remedy = f"name the folder with {SPEC_FILE}: {folder}"
        document.problems.append(Diagnostic("no-file", f"{path} is a Python file, not a spec", origin, help=remedy))
        return document
    try:
        return parse_document(read_file(path, MAX_BYTES), str(path))
    except Unreadable as error:
        document = Document(str(path), [])
        is_missing = isinstance(error, Missing)
        if is_missing and not needs_file and is_folder(folder):
            return document
        document.problems.append(
            Diagnostic(
                "limit" if isinstance(error, TooLong) else "no-file",
                f"there is no {path}" if is_missing else f"{path} cannot be read: {error}",
                Origin(OriginKind.FILE, str(path)),
                help=_suggest_file(folder, name) if is_missing else None,
            )
        )
        return document


def _suggest_file(folder: Path, name: str) -> str:
    """Return the help for a path that does not exist."""
    if re.fullmatch(r"[A-Za-z0-9.-]+:[0-9]{1,5}", name):
        return f"write http://{name} for a running server"
    if not is_folder(folder) or not name.endswith((".yaml", ".yml")):
        return "name the folder with seldon.yaml, or the file itself"
    match = guess(name, sorted(entry.name for entry in folder.glob("*.[yY]*[mM][lL]*")))
    if match:
        return f"did you mean {folder / match}? Name that file, or rename it to {SPEC_FILE}"
    return "run seldon-spec init to create one, or name the folder with the file"
