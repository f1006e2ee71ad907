"""Scores a file: reads rows, has them predicted in the background, and writes them in order.

Memory is bounded by the requests in flight. After each second what is written is on the disk, and the progress file
says how far it is; so a process that is killed loses a second of work.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from seldon_spec.batch.failed_rows import FailureLog
from seldon_spec.batch.predictions import PREDICTION
from seldon_spec.batch.progress_file import Checkpoint, ProgressFile
from seldon_spec.batch.rows import Reader, Rows
from seldon_spec.batch.scorer import Failed, NothingPredicted, Outcome, Scored
from seldon_spec.batch.scoring import ScoredBlock, Scoring
from seldon_spec.batch.writer import Writer
from seldon_spec.errors import SeldonSpecError

_SAVE_SECONDS = 1.0
_SHOW_SECONDS = 0.2
_MAX_HELD = 100
"""Rows without a prediction before the first row that has one; only that one names the columns of the output."""


class Display(Protocol):
    """Shows the progress."""

    def update(self, progress: Progress) -> None:
        """Show how far the output is; called several times a second."""


@dataclass(slots=True)
class Progress:
    """How far an output is.

    Attributes:
        size: of the input, in the unit of ``position``.
        position: of the input, behind the last row that was written.
        rows: that were written, those of an earlier run included.
        failed: how many of them have no prediction.
        earlier_rows: that an earlier run has written.
        earlier_position: of the input, behind those.
        seconds: of this run.
        rows_per_request: at present.
        concurrency: requests in flight at present.
        reasons: of the first rows of this run that failed, with their numbers.
        is_interrupted: whether a signal has stopped it.
    """

    size: int
    position: int = 0
    rows: int = 0
    failed: int = 0
    earlier_rows: int = 0
    earlier_position: int = 0
    seconds: float = 0.0
    rows_per_request: int = 0
    concurrency: int = 0
    reasons: list[tuple[int, str]] = field(default_factory=list)
    is_interrupted: bool = False

    @property
    def rate(self) -> float:
        """The rows a second of this run."""
        return (self.rows - self.earlier_rows) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Files:
    """What a run reads and writes.

    Attributes:
        reader: of the input.
        writer: of the output.
        failed: the rows without predictions.
        progress: the checkpoint.
        source: what identifies the input and how it is read.
        predicted: the columns of the predictions, if the format has the same for every model; None: those of the first
            predictions.
    """

    reader: Reader
    writer: Writer
    failed: FailureLog
    progress: ProgressFile
    source: Mapping[str, Any]
    predicted: Sequence[str] | None = None


class Runner:
    """One run.

    Args:
        files: read and written.
        scoring: predicts the rows; it is closed at the end.
        stopping: set to end the run early.
        display: of the progress.
    """

    def __init__(self, files: Files, scoring: Scoring, stopping: threading.Event, display: Display) -> None:
        self._files = files
        self._scoring = scoring
        self._stopping = stopping
        self._display = display
        self._names: list[str] | None = None
        self._predicted: list[str] = []
        self._held: list[Failed] = []
        self._started = time.monotonic()
        self._next_save = self._started + _SAVE_SECONDS
        self._next_show = self._started
        self._progress = Progress(files.reader.size)
        self._position = 0
        self._damage: SeldonSpecError | None = None

    def run(self, checkpoint: Checkpoint | None) -> Progress:
        """Score all rows, or those that follow a checkpoint.

        Returns:
            What was done; ``is_interrupted`` if a signal has stopped it, so that it can be continued.

        Raises:
            BatchStopped: the model cannot be reached; the output can be continued.
            NothingPredicted: the first rows have no prediction, or the format of the output cannot hold one.
            SeldonSpecError: the cluster has failed, and the output can be continued; or a file cannot be read or
                written.
        """
        self._begin(checkpoint)
        try:
            with _stop_on_signals(self._stopping):
                is_complete = self._transfer()
            if is_complete:
                self._finish()
            else:
                self._progress.is_interrupted = True
                self._save()
        finally:
            self._stopping.set()  # ends the retries of what is still in flight
            self._scoring.close()
            self._files.writer.close()
            self._files.failed.close()
        self._show()
        return self._progress

    def _begin(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            self._position = self._files.reader.position
        else:
            self._position = checkpoint.position
            self._files.reader.seek(checkpoint.position)
            self._progress.earlier_position = checkpoint.position
            self._progress.rows = self._progress.earlier_rows = checkpoint.rows
            self._progress.failed = checkpoint.failed
            if checkpoint.names is not None:
                self._names, self._predicted = checkpoint.names, checkpoint.predicted
                self._files.writer.resume(checkpoint.names, checkpoint.predicted, checkpoint.output_bytes)
        self._files.failed.resume(0 if checkpoint is None else checkpoint.failed_bytes)
        if self._names is None and self._files.predicted is not None:
            self._open([], list(self._files.predicted))
        self._save()

    def _transfer(self) -> bool:
        """Submit rows and write what comes back; return whether all rows are written, False after a signal."""
        pending: deque[tuple[int, Future[ScoredBlock]]] = deque()
        is_at_end = False
        while True:
            while not is_at_end and not self._stopping.is_set() and len(pending) < self._scoring.max_pending:
                rows = self._read()
                if rows is None:
                    is_at_end = True
                else:
                    pending.append((self._files.reader.position, self._scoring.submit(rows)))
            if not pending:
                break
            position, future = pending.popleft()
            outcomes = self._wait(future)
            if outcomes is None:
                return False
            for outcome in outcomes:
                self._write(outcome)
            self._position = position
            self._report()
        if self._damage is not None:
            self._save()
            raise self._damage
        return is_at_end

    def _read(self) -> Rows | None:
        """Return the next rows; None at the end, or where the input is damaged."""
        try:
            return self._files.reader.read(self._scoring.block_rows)
        except SeldonSpecError as error:
            self._damage = error
            return None

    def _wait(self, future: Future[ScoredBlock]) -> list[Outcome] | None:
        """Return what became of rows; None if a signal has arrived, and they can be cancelled or are not repeated.

        Raises:
            BatchStopped: the model cannot be reached, or rejects every request.
            SeldonSpecError: the cluster has failed.
        """
        while not future.done():
            if self._stopping.is_set() and future.cancel():
                return None
            self._report()
            with suppress(FutureTimeoutError):
                future.exception(_SHOW_SECONDS)
        try:
            block = future.result()
        except SeldonSpecError:
            if self._stopping.is_set():
                return None
            self._save()
            raise
        self._scoring.adapt(block)
        return block.outcomes

    def _write(self, outcome: Outcome) -> None:
        """Write rows, or keep them until the columns of the output are known."""
        if isinstance(outcome, Failed) and self._names is None:
            self._held.append(outcome)
            if len(self._held) >= _MAX_HELD:
                raise self._no_predictions(f"the first {_MAX_HELD} rows have no prediction")
            return
        if self._names is None and isinstance(outcome, Scored):
            self._start(outcome)
        if isinstance(outcome, Scored):
            found = outcome.predictions
            width = 1 if found.width is None else found.width
            if width == len(self._predicted):
                try:
                    self._files.writer.write(outcome.rows, found)
                except ValueError as error:
                    raise NothingPredicted(str(error)) from None
                self._progress.rows += len(outcome.rows)
                return
            reason = f"the prediction has {width} values, and the first one has {len(self._predicted)}"
            for index in range(len(outcome.rows)):
                self._write_failed(Failed(outcome.rows.part(index, index + 1), reason))
        else:
            self._write_failed(outcome)

    def _write_failed(self, outcome: Failed) -> None:
        self._files.writer.write(outcome.rows, None)
        self._progress.rows += 1
        self._progress.failed += 1
        if len(self._progress.reasons) < 5:
            self._progress.reasons.append((self._progress.rows, outcome.reason))
        self._files.failed.add(self._progress.rows, outcome.rows, outcome.reason)

    def _start(self, first: Scored) -> None:
        """Begin the output with the columns of its first predictions."""
        names = list(first.rows.names)
        self._open(names, first.predictions.list_columns(names))
        held, self._held = self._held, []
        for outcome in held:
            self._write_failed(outcome)

    def _open(self, names: list[str], predicted: list[str]) -> None:
        self._names, self._predicted = names, predicted
        self._files.writer.start(names, predicted)

    def _finish(self) -> None:
        if self._held:
            raise self._no_predictions("no row has a prediction")
        if self._names is None:  # the input has no rows
            self._open(list(self._files.reader.columns), [PREDICTION])
        self._save()
        self._files.writer.finish()
        self._files.progress.remove()

    def _no_predictions(self, what: str) -> NothingPredicted:
        for index, outcome in enumerate(self._held):
            self._files.failed.add(index + 1, outcome.rows, outcome.reason)
        return NothingPredicted(f"{what}; row 1: {self._held[0].reason}")

    def _save(self) -> None:
        """Write everything to the disk, and then the checkpoint."""
        if self._held:  # the position is behind rows that are not written yet
            return
        self._files.progress.save(
            Checkpoint(
                self._files.source,
                self._position,
                self._progress.rows,
                self._progress.failed,
                self._names,
                self._predicted,
                self._files.writer.flush() if self._names is not None else 0,
                self._files.failed.flush(),
            )
        )
        self._next_save = time.monotonic() + _SAVE_SECONDS

    def _report(self) -> None:
        """Show and save how far the output is, if it is time."""
        now = time.monotonic()
        if now >= self._next_show:
            self._next_show = now + _SHOW_SECONDS
            self._show()
        if now >= self._next_save:
            self._save()

    def _show(self) -> None:
        self._progress.seconds = time.monotonic() - self._started
        self._progress.position = self._position
        self._progress.rows_per_request = self._scoring.rows_per_request
        self._progress.concurrency = self._scoring.concurrency
        self._display.update(self._progress)


@contextmanager
def _stop_on_signals(stopping: threading.Event) -> Iterator[None]:
    """Set an event on the first SIGINT or SIGTERM, and raise KeyboardInterrupt on the second."""

    def react(*_: object) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.signal(number, react) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
