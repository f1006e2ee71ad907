"""The only door to a Spec: the file, then the variables, then the flags, then the rules, and every finding at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from seldon_spec.config.checks.class_source import ClassSource, Finding, read_class
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.spec_rules import check_rules
from seldon_spec.config.digest import digest_document, find_other_file
from seldon_spec.config.layers import environment
from seldon_spec.config.layers.annotations import lay_annotations
from seldon_spec.config.layers.environment import ArgumentHints
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.masking import hide_secrets, mask_finding
from seldon_spec.config.model import (
    SPEC_FILE,
    FlaskSpec,
    ImageSpec,
    PortsSpec,
    SecretRef,
    ServerSpec,
    ServiceType,
    Spec,
    UnitSpec,
)
from seldon_spec.config.paths import Missing, TooLong, Unreadable, is_file, is_folder, read_file
from seldon_spec.config.schema.schema import SourceLocations, check, groups_keys, guess, name_odd_character, normalise
from seldon_spec.config.yaml.source import MAX_BYTES, Document, parse_document
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Position, Severity, SpecError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a command line asks of the loader; the old one asks less than ours.

    Attributes:
        flag_names: what its flags are called where they are not ``--set``, by field.
        needs_file: whether a folder without the file is a mistake.
        only_warned: codes of errors that it takes for warnings.
        checks_build: check what only the build of an image needs: the requirements, the imports, the files.
    """

    flag_names: Mapping[FieldPath, str] = field(default_factory=dict)
    needs_file: bool = True
    only_warned: frozenset[str] = frozenset()
    checks_build: bool = False


OURS = LoadOptions()
FOR_IMAGE = LoadOptions(checks_build=True)


def load(
    path: Path,
    environ: Mapping[str, str],
    flags: Mapping[FieldPath, str] | None = None,
    *,
    annotations: str = "",
    terms: LoadOptions = OURS,
) -> Spec:
    """Read a spec.

    Args:
        path: a folder that holds seldon.yaml, or the file itself.
        environ: the variables that stand above the file.
        flags: texts that stand above both, by field.
        annotations: of the pod, as Kubernetes writes them into a file; they stand between file and variables.
        terms: of the command line that loads.

    Returns:
        The effective spec; ``diagnostics`` holds the warnings and notes.

    Raises:
        SpecError: with every finding, in file order, then the environment's, then the flags'.
    """
    folder, name = _locate(path)
    document = _read(folder, name, terms)
    document.problems[:] = [_with_odd_character(problem) for problem in document.problems]
    hide_secrets(document)
    merged = LayeredValues({}, {})
    wrong = _take_file(document, merged)
    cache: dict[str, Finding] = {}

    def class_source() -> Finding | None:
        class_name = merged.get(("class_name",))
        if not isinstance(class_name, str):
            return None
        if class_name not in cache:
            cache[class_name] = read_class(folder, class_name)
        return cache[class_name]

    lay_annotations(merged, annotations)
    flag_settings = [environment.flag(at, text, terms.flag_names.get(at)) for at, text in (flags or {}).items()]
    environment.overlay(merged, environ, flag_settings, lambda: _hints(class_source()))
    digest = digest_document(document)
    findings = [*document.problems, *merged.problems, *find_other_file(document, digest, environ)]
    if document.root is not None or not document.problems:
        wrong |= {f.path for f in merged.problems if f.path and f.severity is Severity.ERROR}
        findings += check_rules(
            RuleContext(merged, folder, document, class_source(), terms.checks_build), frozenset(wrong)
        )
    shown = [mask_finding(_on_terms(finding, terms), document) for finding in _unique(findings)]
    ordered = tuple(sorted(shown, key=lambda finding: _place(finding, document.file)))
    if any(finding.severity is Severity.ERROR for finding in ordered):
        raise SpecError(ordered)
    return replace(_build(merged, folder, name, ordered), digest=digest)


def _locate(path: Path) -> tuple[Path, str]:
    """The folder and the file's name; the folder is where the class is looked for."""
    if is_folder(path):
        return path, SPEC_FILE
    return path.parent, path.name


def _on_terms(finding: Diagnostic, terms: LoadOptions) -> Diagnostic:
    if finding.severity is Severity.ERROR and finding.code in terms.only_warned:
        return replace(finding, severity=Severity.WARNING)
    return finding


def _read(folder: Path, name: str, terms: LoadOptions) -> Document:
    path = folder / name
    if path.suffix == ".py" and is_file(path):
        document = Document(str(path), [])
        origin = Origin(OriginKind.FILE, str(path))
        remedy = f"name its folder, which holds {SPEC_FILE}: {folder}"
        document.problems.append(Diagnostic("no-file", f"{path} is a Python file, not a spec", origin, help=remedy))
        return document
    try:
        return parse_document(read_file(path, MAX_BYTES), str(path))
    except Unreadable as error:
        document = Document(str(path), [])
        is_missing = isinstance(error, Missing)
        if is_missing and not terms.needs_file and is_folder(folder):
            return document
        document.problems.append(
            Diagnostic(
                "limit" if isinstance(error, TooLong) else "no-file",
                f"there is no {path}" if is_missing else f"{path} cannot be read: {error}",
                Origin(OriginKind.FILE, str(path)),
                help=_find_file_meant(folder, name) if is_missing else None,
            )
        )
        return document


def _find_file_meant(folder: Path, name: str) -> str:
    """What a path was meant to be at which there is nothing."""
    if re.fullmatch(r"[A-Za-z0-9.-]+:[0-9]{1,5}", name):
        return f"write http://{name} if you mean a running server"
    if not is_folder(folder) or not name.endswith((".yaml", ".yml")):
        return "name the folder that holds seldon.yaml, or the file"
    match = guess(name, sorted(entry.name for entry in folder.glob("*.[yY]*[mM][lL]*")))
    if match:
        return f"did you mean {folder / match}? Name that file, or rename it to {SPEC_FILE}"
    return "run seldon-spec init to write one, or name the folder that holds it"


def _take_file(document: Document, merged: LayeredValues) -> set[FieldPath]:
    """Put what the file says, and what the schema accepts of it, into the tree; returns the fields that are wrong."""
    if document.root is None:
        return set()
    places = SourceLocations(
        lambda path: document.origin(document.key_position(path)),
        lambda path: document.origin(document.value_position(path)),
        document.written,
    )
    if not isinstance(document.root.value, dict):
        is_empty = document.root.value is None
        if not is_empty:
            document.problems.append(
                Diagnostic(
                    "type",
                    "the file is not a mapping of keys to values",
                    document.origin(document.root.position),
                    allowed="class_name: MyModel, and the other keys",
                    help=_one_line_help(document.root.value),
                    path=("class_name",),
                )
            )
            return {("class_name",)}
        return set()
    if {"apiVersion", "kind"} <= document.root.value.keys():
        document.problems.append(
            Diagnostic(
                "kubernetes-manifest",
                "the file is a Kubernetes manifest, not a spec",
                document.origin(document.key_position(("kind",))),
                path=("class_name",),
                found=f"kind: {document.written(('kind',))}",
                help="put it beside the class under another name, e.g. deployment.yaml, and run seldon-spec migrate",
            )
        )
        return {("class_name",)}
    values = normalise(document.root.to_json(), (), document.written)
    told = {str(problem.origin) for problem in document.problems}
    wrong = set()
    for problem in check(values, (), places):
        wrong.add(problem.path)
        meant = re.fullmatch(r'did you mean "(\w+)"\?', problem.help or "")
        if problem.code == "unknown-key" and meant:
            wrong.add((*problem.path[:-1], meant[1]))  # told once: the key is there, misspelt
        if str(problem.origin) not in told:
            document.problems.append(problem)
    _lay_file(values, (), document, merged, wrong)
    return wrong


def _with_odd_character(problem: Diagnostic) -> Diagnostic:
    """A finding about YAML that names a character of its line which only looks like one of YAML's."""
    position = problem.origin.position
    if problem.code != "yaml-syntax" or position is None:
        return problem
    lines = (position.text, *(place.text for _, place in problem.related))
    odd = next(filter(None, map(name_odd_character, lines)), None)
    return replace(problem, help=odd) if odd else problem


def _one_line_help(value: object) -> str | None:
    """What a file that is one text most likely meant."""
    if not isinstance(value, str):
        return None
    odd = name_odd_character(value)
    if odd:
        return odd
    if re.match(r"\w+:\S", value):
        return "write a space behind the colon"
    return "write a key, a colon and a space, then its value" if re.match(r"\w+\s*=", value) else None


def _lay_file(
    values: Mapping[str, Any], path: FieldPath, document: Document, merged: LayeredValues, wrong: set[FieldPath]
) -> None:
    for key, value in values.items():
        at = (*path, key)
        if at in wrong:
            continue
        if at == ("parameters",) and isinstance(value, list):
            _lay_entries(value, document, merged, wrong)
        elif isinstance(value, dict) and groups_keys(at):
            merged.open(at, document.origin(document.key_position(at)))
            _lay_file(value, at, document, merged, wrong)
        elif not _has_wrong_part(at, wrong):
            merged.set(at, value, document.origin(document.value_position(at)))


def _has_wrong_part(at: FieldPath, wrong: set[FieldPath]) -> bool:
    return any(path[: len(at)] == at for path in wrong)


def _lay_entries(entries: list[Any], document: Document, merged: LayeredValues, wrong: set[FieldPath]) -> None:
    """Seldon's list of parameters, each converted; two of one name are a mistake here, where a person wrote them."""
    merged.values["parameters"] = {}
    merged.origins[("parameters",)] = document.origin(document.key_position(("parameters",)))
    first: dict[str, str] = {}
    for index, entry in enumerate(entries):
        at = ("parameters", str(index))
        if _has_wrong_part(at, wrong):
            continue
        position = document.value_position((*at, "value"))
        name = entry["name"]
        if name in first:
            place = document.value_position(("parameters", first[name], "name"))
            document.problems.append(
                Diagnostic(
                    "duplicate-key",
                    f'the parameter "{name}" is given twice',
                    document.origin(document.value_position((*at, "name"))),
                    path=at,
                    related=(("first given", place),),
                    help="keep one of the two",
                )
            )
            continue
        first[name] = str(index)
        environment.set_entry(merged, str(index), entry, document.origin(position))


def _hints(source: Finding | None) -> ArgumentHints:
    if not isinstance(source, ClassSource) or source.arguments is None:
        return ArgumentHints()
    return ArgumentHints(
        tuple(argument.name for argument in source.arguments),
        {argument.name: argument.annotation for argument in source.arguments if argument.annotation},
    )


def _unique(findings: list[Diagnostic]) -> list[Diagnostic]:
    seen: set[tuple[str, str, str]] = set()
    unique = []
    for finding in findings:
        key = (finding.code, str(finding.origin), finding.message)
        if key not in seen:
            seen.add(key)
            unique.append(finding)
    return unique


_KINDS = {OriginKind.FILE: 0, OriginKind.DEFAULT: 0, OriginKind.ENVIRONMENT: 1, OriginKind.FLAG: 2}


def _place(finding: Diagnostic, name: str) -> tuple[int, int, str, int, int]:
    """The spec's file first, then other files, the environment and the flags; each in its own order."""
    position = finding.origin.position or Position(name, 0, 0)
    kind = _KINDS[finding.origin.kind]
    return (kind, int(position.file != name), finding.origin.name if kind else "", position.line, position.column)


def default_name(class_name: str) -> str:
    """A component's name: the class's name in kebab-case, e.g. ``IrisClassifier`` gives ``iris-classifier``."""
    words = re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+", class_name.rpartition(".")[2])
    return "-".join(word.lower() for word in words)[:63].rstrip("-") or "model"


def _build(merged: LayeredValues, folder: Path, file: str, diagnostics: tuple[Diagnostic, ...]) -> Spec:
    values = merged.values
    return Spec(
        class_name=values["class_name"],
        folder=folder,
        name=values.get("name") or default_name(values["class_name"]),
        service_type=ServiceType(values.get("service_type", "MODEL")),
        version=values.get("version"),
        parameters=MappingProxyType({k: _with_references(v) for k, v in values.get("parameters", {}).items()}),
        flask=_make(FlaskSpec, values.get("flask", {})),
        ports=_make(PortsSpec, values.get("ports", {})),
        server=_make(ServerSpec, values.get("server", {})),
        image=_make(ImageSpec, values.get("image", {})),
        environment=MappingProxyType({k: _with_references(v) for k, v in values.get("environment", {}).items()}),
        unit=UnitSpec(name=values.get("name"), version=values.get("version"), **values.get("unit", {})),
        file=file,
        origins=MappingProxyType(merged.origins),
        diagnostics=diagnostics,
    )


def _make(kind: type[T], values: Mapping[str, Any]) -> T:
    """A section's dataclass with the values that are given; the others keep their defaults."""
    hints = get_type_hints(kind)
    return kind(**{name: _typed(hints[name], value) for name, value in values.items()})


def _typed(hint: Any, value: Any) -> Any:
    """A JSON value as the field of a dataclass has it; ``hint`` is the field's type."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    for kind in kinds:
        if isinstance(value, Mapping) and is_dataclass(kind) and kind is not SecretRef:
            return _make(kind, value)  # type: ignore[arg-type]
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # JSON Schema takes 9000.0 for an integer
    if get_origin(kinds[0]) is tuple:  # that a text may stand for by itself is said by "str | tuple"
        return tuple(_with_references(value if isinstance(value, list) else [value]))
    if get_origin(kinds[0]) is Mapping:
        return MappingProxyType(dict(value))
    return tuple(value) if isinstance(value, list) else _with_references(value)


def _with_references(value: Any) -> Any:
    """A value with each ``{from_env: …}`` and ``{from_file: …}`` in it made a reference."""
    if isinstance(value, dict):
        if (
            len(value) == 1
            and set(value) <= {"from_env", "from_file"}
            and all(isinstance(v, str) for v in value.values())
        ):
            return SecretRef(**value)
        return {key: _with_references(item) for key, item in value.items()}
    return [_with_references(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """A spec's value as JSON has it; a reference shows its name, never what it refers to."""
    if isinstance(value, SecretRef):
        return {"from_env": value.from_env} if value.from_env is not None else {"from_file": value.from_file}
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def made_strict(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """The same findings with each warning made an error."""
    return tuple(replace(d, severity=Severity.ERROR) if d.severity is Severity.WARNING else d for d in diagnostics)
