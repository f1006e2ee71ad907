"""The server's own families: their names, their kinds, what they tell, and their buckets' edges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# fmt: off
EDGES = (
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
"""The edges of the user's timers and of the requests' duration, in seconds; the text of each is what dashboards match
(contract section 6.2)."""
_STAGE_EDGES = (
    1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
)
# fmt: on
_ROW_EDGES = (*(float(digit * 10**power) for power in range(6) for digit in (1, 2, 5)), 1e6)
_BYTE_EDGES = tuple(float(256 * 4**power) for power in range(11))
_REQUEST_EDGES = tuple(float(2**power) for power in range(11))


class MetricKind(str, Enum):
    """The kinds of families, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


ENDINGS = {MetricKind.COUNTER: ("",), MetricKind.GAUGE: ("",), MetricKind.HISTOGRAM: ("", "_bucket", "_count", "_sum")}
"""What follows a family's name in the names that belong to it."""


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One family of the server's own.

    Attributes:
        name: as it is exposed, without a histogram's endings.
        text: what it tells, in one line.
        edges: of a histogram's buckets, which take the values up to and with their edge.
    """

    name: str
    kind: MetricKind
    text: str
    edges: tuple[float, ...] = ()


def _stage(stage: str, text: str) -> MetricDefinition:
    return MetricDefinition(f"seldon_spec_{stage}_seconds", MetricKind.HISTOGRAM, text, _STAGE_EDGES)


DURATION = "seldon_spec_request_duration_seconds"

CALLS = (
    MetricDefinition(DURATION, MetricKind.HISTOGRAM, "Seconds from a request's arrival to its answer.", EDGES),
    _stage("queue", "Seconds that a request waited for a model thread."),
    _stage("decode", "Seconds that a request took to read."),
    _stage("call", "Seconds that the model had a request."),
    _stage("encode", "Seconds that an answer took to write."),
    MetricDefinition("seldon_spec_request_rows", MetricKind.HISTOGRAM, "Rows of a request.", _ROW_EDGES),
    MetricDefinition("seldon_spec_request_body_bytes", MetricKind.HISTOGRAM, "Bytes of a request's body.", _BYTE_EDGES),
)
"""What is observed of each request, in the order of the journal's columns."""

BATCHES = (
    MetricDefinition(
        "seldon_spec_batch_requests", MetricKind.HISTOGRAM, "Requests in one merged call of the model.", _REQUEST_EDGES
    ),
    MetricDefinition(
        "seldon_spec_batch_rows", MetricKind.HISTOGRAM, "Rows in one merged call of the model.", _ROW_EDGES
    ),
)
"""What is observed of each merged call of the model."""

IN_FLIGHT, QUEUED, LOAD = range(3)
GAUGES = (
    MetricDefinition(
        "seldon_spec_in_flight_requests", MetricKind.GAUGE, "Requests taken and not yet answered, of each worker."
    ),
    MetricDefinition(
        "seldon_spec_queued_requests", MetricKind.GAUGE, "Requests that wait for a model thread, of each worker."
    ),
    MetricDefinition(
        "seldon_spec_model_load_seconds", MetricKind.GAUGE, "Seconds that a worker took to build its model."
    ),
)
"""The gauges at known places of a slot, in their order; ``IN_FLIGHT`` and the others are their numbers."""

RESTARTS = MetricDefinition(
    "seldon_spec_worker_restarts_total",
    MetricKind.COUNTER,
    "Workers that another took the place of, by what led to it.",
)

DROPPED = MetricDefinition(
    "seldon_spec_dropped_metrics_total",
    MetricKind.COUNTER,
    "Values of the model's metrics without room for their series.",
)

OWN = {family.name: family for family in (*CALLS, *BATCHES, *GAUGES, RESTARTS, DROPPED)}
RESERVED = frozenset(family.name + ending for family in OWN.values() for ending in ENDINGS[family.kind])
"""The names of samples that are the server's own."""


class Names:
    """Which family each name of a sample belongs to."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[MetricKind, str]] = {}

    def claim(self, kind: MetricKind, family: str) -> None:
        """Note the names of samples that a family uses.

        Raises:
            ValueError: one of them belongs to a family of another kind; then none is noted.
        """
        mine = (kind, family)
        names = [family + ending for ending in ENDINGS[kind]]
        for name in names:
            owner = self._owners.get(name, mine)
            if owner != mine:
                raise ValueError(f"the name {name} is in use for a {owner[0].value}")
        self._owners.update((name, mine) for name in names)
