"""The file beside an output that says how far it is, so that it can be continued."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seldon_spec.errors import SeldonSpecError

_VERSION = 1
_MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What has been written.

    Attributes:
        source: what identifies the input and how it is read; another one cannot be continued.
        position: of the input, behind the last row that was written; see ``Reader``.
        rows: how many were written.
        failed: how many of them have no prediction.
        names: of the columns of the input; None: the output has not begun.
        predicted: of the columns of the predictions.
        output_bytes: the size of the output.
        failed_bytes: the size of the file of failed rows.
    """

    source: Mapping[str, Any]
    position: int = 0
    rows: int = 0
    failed: int = 0
    names: list[str] | None = None
    predicted: list[str] = field(default_factory=list)
    output_bytes: int = 0
    failed_bytes: int = 0


class ProgressFile:
    """The checkpoint of an output, in ``OUTPUT.progress``; it exists while the output is incomplete.

    Args:
        output: the path of the output.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(f"{output.name}.progress")

    def exists(self) -> bool:
        """Return whether the output is incomplete."""
        return self.path.exists()

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint in one step, after the output was written to the disk.

        Raises:
            SeldonSpecError: it cannot be written.
        """
        temporary = self.path.with_name(f"{self.path.name}.new")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump({"version": _VERSION, **asdict(checkpoint)}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            raise SeldonSpecError(f"{self.path} cannot be written: {error.strerror}") from None

    def load(self, source: Mapping[str, Any]) -> Checkpoint:
        """Return the checkpoint.

        Args:
            source: that it must have.

        Raises:
            SeldonSpecError: it cannot be read, or belongs to another input.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                found = json.loads(file.read(_MAX_BYTES))
            if found.pop("version") != _VERSION:
                raise ValueError("another version wrote it")
            checkpoint = Checkpoint(**found)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SeldonSpecError(f"{self.path} cannot be used: {error}; start again without --resume") from None
        for name, value in source.items():
            if checkpoint.source.get(name) != value:
                raise SeldonSpecError(
                    f"the output cannot be continued: {name} was {checkpoint.source.get(name)!r}, and is {value!r}; "
                    "start again without --resume"
                )
        return checkpoint

    def remove(self) -> None:
        """Remove the file, because the output is complete."""
        with suppress(FileNotFoundError):
            self.path.unlink()
