"""What is known of a model file that has not been loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,200}")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What is known of a model file.

    Attributes:
        format: the name of its format; None: it has no known one.
        kind: what it is, for diagnostics, e.g. ``a pickle of sklearn.svm._classes.SVC``.
        is_certain: the contents decide the format, not the name alone.
        is_pickle: it is a pickle or has some: loading it executes code of the file.
        is_joblib: only joblib can load it.
        is_skops: it is a file of skops.
        modules: the top-level modules that loading it needs, besides that of the format.
        versions: the recorded versions of libraries, by top-level module or package.
        is_folder: it is a folder.
        is_program: it contains a program, which loading or serving it executes.
        files: further files that belong to it, relative to the folder that holds it or, of a folder, to itself.
        remedy: how to save a model that can be served instead; None: unknown.
    """

    format: str | None
    kind: str
    is_certain: bool = True
    is_pickle: bool = False
    is_joblib: bool = False
    is_skops: bool = False
    modules: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    is_folder: bool = False
    is_program: bool = False
    files: tuple[str, ...] = ()
    remedy: str | None = None


def is_name(text: str) -> bool:
    """Return whether a text is the full name of a module or a class, so that a diagnostic can show it."""
    return _NAME.fullmatch(text) is not None


def make_versions(module: str, version: str | None) -> Mapping[str, str]:
    """Return the recorded version of a library by its module; nothing if it is not recorded."""
    return MappingProxyType({} if version is None else {module: version})
