"""Load a spec: the file, annotations, variables and flags in order of precedence, then the rules.

Every problem is reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.class_source import ClassLookup, read_class
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.spec_rules import check_rules
from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.digest import digest_document, find_other_file
from seldon_spec.config.layers.annotations import apply_annotations
from seldon_spec.config.layers.environment import overlay
from seldon_spec.config.layers.field_text import ArgumentHints, flag
from seldon_spec.config.layers.file import add_file, name_odd_characters
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.masking import hide_secrets, mask_finding
from seldon_spec.config.model import (
    REFERENCE_KEYS,
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
from seldon_spec.config.schema.suggest import guess
from seldon_spec.config.yaml.document import Document
from seldon_spec.config.yaml.parser import MAX_BYTES, parse_document
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Position, Severity, SpecError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Options of a command line; that of Seldon Core is less strict.

    Attributes:
        flag_names: the names of flags other than ``--set``, by field.
        needs_file: report a missing file.
        only_warned: codes of errors that are reported as warnings.
        checks_build: check what only the build of an image needs: requirements, imports and files.
    """

    flag_names: Mapping[FieldPath, str] = field(default_factory=dict)
    needs_file: bool = True
    only_warned: frozenset[str] = frozenset()
    checks_build: bool = False


DEFAULT_OPTIONS = LoadOptions()

FOR_IMAGE = LoadOptions(checks_build=True)


def load(
    path: Path,
    environ: Mapping[str, str],
    flags: Mapping[FieldPath, str] | None = None,
    *,
    annotations: str = "",
    options: LoadOptions = DEFAULT_OPTIONS,
) -> Spec:
    """Load a spec.

    Args:
        path: a folder with seldon.yaml, or the file itself.
        environ: the variables, which override the file.
        flags: texts by field, which override both.
        annotations: the pod's annotations in the format of the Downward API; they override the file only.
        options: the options of the command line.

    Returns:
        The effective spec; ``diagnostics`` holds the warnings and notes.

    Raises:
        SpecError: with every diagnostic in the order of the file, then of the environment and the flags.
    """
    folder, name = (path, SPEC_FILE) if is_folder(path) else (path.parent, path.name)
    document = _read(folder, name, options)
    document.problems[:] = [name_odd_characters(problem) for problem in document.problems]
    hide_secrets(document)
    values = LayeredValues({}, {})
    wrong = add_file(document, values)
    cache: dict[str, ClassLookup] = {}

    def class_source() -> ClassLookup | None:
        class_name = values.get(("class_name",))
        if not isinstance(class_name, str):
            return None
        if class_name not in cache:
            cache[class_name] = read_class(folder, class_name)
        return cache[class_name]

    apply_annotations(values, annotations)
    flag_settings = [flag(at, text, options.flag_names.get(at)) for at, text in (flags or {}).items()]
    overlay(values, environ, flag_settings, lambda: _hints(class_source()))
    digest = digest_document(document)
    findings = [*document.problems, *values.problems, *find_other_file(document, digest, environ)]
    if document.root is not None or not document.problems:
        wrong |= {f.path for f in values.problems if f.path and f.severity is Severity.ERROR}
        findings += check_rules(
            RuleContext(values, folder, document, class_source(), options.checks_build), frozenset(wrong)
        )
    shown = [mask_finding(_with_severity(finding, options), document) for finding in _unique(findings)]
    ordered = tuple(sorted(shown, key=lambda finding: _sort_key(finding, document.file)))
    if any(finding.severity is Severity.ERROR for finding in ordered):
        raise SpecError(ordered)
    return replace(_build(values, folder, name, ordered), digest=digest)


def _with_severity(finding: Diagnostic, options: LoadOptions) -> Diagnostic:
    if finding.severity is Severity.ERROR and finding.code in options.only_warned:
        return replace(finding, severity=Severity.WARNING)
    return finding


def _read(folder: Path, name: str, options: LoadOptions) -> Document:
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
        if is_missing and not options.needs_file and is_folder(folder):
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


def _hints(source: ClassLookup | None) -> ArgumentHints:
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


_ORDER = {OriginKind.FILE: 0, OriginKind.DEFAULT: 0, OriginKind.ENVIRONMENT: 1, OriginKind.FLAG: 2}


def _sort_key(finding: Diagnostic, name: str) -> tuple[int, int, str, int, int]:
    """Return the sort key of a diagnostic: the spec first, then other files, the environment and the flags."""
    position = finding.origin.position or Position(name, 0, 0)
    layer = _ORDER[finding.origin.kind]
    return (layer, int(position.file != name), finding.origin.name if layer else "", position.line, position.column)


def default_name(class_name: str) -> str:
    """Return the default name of a component: the class in kebab-case, e.g. ``iris-classifier``."""
    words = re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+", class_name.rpartition(".")[2])
    return "-".join(word.lower() for word in words)[:63].rstrip("-") or "model"


def _build(values: LayeredValues, folder: Path, file: str, diagnostics: tuple[Diagnostic, ...]) -> Spec:
    tree = values.tree
    return Spec(
        class_name=tree["class_name"],
        folder=folder,
        name=tree.get("name") or default_name(tree["class_name"]),
        service_type=ServiceType(tree.get("service_type", "MODEL")),
        version=tree.get("version"),
        parameters=MappingProxyType({k: _with_references(v) for k, v in tree.get("parameters", {}).items()}),
        flask=_make(FlaskSpec, tree.get("flask", {})),
        ports=_make(PortsSpec, tree.get("ports", {})),
        server=_make(ServerSpec, tree.get("server", {})),
        image=_make(ImageSpec, tree.get("image", {})),
        environment=MappingProxyType({k: _with_references(v) for k, v in tree.get("environment", {}).items()}),
        inputs=_make_tensors(tree.get("inputs", []), "input-0"),
        outputs=_make_tensors(tree.get("outputs", []), "output-0"),
        platform=tree.get("platform"),
        unit=UnitSpec(name=tree.get("name"), version=tree.get("version"), **tree.get("unit", {})),
        file=file,
        origins=MappingProxyType(values.origins),
        diagnostics=diagnostics,
    )


def _make_tensors(entries: list[Any], default_name: str) -> tuple[TensorSpec, ...]:
    """Return declared tensors; a list of column names is one FP64 tensor."""
    if entries and isinstance(entries[0], str):
        return (TensorSpec(default_name, "FP64", (-1, len(entries)), columns=tuple(map(_make_column, entries))),)
    return tuple(_make_tensor(entry) for entry in entries)


def _make_tensor(entry: Mapping[str, Any]) -> TensorSpec:
    values = {"as_" if key == "as" else key: value for key, value in entry.items()}  # as is a keyword of Python
    values["columns"] = [_make_column(column) for column in entry.get("columns", ())]
    return replace(_make(TensorSpec, values), example=_to_tuples(entry.get("example")))


def _to_tuples(value: Any) -> Any:
    """Return nested lists as nested tuples, which can be hashed."""
    return tuple(map(_to_tuples, value)) if isinstance(value, list) else value


def _make_column(entry: str | Mapping[str, Any]) -> ColumnSpec:
    return ColumnSpec(entry) if isinstance(entry, str) else _make(ColumnSpec, entry)


def _make(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return a section as its dataclass."""
    hints = get_type_hints(cls)
    return cls(**{name: _typed(hints[name], value) for name, value in values.items()})


def _typed(hint: Any, value: Any) -> Any:
    """Convert a JSON value to ``hint``, the type of a field of a dataclass."""
    types = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    for each in types:
        if isinstance(value, Mapping) and is_dataclass(each) and each is not SecretRef:
            return _make(each, value)  # type: ignore[arg-type]
        if isinstance(each, type) and issubclass(each, Enum):
            return each(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # an integer in JSON Schema
    if get_origin(types[0]) is tuple:
        return tuple(_with_references(value if isinstance(value, list) else [value]))
    if get_origin(types[0]) is Mapping:
        return MappingProxyType(dict(value))
    return tuple(value) if isinstance(value, list) else _with_references(value)


def _with_references(value: Any) -> Any:
    """Replace each ``{from_env: …}`` and ``{from_file: …}`` in a value by a reference."""
    if isinstance(value, dict):
        if len(value) == 1 and REFERENCE_KEYS.issuperset(value) and all(isinstance(v, str) for v in value.values()):
            return SecretRef(**value)
        return {key: _with_references(item) for key, item in value.items()}
    return [_with_references(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """Convert a value of a spec to JSON; of a secret, to its reference."""
    if isinstance(value, SecretRef):
        return {"from_env": value.from_env} if value.from_env is not None else {"from_file": value.from_file}
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {f.name.rstrip("_"): plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def made_strict(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics with warnings as errors."""
    return tuple(replace(d, severity=Severity.ERROR) if d.severity is Severity.WARNING else d for d in diagnostics)
