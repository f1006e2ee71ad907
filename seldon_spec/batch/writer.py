"""The interface of the formats of an output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import Rows


class Writer(Protocol):
    """Writes rows with their predictions to an output, in order."""

    def start(self, names: Sequence[str], predicted: Sequence[str]) -> None:
        """Begin a new output.

        Args:
            names: of the columns of the input.
            predicted: of the columns of the predictions.
        """

    def resume(self, names: Sequence[str], predicted: Sequence[str], size: int) -> None:
        """Continue an output, as ``start`` began it.

        Args:
            names, predicted: those of ``start``.
            size: that ``flush`` returned; what follows in the output is removed.

        Raises:
            SeldonSpecError: the output is shorter.
        """

    def write(self, rows: Rows, predictions: Predictions | None) -> None:
        """Add rows.

        Args:
            rows: of the input.
            predictions: for each of them, with as many values as there are columns; None: they have none.

        Raises:
            ValueError: the format cannot hold the predictions; nothing was added.
        """

    def flush(self) -> int:
        """Write what is buffered to the disk; return the size of the output in bytes."""

    def finish(self) -> None:
        """Complete the output, after all rows, and close it."""

    def close(self) -> None:
        """Close the output as it is."""
