"""The components that the key ``graph`` names, and the properties of a component that its steps depend on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.graph import Method
from seldon_spec.config.model import ServiceType
from seldon_spec.errors import FieldPath

_COUNTS = ("n_branches", "n_children")
"""The parameters of a router that state the number of its branches."""


@dataclass(frozen=True, slots=True)
class Use:
    """A place of the graph that names a component; ``is_key``: the name is a key of ``split``."""

    name: str
    path: FieldPath
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """The properties of a component that its steps depend on.

    Attributes:
        hooks: the names of the methods of its class; of a graph, only ``predict``; None: they are not known.
        branches: the parameter that states the number of branches of a router, and its value.
        step_names: of the graph that it is.
    """

    service_type: ServiceType
    hooks: frozenset[str] | None = None
    branches: tuple[str, Any] | None = None
    step_names: frozenset[str] = frozenset()


def make_role(service_type: ServiceType, source: object, parameters: Mapping[str, Any]) -> Role:
    """Return the role of a component with a class; ``source`` is the result of reading it."""
    hooks = source.hooks if isinstance(source, ClassSource) and source.is_whole else None
    branches = next(((key, parameters[key]) for key in _COUNTS if key in parameters), None)
    return Role(service_type, hooks, branches)


def find_uses(raw: object, path: FieldPath = ("graph",)) -> Iterator[Use]:
    """Yield every place that names a component, in call order; accepts trees that are no steps."""
    if isinstance(raw, str):
        yield Use(raw, path)
    elif isinstance(raw, list):
        for index, item in enumerate(raw):
            yield from find_uses(item, (*path, str(index)))
    elif isinstance(raw, dict):
        for key in ("route", *(method.value for method in Method), "split", "to", "of", "average", "combine", "shadow"):
            if key == "split" and isinstance(raw.get(key), dict):
                yield from (Use(name, (*path, key, name), is_key=True) for name in raw[key])
            elif key != "split" and key in raw:
                yield from find_uses(raw[key], (*path, key))


_DOTTED = re.compile(r"([A-Za-z_]\w*\.)*[A-Za-z_]\w*")
_ADDRESS = re.compile(r"([A-Za-z0-9.-]+):[0-9]{1,5}")


def split_names(text: str) -> list[str]:
    """Return the names in a text such as ``a, b`` or ``a -> b``; empty if it does not look like several names."""
    names = re.split(r"\s*(?:[,;|+>]|[-=]>|\s)\s*", text.strip())
    return names if len(names) > 1 and all(re.fullmatch("[a-z0-9-]*[a-z0-9]", each) for each in names) else []


def suggest_name(name: str, *, has_entry: bool) -> str | None:
    """Return the help for a name that no component can have; ``has_entry``: it is a key of ``components``."""
    if name.startswith(("[", "{")):  # of a variable or a flag
        return 'write the steps in JSON, e.g. ["scaler", "iris"]'
    several = split_names(name)
    if several and not has_entry:
        return f"write a list: [{', '.join(several)}]"
    host = re.match(r"(https?|grpcs?)://([^:/.]+)", name)
    is_class = host is None and _DOTTED.fullmatch(name) is not None and name.rpartition(".")[2][0].isupper()
    plain = host[2] if host else name.rpartition(".")[2] if is_class and "_" not in name else name
    better = "-".join(re.findall("[a-z0-9]+", plain.lower()))[:63].rstrip("-")
    if not better:
        return None
    if has_entry:
        return f"name it {better}, here and in components"
    entry = f'{{url: "{name}", service_type: …}}' if host else f"{{class_name: {name}}}" if is_class else name
    other = f"; for a folder, {{{better}: {name}}}" if is_class and "." not in name else ""
    return f"name it {better}, with components: {{{better}: {entry}}}{other}"


def suggest_entry(path: str | None) -> str:
    """Return the help for an entry whose spec does not exist; ``path`` as the entry has it."""
    if path is not None and _ADDRESS.fullmatch(path):
        return f'write {{url: "http://{path}", service_type: …}} for a server'
    if path is not None and path.endswith(".py"):
        return f"write {{class_name: {path.removesuffix('.py').removeprefix('./').replace('/', '.')}.…}} for its class"
    if path is not None and _DOTTED.fullmatch(path) and path.rpartition(".")[2][0].isupper():
        return f"write {{class_name: {path}}} for a class"
    return "correct the path, or add class_name or url" if path is not None else "add class_name, path or url"
