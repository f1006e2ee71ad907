"""The threads that numerical libraries use for one call.

The server calls the model on one thread and has one process per worker, so a library that starts a thread for each core
only makes them wait for each other, and in a container it counts the cores of the machine. Rows are few, too.
"""

from __future__ import annotations

import contextlib
from typing import Any

from seldon_spec.runtimes.estimators import list_parts


def limit_threads(threads: int) -> None:
    """Limit the threads of the libraries of linear algebra in the process, and those of OpenMP on this thread."""
    with contextlib.suppress(ModuleNotFoundError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits=threads)  # without a with statement it stays


def limit_jobs(model: Any, threads: int) -> None:
    """Set the number of parallel jobs of an estimator and of its parts, such as the steps of a pipeline."""
    for part in list_parts(model):
        if "n_jobs" in getattr(part, "__dict__", {}):
            part.n_jobs = threads
        if type(part).__module__.startswith("xgboost."):
            with contextlib.suppress(Exception):  # a part that is not fitted
                part.get_booster().set_param({"nthread": threads})
