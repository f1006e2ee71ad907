"""The output: a line for each line of the input, which is a response or a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seldon_spec.batch.json_text import write_json
from seldon_spec.batch.output_file import TextOutput
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.processor.form import Form, Method
from seldon_spec.batch.processor.lines import NumberedLines
from seldon_spec.batch.rows import Rows


class ResponseWriter(TextOutput):
    """Writes the responses; see ``Writer``. The lines without a response are those of its ``FailureLines``.

    Args:
        path: of the output.
    """

    def start(self, names: Sequence[str], predicted: Sequence[str]) -> None:  # noqa: ARG002
        self._file.create()

    def resume(self, names: Sequence[str], predicted: Sequence[str], size: int) -> None:  # noqa: ARG002
        self._file.resume(size)

    def write(self, rows: Rows, predictions: Predictions | None) -> None:  # noqa: ARG002
        if predictions is not None:
            self.write_lines(predictions.to_texts() or ())

    def write_lines(self, lines: Sequence[bytes]) -> None:
        """Add lines."""
        self._file.write(b"".join([line + b"\n" for line in lines]))


class FailureLines:
    """Writes the failures between the responses; see ``FailureLog``.

    Args:
        writer: of the responses.
        form: of the requests.
    """

    def __init__(self, writer: ResponseWriter, form: Form) -> None:
        self._writer = writer
        self._form = form

    def resume(self, size: int) -> None:
        pass

    def add(self, number: int, rows: Rows, reason: str) -> None:  # noqa: ARG002
        assert isinstance(rows, NumberedLines)
        (tags,) = rows.list_tags(self._form.batch_id)
        meta: dict[str, Any] = {"tags": tags} if self._form.method is Method.FEEDBACK else tags
        status = {"info": "FAILURE", "reason": reason, "status": 1}
        self._writer.write_lines([write_json({"status": status, "meta": meta})])

    def flush(self) -> int:
        return 0

    def close(self) -> None:
        pass
