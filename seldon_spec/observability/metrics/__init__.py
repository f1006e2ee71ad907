"""The metrics of a server: the user's own and the server's, right over any number of worker processes.

Each worker writes into a slot of shared memory of its own, so a request costs no call between processes; any worker
adds up all slots when it is scraped. What a worker that ended has counted is kept, so that no counter falls. Knows no
HTTP, and loads nothing heavy before the first page: the supervisor has it, too.
"""

from seldon_spec.observability.metrics.definitions import DURATION, EDGES
from seldon_spec.observability.metrics.exposition import CONTENT_TYPE
from seldon_spec.observability.metrics.registry import Metrics, standard_labels
from seldon_spec.observability.metrics.restarts import RestartCounter
from seldon_spec.observability.metrics.segments import Segments
from seldon_spec.observability.metrics.user_metrics import MetricType

__all__ = [
    "CONTENT_TYPE",
    "DURATION",
    "EDGES",
    "MetricType",
    "Metrics",
    "RestartCounter",
    "Segments",
    "standard_labels",
]
