"""The metrics of a server: built-in and user metrics, correct over any number of worker processes.

Each worker writes into its own segment of shared memory, so a request costs no communication between processes. Any
worker can render the page: it adds up the segments of all workers. Counts of a worker that exited are kept, so no
counter decreases. Each component has segments and standard labels of its own; one page shows all components of a
process. This package does not depend on HTTP and imports no heavy module before the first page: the supervisor uses it.
"""

from seldon_spec.observability.metrics.definitions import BUCKET_BOUNDS, DURATION, MetricKind, describe_metric
from seldon_spec.observability.metrics.exposition import CONTENT_TYPE, Exposition
from seldon_spec.observability.metrics.registry import Metrics, standard_labels
from seldon_spec.observability.metrics.restarts import RestartCounter
from seldon_spec.observability.metrics.segments import Segments
from seldon_spec.observability.metrics.table import ExposedSeries

__all__ = [
    "BUCKET_BOUNDS",
    "CONTENT_TYPE",
    "DURATION",
    "ExposedSeries",
    "Exposition",
    "MetricKind",
    "Metrics",
    "RestartCounter",
    "Segments",
    "describe_metric",
    "standard_labels",
]
