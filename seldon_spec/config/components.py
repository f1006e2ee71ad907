"""Load a spec that may be a graph: its steps, and its components from files and entries.

The values of a component are those of its own file, then those of its entry, its variables and its flags.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from seldon_spec.config.checks.component_rules import check_entry, join_environments, may_take_feedback
from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.deployment_rules import find_references
from seldon_spec.config.checks.spec_rules import check_rules
from seldon_spec.config.graph import list_components
from seldon_spec.config.graph_steps import (
    LABEL,
    MAX_COMPONENTS,
    MAX_LEVELS,
    GraphCompiler,
    is_label,
)
from seldon_spec.config.graph_uses import Use, find_uses, split_names, suggest_entry, suggest_name
from seldon_spec.config.layered_spec import LayeredSpec, read_spec, split_spec_path
from seldon_spec.config.layers.environment import ENTRY_KEYS, component_name, generic_variable, is_of_component, overlay
from seldon_spec.config.layers.field_text import Setting
from seldon_spec.config.loaded_spec import LoadedComponent, LoadedSpec
from seldon_spec.config.model import SPEC_FILE, ServiceType
from seldon_spec.config.paths import is_file, is_folder
from seldon_spec.config.schema.lookup import groups_keys
from seldon_spec.config.schema.suggest import guess
from seldon_spec.config.yaml.document import Document
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Severity

_DECISIVE = (("class_name",), ("model",), ("graph",), ("path",), ("url",))
"""The keys of an entry that decide what the component is."""


_DESCRIBES = frozenset({"class_name", "model", "graph"})
"""The keys of an entry that is a spec of its own; it has exactly one of them."""


class ServedComponent(NamedTuple):
    """The component of a graph that is served alone, with the variables and flags of the served spec."""

    name: str
    environ: Mapping[str, str]
    flags: Sequence[Setting]


class SpecLoader:
    """Loads one spec with all its components.

    Args:
        environ: the variables.
        flags: the flags, with paths from the graph.
        served: the component that is served alone; None: the graph is served.
        checks_build: check what only the build of an image needs.

    Attributes:
        findings: the diagnostics of all files.
        documents: the files that were read, by name.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        flags: Sequence[Setting],
        served: ServedComponent | None = None,
        *,
        checks_build: bool,
    ) -> None:
        self._environ, self._flags, self._checks_build = environ, flags, checks_build
        self._served = served
        self.findings: list[Diagnostic] = []
        self.documents: dict[str, Document] = {}
        self._count = 0
        self._root: RuleContext | None = None

    def load(
        self,
        layered: LayeredSpec,
        at: FieldPath = (),
        files: tuple[tuple[str, str], ...] = (),
        *,
        is_in_image: bool = True,
    ) -> LoadedSpec:
        """Check a spec whose layers are merged, and load its components.

        Args:
            layered: the spec.
            at: the path of the component that it is; ``()``: the served spec.
            files: the files of the graphs around it, each with the name of its component.
            is_in_image: whether the image contains it; a component that is a server of its own is in another one.
        """
        values, document = layered.values, layered.document
        self.documents.setdefault(document.file, document)
        loaded = LoadedSpec(layered, is_served=self._is_served(at))
        self.findings += [*document.problems, *values.problems]
        if not layered.is_readable:
            return loaded
        loaded.references = find_references(values)
        variables: dict[str, Any] = values.get(("environment",)) or {}
        loaded.environment = {name: (value, values.origins["environment", name]) for name, value in variables.items()}
        invalid = {f.path for f in values.problems if f.path and f.severity is Severity.ERROR}
        layered.wrong |= invalid
        checks_build = self._checks_build and is_in_image
        context = RuleContext(values, layered.folder, document, layered.class_source, checks_build, self._root)
        if not at:
            self._root = context
        if ("graph",) not in layered.wrong and not any(path[:1] == ("graph",) for path in invalid):
            loaded = _GraphLoader(self, loaded, context, at, files).load()
        if all(finding.severity is not Severity.ERROR for finding in self.findings):  # otherwise, some may be missing
            context = replace(context, references=loaded.references)
        loaded.findings = check_rules(context, frozenset(layered.wrong))
        self.findings += loaded.findings
        return loaded

    def apply_layers(self, layered: LayeredSpec, at: FieldPath) -> None:
        """Apply the variables and flags of a component; those of the served spec first, if it is served alone."""
        if self._served is not None and self._is_served(at):
            overlay(layered.values, self._served.environ, self._served.flags, layered.hints)
        overlay(layered.values, self._environ, self._flags, layered.hints, at)

    def _is_served(self, at: FieldPath) -> bool:
        return self._served is not None and at == ("components", self._served.name)

    def find_settings(self, at: FieldPath) -> Iterator[tuple[str, Origin]]:
        """Yield the components of the graph at ``at`` that variables and flags name, with their origins."""
        prefix = generic_variable((*at, "components", ""))
        for variable in sorted(self._environ):
            if variable.startswith(prefix):
                step = variable.removeprefix(prefix).split("__")[0]
                if step:  # otherwise, it is an unknown variable
                    yield component_name(step), Origin(OriginKind.ENVIRONMENT, variable)
        for setting in self._flags:
            path = setting.path[len(at) :]
            if setting.path[: len(at)] == at and is_of_component(path):
                yield path[1], setting.origin

    def count_component(self) -> int:
        """Return the number of components so far, with this one."""
        self._count += 1
        return self._count


class _GraphLoader:
    """Loads the components of one spec, and compiles its steps."""

    def __init__(
        self,
        loader: SpecLoader,
        loaded: LoadedSpec,
        context: RuleContext,
        at: FieldPath,
        files: tuple[tuple[str, str], ...],
    ) -> None:
        self._loader, self._loaded, self._context, self._at = loader, loaded, context, at
        self._layered, self._values = loaded.layered, loaded.layered.values
        file = os.path.realpath(self._layered.folder / self._layered.file)
        is_part = self._layered.document.first is not None
        own = at[-1] if at else self._layered.folder.resolve().name
        self._files = files if is_part else (*files, (file, own))
        is_of_file = self._context.origin("graph").kind is OriginKind.FILE
        self._wrong = {path for path in self._layered.wrong if path[:1] == ("graph",) and is_of_file}
        self._meant: set[str] = set()  # the components that messages about unknown ones suggest

    def load(self) -> LoadedSpec:
        """Load what ``graph`` names; report entries and settings of other components."""
        raw = self._values.get(("graph",))
        uses: dict[str, Use] = {}
        for use in find_uses(raw):
            uses.setdefault(use.name, use)
        entries = self._values.get(("components",)) or {}
        self._check_settings({*uses, *entries})
        if raw is None:
            return self._loaded
        components: dict[str, LoadedComponent] = {}
        for name in [*uses, *(name for name in entries if name not in uses)]:
            if self._check_name(name, uses.get(name)):
                component = self._load_component(name, uses.get(name))
                if component is not None:
                    components[name] = component
        for name in entries:
            if name not in uses and not self._wrong and name not in self._meant:
                origin = self._origin_of(name, None)
                self.report("graph-unused", f'no step of the graph names "{name}"', origin, Severity.WARNING, name)
        self._compile(raw, components)
        local = [each.loaded for each in components.values() if each.loaded and each.entry.get("url") is None]
        self._loaded.references = self._loaded.references.union(*(each.references for each in local))
        self._loader.findings += join_environments(self._loaded.environment, [each.environment for each in local])
        return self._loaded

    def _compile(self, raw: object, components: Mapping[str, LoadedComponent]) -> None:
        roles = {name: each.role for name, each in components.items() if not each.is_misdescribed}
        compiler = GraphCompiler(raw, roles, self._locate, self._wrong)
        self._loaded.steps = compiler.compile()
        self._loader.findings += compiler.problems
        for name in compiler.misused:  # by its place in the graph, which says more than no-hook
            loaded = components[name].loaded
            for finding in loaded.findings if loaded is not None else ():
                if finding.code == "no-hook":
                    self._loader.findings.remove(finding)
        names = list_components(self._loaded.steps) if self._loaded.steps is not None else []
        self._loaded.components = {name: components[name] for name in names if name in components}
        self._loaded.step_names = frozenset(compiler.names)

    def _locate(self, path: FieldPath, is_key: bool) -> Origin:  # noqa: FBT001 - the type of a callback
        if not is_key:
            return self._context.item_origin(*path)
        origin, document = self._context.origin("graph"), self._layered.document
        is_here = origin.name == document.file and document.find(path) is not None
        return document.origin(document.key_position(path)) if is_here else origin

    def _origin_of(self, name: str, use: Use | None, *keys: str) -> Origin:
        """Return the origin of a component: of a key of its entry, of the entry, or of the step that names it."""
        for key in keys:
            if self._context.is_set("components", name, key):
                return self._context.origin("components", name, key)
        if self._context.is_set("components", name):
            return self._context.key_origin("components", name)
        if use is not None:
            return self._locate(use.path, use.is_key)
        origins = self._values.origins
        return next((origins[path] for path in origins if path[:2] == ("components", name)), self._context.origin())

    def report(self, code: str, message: str, origin: Origin, severity: Severity, name: str, **details: Any) -> None:
        path = ("components", name)
        self._loader.findings.append(Diagnostic(code, message, origin, severity, path, **details))

    def _check_settings(self, known: set[str]) -> None:
        for name, origin in self._loader.find_settings(self._at):
            if name not in known and not self._wrong:
                match = guess(name, known)
                remedy = f'did you mean "{match}"?' if match else None
                message = f'the graph has no component "{name}"'
                self._loader.findings.append(
                    Diagnostic("unknown-component", message, origin, path=("components", name), help=remedy)
                )

    def _check_name(self, name: str, use: Use | None) -> bool:
        """Return whether a component may be loaded: its name is valid, and the keys that decide what it is."""
        at = ("components", name)
        if any(at[: len(path)] == path for path in self._layered.wrong):
            return False
        if any(path[:2] == at and path[2:] in _DECISIVE for path in self._layered.wrong):
            return False
        if is_label(name):
            return True
        origin = self._locate(use.path, use.is_key) if use is not None else self._origin_of(name, use)
        message = f'"{name}" cannot be the name of a component'
        self._meant.update(split_names(name))
        remedy = suggest_name(name, has_entry=self._context.is_set(*at))
        self._loader.findings.append(
            Diagnostic("graph-name", message, origin, path=("graph",), allowed=LABEL, help=remedy)
        )
        return False

    def _load_component(self, name: str, use: Use | None) -> LoadedComponent | None:
        entry: dict[str, Any] = self._values.get(("components", name)) or {}
        at = (*self._at, "components", name)
        number, is_deep = self._loader.count_component(), len(self._at) // 2 >= MAX_LEVELS
        if number > MAX_COMPONENTS + 1:  # reported already
            return None
        if is_deep or number > MAX_COMPONENTS:
            limit = f"{MAX_LEVELS} graphs inside each other, and {MAX_COMPONENTS} components"
            origin = self._origin_of(name, use)
            self._loader.findings.append(
                Diagnostic("graph-depth", "the graph is too large", origin, path=("graph",), allowed=f"at most {limit}")
            )
            return None
        layered = self._find_layers(name, use, entry)
        if layered is None:
            return None
        self._loader.findings += check_entry(self._context, name, entry)
        _apply_entry(self._values, name, layered)
        layered.wrong |= {path[2:] for path in self._layered.wrong if path[:2] == ("components", name)}
        self._loader.apply_layers(layered, at)
        if not _has_spec(layered):
            return self._make_remote(name, entry, layered)
        is_in_image = entry.get("url") is None and self._context.checks_build
        loaded = self._loader.load(layered, at, self._files, is_in_image=is_in_image)
        if not layered.is_readable:
            return None
        service_type = _service_type_of(loaded)
        if loaded.steps is not None:
            has_feedback = any(component.has_feedback for component in loaded.components.values())
        else:
            has_feedback = not loaded.has_model and may_take_feedback(layered.class_source, service_type)
        return LoadedComponent(entry, service_type, loaded, has_feedback, ("service_type",) in layered.wrong)

    def _find_layers(self, name: str, use: Use | None, entry: Mapping[str, Any]) -> LayeredSpec | None:
        """Return the first layer of a component: its file, the part of this file, or nothing if it has only a URL."""
        own = self._layered
        if "path" not in entry and not _DESCRIBES.isdisjoint(entry):
            layered = LayeredSpec(own.document.part(("components", name)), own.folder, own.file)
            for path, origin in self._values.origins.items():
                if path[0] == "image":
                    layered.values.set(path, copy.deepcopy(self._values.get(path)), origin)
            return layered
        named = own.folder / (entry.get("path") or name)
        short = Path(os.path.normpath(named))
        named = short if os.path.realpath(short) == os.path.realpath(named) else named
        folder, file_name = split_spec_path(named)
        file = folder / file_name
        if is_file(file) and file.suffix != ".py":
            return self._check_cycle(name, use, file) and read_spec(named)
        if entry.get("url") is not None and "path" not in entry:
            return LayeredSpec(Document(own.document.file, [], first=own.document.start()), own.folder, "")
        self._report_missing(name, use, entry, file if "path" in entry else own.folder / name / SPEC_FILE)
        return None

    def _report_missing(self, name: str, use: Use | None, entry: Mapping[str, Any], missing: Path) -> None:
        """Report a component without a spec; of an entry without keys, at the entry."""
        document, at = self._layered.document, ("components", name)
        origin, is_described = self._origin_of(name, use, "path"), bool(entry) or document.find(at) is not None
        if is_described and not entry:
            origin = document.origin(document.key_position(at))
        message = f'the component "{name}" has no spec' if is_described else f'there is no component "{name}"'
        found = f"{missing}, a Python file" if is_file(missing) else f"no {missing}"
        remedy = suggest_entry(entry.get("path"))
        files = [each.name for each in missing.parent.glob("*.[yY]*[mM][lL]")] if is_folder(missing.parent) else []
        near = guess(missing.name, files)
        if near is not None:
            rename = f" Or rename it to {SPEC_FILE}" if missing.name == SPEC_FILE else ""
            remedy = f"did you mean path: {missing.parent / near}?{rename}"
        elif not is_described:
            folders = [each.parent.name for each in self._layered.folder.glob(f"*/{SPEC_FILE}") if is_file(each)]
            match = guess(name, [*(self._values.get(("components",)) or {}), *folders])
            self._meant |= {match} if match else set()
            remedy = f'did you mean "{match}"?' if match else f"write {missing}, or an entry in components"
        self._loader.findings.append(
            Diagnostic("unknown-component", message, origin, path=at, found=found, help=remedy)
        )

    def _check_cycle(self, name: str, use: Use | None, file: Path) -> Any:
        """Report a file that is one of the graphs around the component; return whether it is none of them."""
        real = os.path.realpath(file)
        index = next((i for i, (each, _) in enumerate(self._files) if each == real), None)
        if index is None:
            return True
        names = [each for _, each in self._files[index:]]
        self._loader.findings.append(
            Diagnostic(
                "graph-cycle",
                f'the component "{name}" contains itself',
                self._origin_of(name, use, "path"),
                path=("components", name),
                found=" → ".join([*names, names[0]]),
                help="name the folder of another component",
            )
        )
        return None

    def _make_remote(self, name: str, entry: Mapping[str, Any], layered: LayeredSpec) -> LoadedComponent:
        """Return a component of which only the URL is known."""
        self._loader.findings += layered.values.problems
        text = layered.values.get(("service_type",))
        if text is None and ("service_type",) not in layered.wrong:
            self.report(
                "graph-remote-type",
                f"the service type of {name} is not known",
                self._context.origin("components", name, "url"),
                Severity.ERROR,
                name,
                allowed=f"one of {', '.join(ServiceType)}",
                help=f"add service_type, or the folder {self._layered.folder / name}",
            )
        service_type = ServiceType(text or "MODEL")
        has_feedback = service_type in (ServiceType.MODEL, ServiceType.ROUTER)
        return LoadedComponent(entry, service_type, None, has_feedback, text is None)


def _has_spec(layered: LayeredSpec) -> bool:
    return bool(layered.file)


def _service_type_of(loaded: LoadedSpec) -> ServiceType:
    values = loaded.layered.values
    text = values.get(("service_type",)) if values.get(("graph",)) is None else None
    return ServiceType(text or "MODEL")


def _apply_entry(values: Any, name: str, layered: LayeredSpec) -> None:
    """Put the values of an entry, with their origins, above those of the component's file."""
    prefix = ("components", name)
    for path, origin in values.origins.items():
        own = path[2:]
        if path[:2] != prefix or not own or own[0] in ENTRY_KEYS:
            continue
        value = values.get(path)
        if isinstance(value, dict) and groups_keys(own):
            if layered.values.get(own) is None:
                layered.values.open(own, origin)
        else:
            layered.values.set(own, value, origin)
