"""The formats of inputs and outputs, and which one a file has."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from seldon_spec.errors import SeldonSpecError


class Format(str, Enum):
    """A format of a file; ``files`` is a folder whose files are the rows."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    NPY = "npy"
    PARQUET = "parquet"
    FILES = "files"


_SUFFIXES: Mapping[str, Format] = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".npy": Format.NPY,
    ".parquet": Format.PARQUET,
}


def find_format(path: Path) -> Format:
    """Return the format of a file by its suffix.

    Raises:
        SeldonSpecError: the suffix is none of a format.
    """
    if path.is_dir():
        return Format.FILES
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise SeldonSpecError(
            f"{path} has none of the suffixes {', '.join(_SUFFIXES)}\n"
            "     = help: --input-format or --output-format names its format"
        )
    return found
