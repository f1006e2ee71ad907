"""The environment of an s2i build, lines ``NAME=value``: ``.s2i/environment``, or the file of ``s2i build -E``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from seldon_spec.config.checks.class_source import NoModule, read_class
from seldon_spec.errors import Position
from seldon_spec.migrate.candidates import CannotMigrate, Gathered, Rank
from seldon_spec.migrate.sources import S2I_FILE, read_bounded
from seldon_spec.migrate.variables import add_variable

_NAME = re.compile(r"environment([_.-][\w.-]*)?(?<!\.yml)(?<!\.yaml)(?<!\.json)")

Variables = dict[str, tuple[str, Position]]


def read_s2i(folder: Path, gathered: Gathered) -> str | None:
    """Add the variables of the environment file, and report other files of the s2i builder.

    Returns:
        The file, relative to the folder; None if there is none.

    Raises:
        CannotMigrate: several files match ``s2i build -E``.
    """
    path = folder / S2I_FILE
    if path.is_symlink() or path.exists():
        variables = _parse(path, read_bounded(folder, path, gathered.problems) or b"", gathered)
        name = S2I_FILE.as_posix()
    else:
        places = (folder, folder.resolve().parent)
        found = next((each for place in places if (each := _select(_find_environments(folder, place)))), None)
        if found is None:
            return None
        path, data = found
        name = path.name if path.parent == folder else f"../{path.name}"
        variables = _parse(path, data, gathered)
    for variable, (text, position) in variables.items():
        add_variable(gathered, variable, text, position, variable, Rank.S2I)
    _report_builder_files(folder, gathered)
    return name


def _find_environments(folder: Path, place: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield files of a directory whose MODEL_NAME is a class of the folder, as used with ``s2i build -E``."""
    for path in sorted(place.glob("environment*")):
        if not _NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
            continue
        data = read_bounded(place, path, []) or b""
        name = _parse(path, data, Gathered()).get("MODEL_NAME")
        if name and not isinstance(read_class(folder, name[0]), NoModule):
            yield path, data


def _select(found: Iterator[tuple[Path, bytes]]) -> tuple[Path, bytes] | None:
    """Return the only file, or the first of several that differ at most in the transport."""
    files = list(found)
    if not files:
        return None
    if len({_settings(path, data) for path, data in files}) > 1:
        names = "".join(f"\n  {path}" for path, _ in files)
        raise CannotMigrate(
            f"{len(files)} files match the environment of s2i build -E; nothing was written. "
            f"Copy the right one to {S2I_FILE.as_posix()} and migrate again:{names}"
        )
    return files[0]


def _settings(path: Path, data: bytes) -> Sequence[tuple[str, str]]:
    variables = _parse(path, data, Gathered())
    return tuple(sorted((name, text) for name, (text, _) in variables.items() if name != "API_TYPE"))


def _parse(path: Path, data: bytes, gathered: Gathered) -> Variables:
    variables: Variables = {}
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), start=1):
        position = Position(str(path), number, 1, max(1, len(line)), line)
        if pair := _read_line(line, position, gathered):
            variables[pair[0]] = pair[1], position
    return variables


def _read_line(line: str, position: Position, gathered: Gathered) -> tuple[str, str] | None:
    """Return the name and value of a line."""
    stripped = line.strip()
    if not stripped or stripped.startswith("#"):
        return None
    name, equals, text = stripped.partition("=")
    if not equals:
        gathered.leave_out(position, "a line", "it is not NAME=value, so s2i ignored it")
        return None
    return name.strip(), _unquote(text.strip())


def _unquote(text: str) -> str:
    """Remove a pair of quotes. s2i kept them, and then found no class, so they are not intended."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _report_builder_files(folder: Path, gathered: Gathered) -> None:
    """Report files that the builder ran or read. Source: contract section 7.7, the stock build."""
    for name, why in (
        ("before-run", "nothing runs before the server: do it in __init__ or load() of the class"),
        (os.path.join(".s2i", "bin"), "the scripts of the s2i build are not run"),  # noqa: PTH118
    ):
        if (folder / name).exists():
            gathered.leave_out(Position(str(folder / name), 1, 1), Path(name).as_posix(), why)
    if (folder / "requirements.txt").exists():
        return
    if (folder / "setup.py").is_file():
        why = "the image installs requirements.txt: list there what the class imports"
        gathered.leave_out(Position(str(folder / "setup.py"), 1, 1), "setup.py", why)
    elif (folder / "environment.yml").is_file():
        position = Position(str(folder / "environment.yml"), 1, 1)
        gathered.add(("image", "requirements"), "environment.yml", position, "conda's environment", Rank.S2I)
