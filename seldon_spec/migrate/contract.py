"""``contract.json``: features and targets of the old testers, for a comment in seldon.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seldon_spec.config.yaml.parser import parse_document
from seldon_spec.errors import Position
from seldon_spec.migrate.candidates import Gathered
from seldon_spec.migrate.sources import CONTRACT_FILE, read_bounded

MAX_NAMES = 30
_WHY = (
    "it has no equivalent key: describe the inputs and outputs in the class's init_metadata(), and keep the file for "
    "your own tests; its names are in a comment of seldon.yaml"
)


def read_contract(folder: Path, gathered: Gathered) -> list[str]:
    """Return comment lines about the features and targets; none if the file is missing or unreadable."""
    path = folder / CONTRACT_FILE
    data = read_bounded(folder, path, gathered.problems)
    if data is None:
        return []
    document = parse_document(data.replace(b"\t", b" "), str(path))
    value = document.root.to_json() if document.root else None
    if not isinstance(value, dict):
        where = document.problems[0].origin.position if document.problems else None
        position = where or Position(str(path), 1, 1)
        gathered.leave_out(position, path.name, "it cannot be read as JSON")
        return []
    lines = [f"{path.name}: {key}: {_describe(value[key])}" for key in ("features", "targets") if key in value]
    if lines:
        gathered.leave_out(Position(str(path), 1, 1), path.name, _WHY)
    return lines


def _describe(entries: Any) -> str:
    if not isinstance(entries, list):
        return "no list"
    names: list[str] = []
    for entry in entries:
        if isinstance(entry, dict):
            name, repeat = str(entry.get("name", "?")), entry.get("repeat")
            count = repeat if isinstance(repeat, int) and not isinstance(repeat, bool) and repeat > 1 else 1
            names.append(name if count == 1 else f"{name} ({count} of them)")
    shown = ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
    return f"{len(names)}: {shown}" if names else "none"
