"""Definitions of the built-in metrics: names, types, help texts and bucket bounds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# fmt: off
BUCKET_BOUNDS = (
    0.001, 0.0012341553253454693, 0.0015231393670785815, 0.001879790561123359, 0.002319953531544542,
    0.0028631830055097247, 0.0035336125536884733, 0.004361026750842238, 0.005382184388525997, 0.006642451525090609,
    0.008197816923039709, 0.010117379411776668, 0.012486417679584787, 0.015410178873747385, 0.019018554321561593,
    0.02347185009632733, 0.028967908792092947, 0.03575089889988335, 0.04412216226317853, 0.05445360152285871,
    0.06720420230367624, 0.0829404241586763, 0.10236136616184238, 0.12632982515827532, 0.15591062646904755,
    0.19241792993472334, 0.23747361292089023, 0.29307932401534564, 0.36170540848218913, 0.44640065608455204,
    0.5509277469444613, 0.6799304127720882, 0.8391397397870158, 1.035628778567157, 1.2781267721496807,
    1.577406962315144, 1.9467652027782552, 2.4026106422060365, 2.965194718810281, 3.65951085290597, 4.516404807273444,
    5.573945044312399, 6.879113959621136, 8.489895126924784, 10.477849282518772, 12.931293490187748,
    15.959224724520412, 19.696162182151948, 24.308123445970867, 29.999999999999996,
)
"""The bucket bounds of user timers and of the request duration, in seconds; dashboards match their exact text
(contract section 6.2)."""
_STAGE_BOUNDS = (
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
)
# fmt: on
_ROW_BOUNDS = (*(float(digit * 10**power) for power in range(6) for digit in (1, 2, 5)), 1e6)
_BYTE_BOUNDS = tuple(float(256 * 4**power) for power in range(11))
_REQUEST_BOUNDS = tuple(float(2**power) for power in range(11))

WORKER_LABEL = "worker_id"
"""The label of gauges with the number of the worker that has set it; a tag of this name is left out of them."""


class MetricKind(str, Enum):
    """The Prometheus types in use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


SUFFIXES = {MetricKind.COUNTER: ("",), MetricKind.GAUGE: ("",), MetricKind.HISTOGRAM: ("", "_bucket", "_count", "_sum")}
"""The suffixes that a type appends to a metric's name to form the names of its samples."""


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One built-in metric.

    Attributes:
        name: without the suffixes of a histogram.
        help: one line.
        bounds: of a histogram's buckets, inclusive.
    """

    name: str
    kind: MetricKind
    help: str
    bounds: tuple[float, ...] = ()


def _stage(stage: str, text: str) -> MetricDefinition:
    return MetricDefinition(f"seldon_spec_{stage}_seconds", MetricKind.HISTOGRAM, text, _STAGE_BOUNDS)


DURATION = "seldon_spec_request_duration_seconds"

CALLS = (
    MetricDefinition(
        DURATION, MetricKind.HISTOGRAM, "Seconds from the arrival of a request to its response.", BUCKET_BOUNDS
    ),
    _stage("queue", "Seconds that a request waited for a model thread."),
    _stage("decode", "Seconds of decoding a request."),
    _stage("call", "Seconds that a request spent in the model."),
    _stage("encode", "Seconds of encoding a response."),
    MetricDefinition("seldon_spec_request_rows", MetricKind.HISTOGRAM, "Rows of a request.", _ROW_BOUNDS),
    MetricDefinition("seldon_spec_request_body_bytes", MetricKind.HISTOGRAM, "Bytes of a request body.", _BYTE_BOUNDS),
)
"""Observed for each request, in the order of the buffer's columns."""

BATCHES = (
    MetricDefinition(
        "seldon_spec_batch_requests",
        MetricKind.HISTOGRAM,
        "Requests in one batched call of the model.",
        _REQUEST_BOUNDS,
    ),
    MetricDefinition(
        "seldon_spec_batch_rows", MetricKind.HISTOGRAM, "Rows in one batched call of the model.", _ROW_BOUNDS
    ),
)
"""Observed for each batched call of the model."""

IN_FLIGHT, QUEUED, LOAD = range(3)
GAUGES = (
    MetricDefinition(
        "seldon_spec_in_flight_requests", MetricKind.GAUGE, "Requests without a response yet, of each worker."
    ),
    MetricDefinition(
        "seldon_spec_queued_requests", MetricKind.GAUGE, "Requests that wait for a model thread, of each worker."
    ),
    MetricDefinition(
        "seldon_spec_model_load_seconds", MetricKind.GAUGE, "Seconds that a worker took to build its model."
    ),
)
"""The gauges at fixed cells of a segment, in their order; ``IN_FLIGHT`` and the others are indexes."""

COMPONENT = _stage("component", "Seconds that a component of a graph took for one call.")
BRANCHES = MetricDefinition(
    "seldon_spec_branches_total",
    MetricKind.COUNTER,
    "Requests of a route or a split of a graph, by branch: its index, -1 for all, -2 for none.",
)
DROPPED_SHADOWS = MetricDefinition(
    "seldon_spec_dropped_shadow_requests_total",
    MetricKind.COUNTER,
    "Requests that were not copied to a shadow because too many copies were waiting.",
)
GRAPH = (COMPONENT, BRANCHES, DROPPED_SHADOWS)
"""Only a graph has them."""

RESTARTS = MetricDefinition(
    "seldon_spec_worker_restarts_total", MetricKind.COUNTER, "Workers that were replaced, by reason."
)

DROPPED = MetricDefinition(
    "seldon_spec_dropped_metrics_total",
    MetricKind.COUNTER,
    "Values of the model's metrics dropped for lack of space for their series.",
)

BUILTIN = {definition.name: definition for definition in (*CALLS, *BATCHES, *GRAPH, *GAUGES, RESTARTS, DROPPED)}
RESERVED_NAMES = frozenset(
    definition.name + suffix for definition in BUILTIN.values() for suffix in SUFFIXES[definition.kind]
)
"""The names of the samples of built-in metrics."""


def describe_metric(name: str) -> str:
    """Return the help text of a metric: one line."""
    return BUILTIN[name].help if name in BUILTIN else "A metric of the model."


class NameRegistry:
    """The metric that each sample name belongs to."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[MetricKind, str]] = {}

    def claim(self, kind: MetricKind, name: str) -> None:
        """Register the sample names of a metric.

        Raises:
            ValueError: one of them belongs to a metric of another type; then none is registered.
        """
        metric = (kind, name)
        sample_names = [name + suffix for suffix in SUFFIXES[kind]]
        for sample_name in sample_names:
            owner = self._owners.get(sample_name, metric)
            if owner != metric:
                raise ValueError(f"the name {sample_name} is in use for a {owner[0].value}")
        self._owners.update((sample_name, metric) for sample_name in sample_names)
