"""The command ``migrate``: write the planned files and report what needs attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from seldon_spec import __version__
from seldon_spec.cli.exit_codes import OK, print_diagnostics, write_stderr
from seldon_spec.config.loader import FOR_IMAGE, load
from seldon_spec.config.model import SPEC_FILE
from seldon_spec.config.paths import leaving_link
from seldon_spec.config.schema.lookup import join
from seldon_spec.config.yaml.scalars import printable
from seldon_spec.errors import Diagnostic, Severity, SpecError
from seldon_spec.migrate.candidates import CannotMigrate
from seldon_spec.migrate.plan import Migration, plan
from seldon_spec.migrate.requirements import Change
from seldon_spec.migrate.resolve import RULE
from seldon_spec.migrate.write import format_position
from seldon_spec.report import exit_code

_OF_REQUIREMENTS = frozenset({"bad-requirement", "requirement-conflict"})


def migrate(folder: Path, node: str | None, *, is_forced: bool, is_writing: bool) -> int:
    """Write seldon.yaml, and with ``is_writing`` the requirements; return the exit code.

    Raises:
        CannotMigrate: nothing was written.
    """
    target = folder / SPEC_FILE
    if not is_forced and (target.exists() or target.is_symlink()):
        raise CannotMigrate(f"{target} exists already; nothing was written. --force overwrites it")
    migration = plan(folder, __version__, node)
    changes = [change for change in migration.changes if is_writing and change.is_needed()]
    for path in (target, *(change.path for change in changes)):
        _refuse_link(folder, path)
    _write(target, migration.text, is_new=not is_forced)
    for change in changes:
        _write(change.path, change.after, is_new=change.before is None)
    findings = (*migration.problems, *_validate(folder, () if is_writing else migration.changes))
    print_diagnostics(findings, with_summary=False)
    write_stderr("".join(_report(folder, migration, is_writing=is_writing)), end="")
    code = exit_code(findings)
    write_stderr(_summarise(folder, migration, findings, is_valid=code == OK), end="")
    return code


def _refuse_link(folder: Path, path: Path) -> None:
    link = leaving_link(folder, path)
    if link is not None:
        raise CannotMigrate(f"{link} is a link that leaves the folder; nothing was written")


def _write(path: Path, text: str, *, is_new: bool) -> None:
    try:
        with path.open("x" if is_new else "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except OSError as error:
        raise CannotMigrate(f"{path} cannot be written: {error.strerror or error}") from error


def _validate(folder: Path, pending: Sequence[Change]) -> tuple[Diagnostic, ...]:
    """Load the folder without variables, which belong to this process and not to the image; return the findings.

    Args:
        folder: the migrated folder.
        pending: suggested changes of requirements that are not written; findings that they fix are left out.
    """
    try:
        findings = load(folder, {}, options=FOR_IMAGE).diagnostics
    except SpecError as error:
        findings = error.diagnostics
    return tuple(finding for finding in findings if not any(_is_fixed(finding, change) for change in pending))


def _is_fixed(finding: Diagnostic, change: Change) -> bool:
    """Return whether a change of requirements adds the missing package, or removes the line of a finding."""
    lines = [line.rstrip() for line in change.after.splitlines()]
    position = finding.origin.position
    if finding.code == "missing-requirement":
        return (finding.help or "").startswith(tuple(f"add {line} to " for line in lines))
    if position is None or position.file != str(change.path) or not change.is_needed():
        return False
    before = (change.before or "").splitlines()
    return position.line <= len(before) and before[position.line - 1].rstrip() not in lines


def _report(folder: Path, migration: Migration, *, is_writing: bool) -> Iterator[str]:
    for path, choice in migration.choices.items():
        for other in choice.others:
            chosen = f"{format_position(folder, choice.candidate.position)} ({choice.candidate.label})"
            yield _note(str(other.position), f"{join(path)} is taken from {chosen}, not from {other.label} here")
    if any(choice.others for choice in migration.choices.values()):
        yield f"{RULE}\n"
    for each in migration.left_out:
        yield _note(str(each.position), f"{each.what}: {each.why}")
    for change in migration.changes:
        yield from _report_change(change, is_writing=is_writing)


def _report_change(change: Change, *, is_writing: bool) -> Iterator[str]:
    for position, text in change.mentions:
        yield _note(str(position), text)
    if change.is_needed():
        heading = "changed:" if is_writing else "suggested change (--write applies it):"
        yield f"{printable(str(change.path))}: {heading}\n"
        yield change.render()


def _note(place: str, text: str) -> str:
    return f"{printable(place)}: note: {printable(text)}\n"


def _summarise(folder: Path, migration: Migration, findings: Sequence[Diagnostic], *, is_valid: bool) -> str:
    written = f"wrote {folder / SPEC_FILE} from {', '.join(migration.sources)}"
    if is_valid:
        return f"{printable(written)}: it is valid\n"
    codes = {finding.code for finding in findings if finding.severity is Severity.ERROR}
    reason = "the requirements cannot be installed" if codes & _OF_REQUIREMENTS else "there are errors"
    return f"{printable(written)}: {reason}, see above; fix them, then run seldon-spec validate\n"
