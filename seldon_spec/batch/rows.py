"""The interface between the formats of files and the requests: consecutive rows of an input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from seldon_spec.inference.message import Message

DATA = "data"
"""The column of the output for a row that is one value, not a row of named values."""

MAX_REQUEST_BYTES = 2 << 20
"""Of the rows of one request, unless one row has more; it bounds the memory of the requests in flight."""


class Rows(Protocol):
    """Consecutive rows of an input.

    Attributes:
        names: of the columns that the output has beside the predictions.
        lines: the rows as lines of the input's own format, without their ends; None: it is no format of text.
    """

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def lines(self) -> Sequence[bytes] | None: ...

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int) -> Rows:
        """Return some of the rows."""

    def to_numbers(self) -> Sequence[bytes] | None:
        """Return each row as the JSON text of numbers, separated by commas; None: a row has anything else.

        The text may be invalid: a server rejects it, and then ``to_message`` finds out which row is wrong.
        """

    def to_message(self) -> Message:
        """Return the request for the rows.

        Raises:
            ValueError: a row cannot be sent; the text names its column.
        """

    def to_number_records(self) -> Sequence[bytes] | None:
        """Return ``to_records`` as the JSON text of numbers, separated by commas; None: a row has anything else."""

    def to_records(self) -> list[list[Any]]:
        """Return the values of each row for the columns ``names``; a row that cannot be read has None for each."""


class Reader(Protocol):
    """Reads the rows of an input in order.

    Attributes:
        size: of the input, in the unit of ``position``.
        position: where the next row begins: bytes of a text, else the number of rows before it.
        columns: the names of the columns that are sent, if the input has names.
        max_rows: of one request, if rows are not to be sent together; None: any number.
    """

    @property
    def size(self) -> int: ...

    @property
    def position(self) -> int: ...

    @property
    def columns(self) -> Sequence[str]: ...

    @property
    def max_rows(self) -> int | None: ...

    def seek(self, position: int) -> None:
        """Continue at a position that was read from ``position`` before."""

    def read(self, count: int) -> Rows | None:
        """Return the next rows, at most ``count`` and about MAX_REQUEST_BYTES; None: there are no more.

        Raises:
            SeldonSpecError: the input is damaged from here on.
        """

    def close(self) -> None:
        """Close the input."""
