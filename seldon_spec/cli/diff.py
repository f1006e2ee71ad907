"""Whether a committed file is still what the spec renders to."""

from __future__ import annotations

import difflib
from pathlib import Path

from seldon_spec.errors import SeldonSpecError


class Drifted(SeldonSpecError):
    """A committed file is not, or no longer, what the spec renders to."""


def compare(path: Path, text: str) -> str:
    """The difference from a file to what it should be, as a unified diff; empty where there is none.

    Raises:
        Drifted: the file cannot be read.
    """
    try:
        found = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise Drifted(f"{path} cannot be read: {error.strerror}") from None
    lines = difflib.unified_diff(
        found.splitlines(keepends=True), text.splitlines(keepends=True), str(path), f"{path} (rendered)"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
