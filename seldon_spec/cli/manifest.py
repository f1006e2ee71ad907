"""The command ``manifest``: print the manifest of a spec, or how a file differs from it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seldon_spec import __version__
from seldon_spec.cli.commands import FileError, compare_file, print_text, write_file
from seldon_spec.cli.exit_codes import OK, WrongArgument, print_diagnostics
from seldon_spec.config.loader import load
from seldon_spec.config.paths import Unreadable, read_file
from seldon_spec.deploy.manifest.render import build_documents, find_problems, render_manifest
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import Tree, to_plain
from seldon_spec.errors import FieldPath, Severity, SpecError

MAX_BYTES = 16 << 20
"""The limit of a file that is compared."""


@dataclass(frozen=True, slots=True)
class ManifestOptions:
    """Options of the command.

    Attributes:
        has_comments: write the origin of each value.
        kinds: of the objects that are written; empty: all.
        is_complete: repeat what the image contains.
        output: the file to write to; None: stdout.
        compared: a file that should be equal, apart from comments and layout.
    """

    has_comments: bool = True
    kinds: tuple[str, ...] = ()
    is_complete: bool = False
    output: Path | None = None
    compared: Path | None = None


def manifest(path: Path, flags: Mapping[FieldPath, str], target: Target, options: ManifestOptions) -> int:
    """Print the manifest, or write it to a file, or print how a file differs from it.

    Returns:
        The exit code: 1 if the compared file differs.

    Raises:
        SpecError: the target cannot express the spec.
        WrongArgument: no object is of a requested kind.
    """
    spec = load(path, os.environ, flags)
    findings = tuple(find_problems(spec, target, is_complete=options.is_complete))
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise SpecError((*spec.diagnostics, *findings))
    print_diagnostics((*spec.diagnostics, *findings), path, with_summary=False)
    documents = _select(build_documents(spec, target, is_complete=options.is_complete), options.kinds)
    text = render_manifest(spec, target, __version__, documents, has_comments=options.has_comments)
    if options.compared is not None:
        if _is_equal(options.compared, documents):
            return OK
        return compare_file(options.compared, text)
    if options.output is None:
        print_text(text)
    else:
        write_file(options.output, text)
    return OK


def _select(documents: Sequence[Tree], kinds: Sequence[str]) -> list[Tree]:
    known = list(dict.fromkeys(document["kind"] for document in documents if "kind" in document))
    unknown = [kind for kind in kinds if kind not in known]
    if unknown:
        remedy = f"one of {', '.join(known)}" if known else "leave out --only"
        raise WrongArgument(f"--only {unknown[0]}: the manifest has no such object", remedy)
    return [document for document in documents if not kinds or document.get("kind") in kinds]


def _is_equal(path: Path, documents: Sequence[Tree]) -> bool:
    """Return whether a file contains the documents, in any layout and with any comments."""
    import yaml

    try:
        found: Any = list(yaml.load_all(read_file(path, MAX_BYTES), yaml.CSafeLoader))
    except Unreadable as error:
        raise FileError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError:
        return False
    return _has_same_data(found, [to_plain(document) for document in documents])


def _has_same_data(found: Any, expected: Any) -> bool:
    """Return whether two values are equal and have the same types: 1 is not true, although they are equal in Python."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return found.keys() == expected.keys() and all(_has_same_data(found[key], expected[key]) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(map(_has_same_data, found, expected))
    return type(found) is type(expected) and bool(found == expected)
