"""The command ``validate``: the findings of one spec, of several, or of every spec below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from seldon_spec import report
from seldon_spec.cli.commands import NO_FLAGS, Flags, print_text
from seldon_spec.cli.exit_codes import print_diagnostics, write_stderr
from seldon_spec.config.loader import FOR_IMAGE, load, made_strict
from seldon_spec.config.model import SPEC_FILE
from seldon_spec.config.paths import exists, is_folder
from seldon_spec.errors import Diagnostic, SpecError


def validate(
    *paths: Path,
    flags: Flags = NO_FLAGS,
    format: str = "text",  # noqa: A002
    is_strict: bool = False,
) -> int:
    """Print every finding of every path: text to stderr, a machine format to stdout. Return the exit code.

    Args:
        paths: folders with a spec, or the files; of a folder without one, the specs below it are checked.
        flags: of the specs.
        format: ``text``, or one of ``formats.FORMATS``.
        is_strict: warnings are errors.

    Raises:
        WrongArgument: a folder contains too many folders or specs.
    """
    everything: list[Diagnostic] = []
    failed: list[Path] = []
    checked = [each for path in paths for each in _find_specs(path)]
    for path in checked:
        findings = _find_problems(path, flags)
        if is_strict:
            findings = made_strict(findings)
        if format == "text":
            print_diagnostics(findings, path)
        failed += [path] * report.exit_code(findings)
        everything += findings
    if format != "text":
        from seldon_spec.cli.formats import FORMATS

        print_text(FORMATS[format](everything))
    elif len(checked) > len(paths):
        write_stderr(f"Checked {len(checked)} files: {len(checked) - len(failed)} OK, {len(failed)} with errors.")
    return report.exit_code(everything)


def _find_specs(path: Path) -> Iterator[Path]:
    """Yield the path, or the folders with a spec below it if it is a folder without one."""
    if exists(path / SPEC_FILE) or not is_folder(path):
        yield path
        return
    from seldon_spec.cli.spec_search import MAX_LEVELS, SpecSearch

    search = SpecSearch(path)
    yield from search.find_folders() or [path]
    for folder in search.too_deep:
        write_stderr(f"note: {folder} is not searched: it is more than {MAX_LEVELS} levels below {path}")


def _find_problems(path: Path, flags: Flags) -> tuple[Diagnostic, ...]:
    try:
        return load(path, os.environ, flags, options=FOR_IMAGE).diagnostics
    except SpecError as error:
        return error.diagnostics
