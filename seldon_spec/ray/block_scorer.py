"""The actor that predicts blocks of rows: a component or graph with its own model threads, as in one process."""

from __future__ import annotations

import logging
import pickle
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pyarrow
import ray

from seldon_spec.app import load
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import Rows
from seldon_spec.batch.scorer import BatchStopped, Failed, Outcome, Scored
from seldon_spec.batch.scoring import RequestOptions, ScoredBlock, ThreadScoring, score_with
from seldon_spec.calls.client import Client
from seldon_spec.config.checks.tracing import require_tracing
from seldon_spec.errors import ComponentFailed, SeldonSpecError
from seldon_spec.ray.block_feed import BLOCK, NUMBER
from seldon_spec.ray.start_failure import make_failure

RESULT = "result"
"""The column of the dataset behind the actors: a ``BlockResult`` for each block, pickled."""

_MAX_ATTEMPTS = 4
"""To predict a block, or to load the class: Ray replaces a process that has exited without limit."""


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What an actor returns for a block; it does not repeat the rows.

    Attributes:
        found: the predictions of rows in order, with their number, or the reason why one row has none.
        seconds: that it took.
        rows_per_request: at present.
        concurrency: requests in flight at present.
        stopped: why no block can be predicted; None: they can.
        failure: why the class could not be loaded, as ``make_failure`` describes it; None: it is loaded.
    """

    found: list[tuple[int, Predictions | str]]
    seconds: float
    rows_per_request: int
    concurrency: int
    stopped: str | None = None
    failure: str | None = None

    def to_outcomes(self, rows: Rows) -> list[Outcome]:
        """Return the outcomes with the rows of the block."""
        outcomes: list[Outcome] = []
        start = 0
        for count, result in self.found:
            part = rows.part(start, start + count)
            outcomes.append(Failed(part, result) if isinstance(result, str) else Scored(part, result))
            start += count
        return outcomes


class BlockScorer:
    """Predicts blocks; Ray Data creates it in a process of its own.

    If the class cannot be loaded, each result says why: of an exception, Ray would log each of several attempts.

    Args:
        path: of the spec, on this node.
        options: of the requests.
        feed: the handle of the ``BlockFeed``.
        replicas: how many may load the class at the same time.
    """

    def __init__(self, path: str, options: RequestOptions, feed: Any, replicas: int) -> None:
        logging.getLogger("seldon_spec").setLevel(logging.CRITICAL)  # the failed rows have the reasons
        self._feed = feed
        self._failure: str | None = None
        try:
            if ray.get(feed.begin_load.remote()) >= replicas + _MAX_ATTEMPTS:
                raise ComponentFailed("the process exited while it loaded the class, or had too little memory")
            self._scoring = _open_scoring(path, options)
        except SeldonSpecError as error:
            self._failure = str(make_failure(error))
        else:
            feed.end_load.remote()

    def __call__(self, batch: Any) -> Mapping[str, Any]:
        """Return the results of the blocks of a batch."""
        blocks = zip(batch[NUMBER].to_pylist(), batch[BLOCK].to_pylist(), strict=True)
        results = [pickle.dumps(self._score(number, block), protocol=5) for number, block in blocks]
        return {RESULT: pyarrow.array(results, pyarrow.large_binary())}

    def _score(self, number: int, block: bytes) -> BlockResult:
        """Return the result of a block; an empty one has no rows."""
        if self._failure is not None:
            return BlockResult([], 0.0, 0, 0, failure=self._failure)
        started = time.monotonic()
        outcomes: list[Outcome] = []
        stopped = None
        if block and ray.get(self._feed.begin.remote(number)) > _MAX_ATTEMPTS:
            stopped = f"the processes of {_MAX_ATTEMPTS} replicas have exited while they predicted the same rows"
        elif block:
            try:
                outcomes = self._predict(pickle.loads(block))  # noqa: S301 - of the command
            except BatchStopped as error:
                stopped = str(error)
        found: list[tuple[int, Predictions | str]] = [
            (1, each.reason) if isinstance(each, Failed) else (len(each.rows), each.predictions) for each in outcomes
        ]
        seconds = time.monotonic() - started
        return BlockResult(found, seconds, self._scoring.rows_per_request, self._scoring.concurrency, stopped)

    def _predict(self, rows: Rows) -> list[Outcome]:
        """Return the outcomes of rows, which are sent in several requests.

        Raises:
            BatchStopped: the model rejects every request.
        """
        outcomes: list[Outcome] = []
        pending: deque[Future[ScoredBlock]] = deque()
        start = 0
        while start < len(rows) or pending:
            while start < len(rows) and len(pending) < self._scoring.max_pending:
                stop = min(start + self._scoring.block_rows, len(rows))
                pending.append(self._scoring.submit(rows.part(start, stop)))
                start = stop
            scored = pending.popleft().result()
            self._scoring.adapt(scored)
            outcomes += scored.outcomes
        return outcomes


def _open_scoring(path: str, options: RequestOptions) -> ThreadScoring:
    """Load the component or graph, and return what predicts rows with it.

    Raises:
        SeldonSpecError: the spec has errors, or the component cannot be built.
    """
    client = Client(require_tracing(load(path)), protocol=options.protocol, timeout=options.timeout)
    return score_with(client, options, threading.Event())
