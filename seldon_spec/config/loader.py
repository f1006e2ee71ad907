"""Load a spec: the file, annotations, variables and flags in order of precedence, then the rules.

Every problem is reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from seldon_spec.config.build_context import find_outside
from seldon_spec.config.build_spec import build_spec, with_references
from seldon_spec.config.components import ServedComponent, SpecLoader
from seldon_spec.config.digest import digest_spec, find_other_file
from seldon_spec.config.graph import find_first, find_last
from seldon_spec.config.image_name import find_image
from seldon_spec.config.layered_spec import LayeredSpec, read_spec, spec_of_class
from seldon_spec.config.layers.annotations import apply_annotations
from seldon_spec.config.layers.environment import overlay, split_for_component
from seldon_spec.config.layers.field_text import flag
from seldon_spec.config.loaded_spec import LoadedSpec
from seldon_spec.config.masking import mask_finding
from seldon_spec.config.model import ComponentSpec, Spec, UnitSpec
from seldon_spec.config.yaml.document import Document
from seldon_spec.errors import Diagnostic, FieldPath, OriginKind, Position, Severity, SpecError


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Options of a command line; that of Seldon Core is less strict.

    Attributes:
        flag_names: the names of flags other than ``--set``, by field.
        needs_file: report a missing file.
        only_warned: codes of errors that are reported as warnings.
        checks_build: check what only the build of an image needs: requirements, imports and files.
        component: the component of the graph that is served alone: variables and flags that do not describe the graph
            are its own; None: the graph is served.
    """

    flag_names: Mapping[FieldPath, str] = field(default_factory=dict)
    needs_file: bool = True
    only_warned: frozenset[str] = frozenset()
    checks_build: bool = False
    component: str | None = None


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
    return _load(read_spec(path, needs_file=options.needs_file), environ, flags, annotations, options)


def load_class(
    class_name: str, folder: Path, environ: Mapping[str, str], flags: Mapping[FieldPath, str] | None = None
) -> Spec:
    """Load the spec of a class that exists as an object: only from variables and flags.

    Args:
        class_name: the name of the class, without a module.
        folder: where relative paths start.
        environ: the variables.
        flags: texts by field, which override them.

    Raises:
        SpecError: with every diagnostic.
    """
    name = ("class_name",)
    options = LoadOptions(flag_names={name: f"class {class_name}"})
    return _load(spec_of_class(class_name, folder), environ, {**(flags or {}), name: class_name}, "", options)


def _load(
    layered: LayeredSpec,
    environ: Mapping[str, str],
    flags: Mapping[FieldPath, str] | None,
    annotations: str,
    options: LoadOptions,
) -> Spec:
    values, document = layered.values, layered.document
    apply_annotations(values, annotations)
    settings = [flag(at, text, options.flag_names.get(at)) for at, text in (flags or {}).items()]
    of_graph, of_served = split_for_component(environ, settings)
    overlay(values, *((environ, settings) if options.component is None else of_graph), layered.hints)
    served = None if options.component is None else ServedComponent(options.component, *of_served)
    loader = SpecLoader(environ, settings, served, checks_build=options.checks_build)
    loaded = loader.load(layered)
    findings = [*loader.findings, *find_other_file(document, _digest(loaded), environ)]
    if options.checks_build:
        findings += find_outside(loaded, layered.folder)

    def show(findings: list[Diagnostic]) -> tuple[Diagnostic, ...]:
        shown = [_mask(_with_severity(finding, options), loader.documents, document) for finding in _unique(findings)]
        return tuple(sorted(shown, key=lambda finding: _sort_key(finding, document.file)))

    ordered = show(findings)
    if any(finding.severity is Severity.ERROR for finding in ordered):
        raise SpecError(ordered)
    return replace(_build(loaded, show), diagnostics=ordered)


def _mask(finding: Diagnostic, documents: Mapping[str, Document], first: Document) -> Diagnostic:
    """Return a diagnostic with the secrets of the file that it is about masked."""
    position = finding.origin.position
    return mask_finding(finding, documents.get(position.file, first) if position is not None else first)


def _digest(loaded: LoadedSpec) -> str:
    """Return the digest of the values of a file and of the files of its components."""
    components = ((name, each.loaded) for name, each in loaded.components.items())
    return digest_spec(loaded.layered.document, {name: _digest(each) for name, each in components if each is not None})


Show = Callable[[list[Diagnostic]], tuple[Diagnostic, ...]]


def _build(loaded: LoadedSpec, show: Show, around: UnitSpec | None = None, component: str | None = None) -> Spec:
    """Return the spec with its steps and components.

    Args:
        loaded: a spec without errors.
        show: orders the diagnostics of a spec and masks secrets.
        around: the unit of the served spec, whose deployment the components belong to.
        component: the name of the component that it is; None: it is the served spec.
    """
    layered = loaded.layered
    entry = component if layered.document.first is not None else None
    spec = build_spec(layered.values, layered.folder, layered.file, entry)
    spec = replace(spec, digest=_digest(loaded), diagnostics=show(loaded.findings))
    if around is not None:
        image = find_image(spec)
        own = spec.unit
        if loaded.is_served:
            unit = replace(own, id=own.id or component, image=own.image or image)
        else:
            unit = replace(around, id=component, image=image, name=own.name, version=own.version)
            unit = replace(unit, metadata=None, is_passthrough=False)
        spec = replace(spec, unit=unit)
    if loaded.steps is None:
        return spec
    components = {
        name: ComponentSpec(
            each.service_type,
            None if each.loaded is None else _build(each.loaded, show, around or spec.unit, name),
            each.entry.get("url"),
            each.entry.get("timeout_seconds"),
            with_references(each.entry.get("token")),
            None if each.entry.get("ca") is None else str((layered.folder / each.entry["ca"]).absolute()),
            each.has_feedback,
        )
        for name, each in loaded.components.items()
    }
    specs = {name: each.spec for name, each in components.items() if each.spec is not None}
    first, last, step = find_first(loaded.steps), find_last(loaded.steps), loaded.steps
    return replace(
        spec,
        graph=step,
        components=MappingProxyType(components),
        inputs=spec.inputs or (specs[first].inputs if first in specs else ()),
        outputs=spec.outputs or (specs[last].outputs if last in specs else ()),
    )


def _with_severity(finding: Diagnostic, options: LoadOptions) -> Diagnostic:
    if finding.severity is Severity.ERROR and finding.code in options.only_warned:
        return replace(finding, severity=Severity.WARNING)
    return finding


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


def made_strict(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics with warnings as errors."""
    return tuple(replace(d, severity=Severity.ERROR) if d.severity is Severity.WARNING else d for d in diagnostics)
