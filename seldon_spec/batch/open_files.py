"""Opens inputs and outputs by their formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seldon_spec.batch.declared import NOTHING_DECLARED, DeclaredColumns
from seldon_spec.batch.formats import Format, find_format
from seldon_spec.batch.rows import Reader
from seldon_spec.batch.writer import Writer
from seldon_spec.errors import SeldonSpecError


def open_reader(
    path: Path,
    given: Format | None,
    *,
    columns: Sequence[str] | None = None,
    has_header: bool | None = None,
    declared: DeclaredColumns = NOTHING_DECLARED,
) -> Reader:
    """Return the reader of an input.

    Args:
        path: of the file or the folder.
        given: its format; None: by its suffix.
        columns: the names of those that are sent; None: all.
        has_header: whether a CSV file names its columns; None: unless its first row consists of numbers.
        declared: of the model.

    Raises:
        SeldonSpecError: the input cannot be read, or has no columns to choose from.
    """
    if not path.exists():
        raise SeldonSpecError(f"{path} does not exist")
    if not path.is_dir() and not path.is_file():  # such as a pipe, which can be read only once
        raise SeldonSpecError(f"{path} is neither a file nor a folder\n     = help: write the rows to a file first")
    found = given or find_format(path)
    if path.is_dir() != (found is Format.FILES):
        raise SeldonSpecError(
            f"{path} is {'a folder' if path.is_dir() else 'no folder'}, and its format is {found.value}"
        )
    if found is Format.CSV:
        from seldon_spec.batch.csv_files import CsvReader

        return CsvReader(path, columns=columns, has_header=has_header, declared=declared)
    if found is Format.JSON_LINES:
        from seldon_spec.batch.json_lines import JsonLinesReader

        return JsonLinesReader(path, columns=columns)
    if found is Format.PARQUET:
        from seldon_spec.batch.parquet import ParquetReader

        return ParquetReader(path, columns=columns)
    if columns is not None:
        raise SeldonSpecError(f"{path} has no named columns to choose from")
    if found is Format.NPY:
        from seldon_spec.batch.npy import NpyReader

        return NpyReader(path)
    from seldon_spec.batch.files import FilesReader

    return FilesReader(path)


def open_writer(path: Path, given: Format | None) -> Writer:
    """Return the writer of an output, which opens it when it has the first row.

    Args:
        path: of the file.
        given: its format; None: by its suffix.

    Raises:
        SeldonSpecError: it is no format of an output.
    """
    found = given or find_format(path)
    if found is Format.CSV:
        from seldon_spec.batch.csv_files import CsvWriter

        return CsvWriter(path)
    if found is Format.JSON_LINES:
        from seldon_spec.batch.json_lines import JsonLinesWriter

        return JsonLinesWriter(path)
    if found is Format.NPY:
        from seldon_spec.batch.npy import NpyWriter

        return NpyWriter(path)
    if found is Format.PARQUET:
        from seldon_spec.batch.parquet import ParquetWriter

        return ParquetWriter(path)
    raise SeldonSpecError(f"{path} cannot be a folder of files")
