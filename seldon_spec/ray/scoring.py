"""Predict blocks of rows on a cluster, with Ray Data: the order of ``batch --on ray``."""

from __future__ import annotations

import contextlib
import itertools
import logging
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any

import ray
import ray.data
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from seldon_spec.batch.rows import Rows
from seldon_spec.batch.scorer import BatchStopped
from seldon_spec.batch.scoring import RequestOptions, ScoredBlock
from seldon_spec.errors import SeldonSpecError
from seldon_spec.process.signals import ServerSignals
from seldon_spec.ray.block_feed import BlockFeed, FeedSource
from seldon_spec.ray.block_scorer import RESULT, BlockResult, BlockScorer
from seldon_spec.ray.cluster import Cluster, ClusterFailed, open_cluster, stopped_by, without_core_log
from seldon_spec.ray.start_failure import read_failure

_FIRST_ROWS = 64
_MAX_ROWS = 32768
_SHORT_SECONDS = 0.5
_LONG_SECONDS = 4.0
"""The time of a block: Ray needs some milliseconds for each, and what is not written yet is lost with the command."""

_BLOCKS_PER_REPLICA = 3
"""One is predicted, one waits, and one is on its way."""

_MAX_PENDING_BYTES = 256 << 20
"""Of the blocks that have not ended, in the memory of the feed and of the command."""

_RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
"""Ray's names of the resources, by those of its options."""

_POLL_SECONDS = 0.2
_WATCH_SECONDS = 2.0
_EXIT_SECONDS = 10.0
_REPORT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class BatchJob:
    """What the cluster runs.

    Attributes:
        path: of the spec on the nodes.
        requests: how the rows are sent to the model.
        actor: the resources of a replica, as options of Ray.
        replicas: the smallest and the largest number; None: as many as the cluster has room for.
        address: of an existing cluster; None: a local one is started.
        runtime_env: the files and variables of the replicas on an existing cluster.
        mark: a variable that only the processes of a local cluster are started with.
        report: shows a line of text.
    """

    path: str
    requests: RequestOptions
    actor: Mapping[str, float]
    replicas: tuple[int, int] | None
    address: str | None
    runtime_env: Mapping[str, Any]
    mark: tuple[str, str]
    report: Callable[[str], None]

    def add_resources(self, replicas: int) -> dict[str, float]:
        """Return what a number of replicas need, by Ray's names."""
        return {_RESOURCES[name]: replicas * amount for name, amount in self.actor.items()}


@contextlib.contextmanager
def open_scoring(job: BatchJob) -> Iterator[RayScoring]:
    """Start the replicas of a model, which end with the context, and a local cluster as well.

    Raises:
        ClusterFailed: there is no cluster, or the replicas cannot be started.
        ComponentFailed: a replica could not build its class.
        Stopped: a signal has arrived.
    """
    started = time.monotonic()
    with ServerSignals() as signals, stopped_by(signals):
        low, high = job.replicas or (1, 1)
        cpus = job.add_resources(high)["CPU"]
        with open_cluster(job.address, cpus, job.runtime_env, job.mark, signals, shows_output=False) as cluster:
            cluster.check_resources(job.add_resources(low))
            scoring = RayScoring(job, cluster)
            try:
                with without_core_log():  # it warns of a way in which Ray Data itself starts actors
                    scoring.wait_until_ready()
                job.report(f"ready on Ray {ray.__version__} after {time.monotonic() - started:.1f} seconds")
                yield scoring
            finally:
                scoring.close()


@dataclass(slots=True)
class _Pending:
    """A block that was submitted.

    Attributes:
        number: from 0.
        rows: of the block; None: it has none.
        size: in bytes.
        future: of its outcomes.
    """

    number: int
    rows: Rows | None
    size: int
    future: Future[ScoredBlock] = field(default_factory=Future)


class RayScoring:
    """Predicts blocks by a pool of actors; see ``Scoring``.

    A thread iterates over the dataset of the results, which are in the order of the blocks.

    Args:
        job: its replicas are started with the first block.
        cluster: that this process is connected to.
    """

    def __init__(self, job: BatchJob, cluster: Cluster) -> None:
        self._job = job
        self._cluster = cluster
        self._low, self._high = job.replicas or (1, _count_room(job.actor))
        self._lock = threading.Lock()
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self._failure: SeldonSpecError | None = None
        self._is_closed = threading.Event()
        self._numbers = itertools.count()
        self._last: BlockResult | None = None
        self.block_rows = job.requests.rows or _FIRST_ROWS
        self._is_paced = job.requests.rows is None
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._feed = ray.remote(BlockFeed).options(num_cpus=0, scheduling_strategy=here).remote()
        self._consumer = threading.Thread(target=self._consume, daemon=True)
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def max_pending(self) -> int:
        is_full = self._pending_bytes > _MAX_PENDING_BYTES
        return len(self._pending) if is_full else _BLOCKS_PER_REPLICA * self._high

    @property
    def rows_per_request(self) -> int:
        return 0 if self._last is None else self._last.rows_per_request

    @property
    def concurrency(self) -> int:
        return 0 if self._last is None else self._last.concurrency * self._high

    def wait_until_ready(self) -> None:
        """Wait until a replica has returned an empty block.

        Raises:
            ComponentFailed: a replica could not build its class.
            ClusterFailed: no replica can be started.
        """
        self._consumer.start()
        self._watcher.start()
        ready = self._submit(None)
        report_at = time.monotonic() + _REPORT_SECONDS
        while True:
            with contextlib.suppress(FutureTimeoutError):
                ready.result(_POLL_SECONDS)
                return
            if time.monotonic() >= report_at:
                report_at += _REPORT_SECONDS
                needed = ", ".join(f"{amount:g} {_RESOURCES[name]}" for name, amount in self._job.actor.items())
                self._job.report(f"waiting until a replica runs, which needs {needed}")

    def submit(self, rows: Rows) -> Future[ScoredBlock]:
        return self._submit(rows)

    def adapt(self, block: ScoredBlock) -> None:
        rows = sum(len(outcome.rows) for outcome in block.outcomes)
        if self._is_paced and rows == self.block_rows and block.seconds < _SHORT_SECONDS:
            self.block_rows = min(2 * self.block_rows, _MAX_ROWS)
        elif self._is_paced and block.seconds > _LONG_SECONDS and rows <= self.block_rows:
            self.block_rows = max(1, rows // 2)

    def close(self) -> None:
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        self._fail(ClusterFailed("the run has ended"))
        if self._consumer.ident is not None and self._cluster.is_alive:
            ray.kill(self._feed)  # ends the dataset, whose threads must not use Ray after its end
            self._consumer.join(_EXIT_SECONDS)

    def _submit(self, rows: Rows | None) -> Future[ScoredBlock]:
        block = b"" if rows is None else pickle.dumps(rows, protocol=5)
        pending = _Pending(next(self._numbers), rows, len(block))
        with self._lock:
            if self._failure is not None:
                pending.future.set_exception(self._failure)
                return pending.future
            self._pending.append(pending)
            self._pending_bytes += pending.size
        self._feed.put.remote(pending.number, block)
        return pending.future

    def _consume(self) -> None:
        """Resolve the blocks in their order."""
        try:
            for bundle in self._make_dataset().iter_internal_ref_bundles():  # iter_batches waits for the next one
                for entry in bundle.blocks:
                    for result in ray.get(entry.ref)[RESULT].to_pylist():
                        self._resolve(pickle.loads(result))  # noqa: S301 - of an actor of this command
            failure: SeldonSpecError = ClusterFailed("Ray has ended the dataset")
        except Exception as error:
            failure = ClusterFailed(f"the cluster has failed: {error}")
        self._fail(failure)

    def _make_dataset(self) -> Any:
        """Return the dataset of the results; nothing is executed yet."""
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.target_max_block_size = 1  # else blocks are joined
        context.execution_options.preserve_order = True
        for name in ("ray.data", "ray.data.dataset"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # the command reports the errors
        dataset = ray.data.read_datasource(FeedSource(self._feed), override_num_blocks=1, num_cpus=0)
        return dataset.map_batches(
            BlockScorer,
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=self._low, max_size=self._high, initial_size=self._high),
            fn_constructor_args=(self._job.path, self._job.requests, self._feed, self._high),
            **self._job.actor,
        )

    def _resolve(self, result: BlockResult) -> None:
        self._last = result
        with self._lock:
            pending = self._pending.popleft()
            self._pending_bytes -= pending.size
        self._feed.drop.remote(pending.number)
        if not pending.future.set_running_or_notify_cancel():
            return
        if result.failure is not None:
            pending.future.set_exception(read_failure(result.failure))
        elif result.stopped is not None:
            pending.future.set_exception(BatchStopped(result.stopped))
        else:
            outcomes = [] if pending.rows is None else result.to_outcomes(pending.rows)
            pending.future.set_result(ScoredBlock(outcomes, result.seconds))

    def _fail(self, failure: SeldonSpecError) -> None:
        """End all blocks, unless that was done before."""
        with self._lock:
            self._failure = self._failure or failure
            ended, self._pending = self._pending, deque()
        for pending in ended:
            if pending.future.set_running_or_notify_cancel():
                pending.future.set_exception(failure)

    def _watch(self) -> None:
        """Notice the end of a local cluster, which Ray itself notices much later."""
        while not self._is_closed.wait(_WATCH_SECONDS):
            if not self._cluster.is_alive:
                self._fail(ClusterFailed("the processes of the cluster have ended"))
                return


def _count_room(actor: Mapping[str, float]) -> int:
    """Return how many replicas a cluster has room for, at least 1."""
    found = ray.cluster_resources()
    room = [found.get(_RESOURCES[name], 0.0) // amount for name, amount in actor.items() if amount]
    return max(1, int(min(room, default=1.0)))
