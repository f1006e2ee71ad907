"""The command ``migrate``: writes what the plan says, and tells what a person has to know of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from seldon_spec import __version__
from seldon_spec.cli.exits import FINE, say, tell
from seldon_spec.cli.report import exit_code
from seldon_spec.errors import Diagnostic, SpecError
from seldon_spec.migrate.choose import RULE
from seldon_spec.migrate.claims import CannotMigrate
from seldon_spec.migrate.plan import Migration, plan
from seldon_spec.migrate.requirements import Change
from seldon_spec.migrate.write import printable, show_place
from seldon_spec.spec.loader import load
from seldon_spec.spec.model import SPEC_FILE
from seldon_spec.spec.schema import join


def migrate(folder: Path, node: str | None, *, is_forced: bool, is_writing: bool) -> int:
    """Write the folder's seldon.yaml, and with ``is_writing`` its requirements; returns the exit code.

    Raises:
        CannotMigrate: nothing was written.
    """
    target = folder / SPEC_FILE
    if not is_forced and (target.exists() or target.is_symlink()):
        raise CannotMigrate(f"{target} is there already; nothing was written. --force writes it anew")
    migration = plan(folder, __version__, node)
    _write(target, migration.text, is_new=not is_forced)
    for change in migration.changes if is_writing else ():
        if change.is_needed():
            _write(change.path, change.after, is_new=change.before is None)
    findings = (*migration.problems, *_validate(folder))
    tell(findings, is_summed_up=False)
    say("".join(_tell(folder, migration, is_writing=is_writing)), end="")
    code = exit_code(findings)
    say(_sum_up(folder, migration, is_valid=code == FINE), end="")
    return code


def _write(path: Path, text: str, *, is_new: bool) -> None:
    try:
        with path.open("x" if is_new else "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except OSError as error:
        raise CannotMigrate(f"{path} cannot be written: {error.strerror or error}") from error


def _validate(folder: Path) -> tuple[Diagnostic, ...]:
    """What the loader says of the file alone: the variables of this process are not the image's."""
    try:
        return load(folder, {}).diagnostics
    except SpecError as error:
        return error.diagnostics


def _tell(folder: Path, migration: Migration, *, is_writing: bool) -> Iterator[str]:
    for path, choice in migration.choices.items():
        for other in choice.others:
            above = f"{show_place(folder, choice.claim.position)} ({choice.claim.label})"
            yield _note(str(other.position), f"{join(path)} is taken from {above} and not from {other.label} here")
    if any(choice.others for choice in migration.choices.values()):
        yield f"{RULE}\n"
    for left in migration.left_out:
        yield _note(str(left.position), f"{left.what}: {left.why}")
    for change in migration.changes:
        yield from _tell_change(change, is_writing=is_writing)


def _tell_change(change: Change, *, is_writing: bool) -> Iterator[str]:
    for position, text in change.mentions:
        yield _note(str(position), text)
    if change.is_needed():
        verb = "changed:" if is_writing else "change it so, or let --write do it:"
        yield f"{printable(str(change.path))}: {verb}\n"
        yield change.render()


def _note(place: str, text: str) -> str:
    return f"{printable(place)}: note: {printable(text)}\n"


def _sum_up(folder: Path, migration: Migration, *, is_valid: bool) -> str:
    written = f"wrote {folder / SPEC_FILE} from {', '.join(migration.sources)}"
    if is_valid:
        return f"{printable(written)}: it is valid\n"
    return f"{printable(written)}: errors are told above; mend them, then run seldon-spec validate\n"
