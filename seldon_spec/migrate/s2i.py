"""``.s2i/environment``: lines ``NAME=value`` that the s2i builder made variables of the image."""

from __future__ import annotations

import os
from pathlib import Path

from seldon_spec.errors import Position
from seldon_spec.migrate.claims import Gathered, Rank
from seldon_spec.migrate.sources import S2I_FILE, read_bounded
from seldon_spec.migrate.variables import claim_variable


def read_s2i(folder: Path, gathered: Gathered) -> bool:
    """Claim what the file says, and name what else the s2i builder looked at; whether the file is there."""
    path = folder / S2I_FILE
    is_there = path.is_file()
    data = read_bounded(path, gathered.problems) if is_there else None
    variables: dict[str, tuple[str, Position]] = {}
    for number, line in enumerate((data or b"").decode("utf-8-sig", "replace").splitlines(), start=1):
        position = Position(str(path), number, 1, max(1, len(line)), line)
        if pair := _read_line(line, position, gathered):
            variables[pair[0]] = pair[1], position
    for name, (text, position) in variables.items():
        claim_variable(gathered, name, text, position, name, Rank.S2I)
    if is_there:
        _leave_builder_files(folder, gathered)
    return is_there


def _read_line(line: str, position: Position, gathered: Gathered) -> tuple[str, str] | None:
    """A line's name and value."""
    stripped = line.strip()
    if not stripped or stripped.startswith("#"):
        return None
    name, equals, text = stripped.partition("=")
    if not equals:
        gathered.leave(position, "a line", "it is not NAME=value, so s2i passed it over")
        return None
    return name.strip(), _unquote(text.strip())


def _unquote(text: str) -> str:
    """Without a pair of quotes, which s2i kept: with them no class was ever found, so nobody means them."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _leave_builder_files(folder: Path, gathered: Gathered) -> None:
    """Files that the builder ran or read; source: contract section 7.7, the stock build."""
    for name, why in (
        ("before-run", "nothing runs before the server: do it in the class's __init__ or load()"),
        (os.path.join(".s2i", "bin"), "there is no s2i build, so its scripts are not run"),  # noqa: PTH118
    ):
        if (folder / name).exists():
            gathered.leave(Position(str(folder / name), 1, 1), Path(name).as_posix(), why)
    if (folder / "requirements.txt").exists():
        return
    if (folder / "setup.py").is_file():
        why = "the image installs requirements.txt: list there what the class imports"
        gathered.leave(Position(str(folder / "setup.py"), 1, 1), "setup.py", why)
    elif (folder / "environment.yml").is_file():
        position = Position(str(folder / "environment.yml"), 1, 1)
        gathered.claim(("image", "requirements"), "environment.yml", position, "conda's environment", Rank.S2I)
