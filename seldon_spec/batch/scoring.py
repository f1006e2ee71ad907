"""The interface between the runner and what predicts its rows, and the threads of this process that do."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol as Interface

from seldon_spec.batch.rows import Rows
from seldon_spec.batch.scorer import ClientModel, Outcome, Scorer
from seldon_spec.batch.tuning import MAX_CONCURRENCY, Gate, Tuner
from seldon_spec.calls.client import Client
from seldon_spec.calls.protocol_choice import Protocol


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """How rows are sent to a model.

    Attributes:
        names: of the columns that are sent; empty: none.
        protocol: of the requests to a model in this process.
        timeout: of a request, in seconds.
        retries: of a request that the model did not accept.
        rows: of a request; None: tuned.
        concurrency: requests in flight; None: tuned.
        max_rows: of a request, if rows are not to be sent together; None: any number.
    """

    names: Sequence[str]
    protocol: Protocol
    timeout: float
    retries: int
    rows: int | None
    concurrency: int | None
    max_rows: int | None


@dataclass(frozen=True, slots=True)
class ScoredBlock:
    """What became of rows that were submitted together.

    Attributes:
        outcomes: of the rows, in order.
        seconds: that it took.
    """

    outcomes: list[Outcome]
    seconds: float


class Scoring(Interface):
    """Predicts blocks of rows in the background.

    Attributes:
        block_rows: of the next block.
        max_pending: blocks that may be submitted before the first of them has ended.
        rows_per_request: of the model, at present.
        concurrency: requests in flight at present.
    """

    @property
    def block_rows(self) -> int: ...

    @property
    def max_pending(self) -> int: ...

    @property
    def rows_per_request(self) -> int: ...

    @property
    def concurrency(self) -> int: ...

    def submit(self, rows: Rows) -> Future[ScoredBlock]:
        """Start to predict a block.

        Returns:
            Its outcomes, or BatchStopped or another SeldonSpecError. One that is cancelled may be predicted all the
            same.
        """

    def adapt(self, block: ScoredBlock) -> None:
        """Choose the sizes of further blocks after one has ended."""

    def close(self) -> None:
        """Cancel the blocks that have not begun; do not wait for the others."""


class ThreadScoring:
    """Predicts blocks by threads of this process; each block is a request.

    Args:
        scorer: predicts rows.
        tuner: of the requests.
    """

    def __init__(self, scorer: Scorer, tuner: Tuner) -> None:
        self._scorer = scorer
        self._tuner = tuner
        self._gate = Gate(tuner.concurrency)
        self._executor = ThreadPoolExecutor(max(2 * MAX_CONCURRENCY, tuner.concurrency), "seldon-spec-batch")

    @property
    def block_rows(self) -> int:
        return self._tuner.rows

    @property
    def max_pending(self) -> int:
        return 2 * self._tuner.concurrency + 1

    @property
    def rows_per_request(self) -> int:
        return self._tuner.rows

    @property
    def concurrency(self) -> int:
        return self._tuner.concurrency

    def submit(self, rows: Rows) -> Future[ScoredBlock]:
        return self._executor.submit(self._score, rows)

    def adapt(self, block: ScoredBlock) -> None:
        now = time.monotonic()
        if self._scorer.is_overloaded:
            self._scorer.is_overloaded = False
            self._tuner.on_overload(now)
        limit = 1 if self._scorer.single_rows else self._scorer.max_rows
        if limit is not None:
            self._tuner.limit_rows(limit)
        self._tuner.on_request(sum(len(outcome.rows) for outcome in block.outcomes), block.seconds, now)
        self._gate.set_limit(self._tuner.concurrency)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _score(self, rows: Rows) -> ScoredBlock:
        with self._gate:
            started = time.monotonic()
            return ScoredBlock(self._scorer.score(rows), time.monotonic() - started)


def score_with(client: Client, options: RequestOptions, stopping: threading.Event) -> ThreadScoring:
    """Return what predicts rows with a model behind a client.

    Args:
        client: of a server or of this process.
        options: of the requests.
        stopping: set when no request is to be repeated any more.
    """
    scorer = Scorer(ClientModel(client, options.names, options.timeout), options.retries, stopping)
    return ThreadScoring(scorer, Tuner(options.rows, options.concurrency, options.max_rows, time.monotonic()))
