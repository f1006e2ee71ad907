"""The metrics of a server: the user's own and the request's duration, right over any number of worker processes.

Each worker writes into a slot of shared memory of its own, so a request costs no call between processes; any worker
adds up all slots when it is scraped. A worker that takes a dead one's place goes on with its slot, so that no counter
ever falls. Knows no HTTP.
"""

from __future__ import annotations

import json
import logging
import math
import mmap
import re
import struct
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, MutableSequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from seldon_spec.errors import BadMetric
from seldon_spec.spec.model import UnitSpec

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SLOT_BYTES = 4 << 20
DURATION = "seldon_spec_request_duration_seconds"
UNKNOWN = "NOT_IMPLEMENTED"

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
# fmt: on
"""The buckets' edges in seconds; the text of each is what dashboards match (contract section 6.2)."""

_MOST_TOLD = 100  # problems in the log; names that a class makes up anew for each request must not fill it

_KEY = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*\Z")
_FIRST_ENTRY = 2  # the cells before it are the slot's own
_HISTOGRAM_CELLS = len(EDGES) + 2  # a bin below each edge, one above the last, and the sum


class MetricType(str, Enum):
    """The three types that a class may use."""

    COUNTER = "COUNTER"
    GAUGE = "GAUGE"
    TIMER = "TIMER"


_SAMPLES = {
    MetricType.COUNTER: ("",),
    MetricType.GAUGE: ("",),
    MetricType.TIMER: ("", "_bucket", "_count", "_sum"),
}
_EXPOSED_TYPES = {MetricType.COUNTER: "counter", MetricType.GAUGE: "gauge", MetricType.TIMER: "histogram"}


@dataclass(frozen=True, slots=True)
class Series:
    """What tells one series from another; ``family`` is the exposed name without a histogram's endings."""

    type: MetricType
    family: str
    labels: tuple[tuple[str, str], ...]

    def to_text(self) -> str:
        """The series as text that ``from_text`` reads."""
        return json.dumps([self.type.value, self.family, self.labels])

    @classmethod
    def from_text(cls, text: str) -> Series:
        """The series that ``to_text`` wrote."""
        kind, family, labels = json.loads(text)
        return cls(MetricType(kind), family, tuple((name, value) for name, value in labels))


class Slots:
    """Shared memory with a slot for each worker, made before the workers are forked.

    A slot is a row of 8-byte cells. The first holds how many are in use, the second whether a process has the slot;
    then come the entries: a cell with the lengths of the key and of the values, the key's UTF-8 text padded to whole
    cells, and the values as doubles. Entries are only ever added, and the count of cells is written last, so a reader
    in another process sees whole entries.

    Attributes:
        count: how many slots there are.
        values: all cells, as doubles.
    """

    def __init__(self, count: int = 1, slot_bytes: int = SLOT_BYTES) -> None:
        self.count = count
        self._cells = slot_bytes // 8
        memory = memoryview(mmap.mmap(-1, count * self._cells * 8))
        self._bytes = memory
        self.values = cast("MutableSequence[float]", memory.cast("d"))
        self._used = memory.cast("Q")

    def hold(self, index: int) -> None:
        """A process has the slot from now on."""
        self._used[index * self._cells + 1] = 1

    def release(self, index: int) -> None:
        """The process that had the slot has ended; another may have it, and goes on with its entries."""
        self._used[index * self._cells + 1] = 0

    def is_held(self, index: int) -> bool:
        """Whether a process has the slot."""
        return self._used[index * self._cells + 1] == 1

    def append(self, index: int, key: str, size: int) -> int | None:
        """Add an entry of ``size`` zeros to a slot.

        Returns:
            The place of its first value, for ``values``; None if the slot is full.
        """
        text = key.encode()
        start = index * self._cells
        entry = max(_FIRST_ENTRY, self._used[start])
        first = entry + 1 + -(-len(text) // 8)
        if first + size > self._cells:
            return None
        struct.pack_into("=II", self._bytes, (start + entry) * 8, len(text), size)
        offset = (start + entry + 1) * 8
        self._bytes[offset : offset + len(text)] = text
        self._used[start] = first + size
        return start + first

    def entries(self, index: int) -> Iterator[tuple[str, int, int]]:
        """The entries of a slot: key, place of the first value, count of values."""
        start = index * self._cells
        entry, end = _FIRST_ENTRY, self._used[start]
        while entry < end:
            length, size = struct.unpack_from("=II", self._bytes, (start + entry) * 8)
            offset = (start + entry + 1) * 8
            first = entry + 1 + -(-length // 8)
            yield bytes(self._bytes[offset : offset + length]).decode(), start + first, size
            entry = first + size


class Metrics:
    """One worker's metrics. Safe for threads."""

    def __init__(self, unit: UnitSpec | None = None, slots: Slots | None = None, index: int = 0) -> None:
        self._slots = slots or Slots()
        self._index = index
        self._standard = standard_labels(unit or UnitSpec())
        self._lock = threading.Lock()
        self._is_full = False
        self._told: set[str] = set()
        self._families: dict[str, tuple[MetricType, str]] = {}
        self._places: dict[Series, int] = {}
        self._durations: dict[tuple[str, str], int] = {}
        for ending in _SAMPLES[MetricType.TIMER]:
            self._families[DURATION + ending] = (MetricType.TIMER, "the server's own")
        for key, place, _ in self._slots.entries(index):
            series = Series.from_text(key)
            if series.family != DURATION:
                _claim(self._families, series.type, series.family)
            self._places[series] = place
            if series.type is MetricType.GAUGE:  # the state of the process that had the slot before
                self._slots.values[place] = math.nan
        self._slots.hold(index)

    def record(self, method: str, metrics: object) -> list[dict[str, Any]]:
        """Check the metrics that a hook gave, and then count them all (contract sections 6.1 and 6.2).

        A metric that Prometheus has no form for (its name, a tag's name, a name that is in use for another type) is
        told once in the log and left out of the page; the others are counted, and the answer shows them all.

        Args:
            method: the value of the label ``method``.
            metrics: the user's value; it is left as it is.

        Returns:
            The metrics as the answer shows them: one that has tags has the method among them.

        Raises:
            BadMetric: it is not a list, or one of them is no metric; then none is counted.
        """
        try:
            checked = [_check_metric(metric) for metric in _as_list(metrics)]
        except ValueError as error:
            told = json.dumps(metrics, default=repr, sort_keys=False)[:500]
            raise BadMetric(f"Bad metric created during request: {told}: {error}") from error
        for metric in checked:
            self._count(metric, method)
        return [_shown(metric, method) for metric in _as_list(metrics)]

    def _count(self, metric: _Metric, method: str) -> None:
        try:
            family = _check_exposable(metric)
            with self._lock:
                _claim(self._families, metric.type, family)
                labels = self._labels(metric.type, {**metric.tags, "method": method})
                self._add(Series(metric.type, family, labels), metric.value)
        except ValueError as error:
            if str(error) not in self._told and len(self._told) < _MOST_TOLD:
                self._told.add(str(error))
                logger.error("a metric is left out of the metrics page: %s (told once)", error)

    def observe_request(self, method: str, outcome: str, seconds: float) -> None:
        """Count a request into the server's own histogram."""
        with self._lock:
            place = self._durations.get((method, outcome))
            if place is None:
                labels = self._labels(MetricType.TIMER, {"method": method, "outcome": outcome})
                place = self._find(Series(MetricType.TIMER, DURATION, labels))
                if place is None:
                    return
                self._durations[method, outcome] = place
            _observe(self._slots.values, place, seconds)

    def render(self) -> bytes:
        """All workers' metrics in the text format 0.0.4.

        Counters and histograms are sums over the workers, those that have ended included. A gauge is the state of one
        process, so adding gauges up would be wrong and the last one set would hide the others: each process's stands
        for itself as long as it lives, under the label ``worker_id``, which is its slot's number. A process that takes
        over a slot takes over its number, so there are never more series than slots.
        """
        return "".join(_render_families(self._totals())).encode("utf-8", "replace")

    def _labels(self, kind: MetricType, own: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        labels = {**own, **self._standard}
        if kind is MetricType.GAUGE:
            labels["worker_id"] = str(self._index)
        return tuple(sorted(labels.items()))

    def _add(self, series: Series, value: float) -> None:
        place = self._find(series)
        if place is None:
            return
        values = self._slots.values
        if series.type is MetricType.COUNTER:
            values[place] += value
        elif series.type is MetricType.GAUGE:
            values[place] = value
        else:
            _observe(values, place, value)

    def _find(self, series: Series) -> int | None:
        """The place of a series' first value, which is made if need be; None: there is no room."""
        place = self._places.get(series)
        if place is None:
            place = self._slots.append(self._index, series.to_text(), _size(series.type))
            if place is None:
                self._tell_full(series)
                return None
            self._places[series] = place
        return place

    def _tell_full(self, series: Series) -> None:
        if not self._is_full:
            self._is_full = True
            logger.error("no room for another metric series, such as %s: new ones are dropped", series.family)

    def _totals(self) -> dict[Series, list[float]]:
        totals: dict[Series, list[float]] = {}
        for index in range(self._slots.count):
            is_held = self._slots.is_held(index)
            for key, place, size in self._slots.entries(index):
                values = list(self._slots.values[place : place + size])
                series = Series.from_text(key)
                if series.type is MetricType.GAUGE and (not is_held or math.isnan(values[0])):
                    continue  # nobody's state any more, or not yet
                known = totals.get(series)
                totals[series] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
        return totals


def standard_labels(unit: UnitSpec) -> dict[str, str]:
    """The labels that every series has (contract section 6.2), with the older names for the same values."""
    image, version = _split_image(unit.image)
    deployment = unit.deployment_id or UNKNOWN
    return {
        "deployment_name": deployment,
        "model_name": unit.id or UNKNOWN,
        "model_image": image,
        "model_version": version,
        "predictor_name": unit.predictor_id or UNKNOWN,
        "predictor_version": unit.predictor_version or UNKNOWN,
        "seldon_deployment_name": deployment,
        "image_name": image,
        "image_version": version,
    }


def _split_image(image: str | None) -> tuple[str, str]:
    if not image:
        return UNKNOWN, UNKNOWN
    name, _, version = image.rpartition(":")  # at the last colon: a registry may have one for its port
    return name, version


def _observe(values: MutableSequence[float], place: int, value: float) -> None:
    """Count a value into the histogram at a place."""
    values[place + len(EDGES) + 1] += value
    if value >= 0:  # the bins begin at zero
        values[place + bisect_right(EDGES, value)] += 1


def _size(kind: MetricType) -> int:
    return _HISTOGRAM_CELLS if kind is MetricType.TIMER else 1


def _as_list(metrics: object) -> list[Any]:
    if not isinstance(metrics, list):
        raise ValueError("metrics are not a list")
    return metrics


@dataclass(frozen=True, slots=True)
class _Metric:
    """One metric of the user's; a timer's value is in seconds."""

    type: MetricType
    key: Any
    value: float
    tags: dict[str, str]


def _check_metric(metric: object) -> _Metric:
    """Read one metric as the contract has it (section 6.1); its key is not looked at.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(metric, dict) or not {"key", "value", "type"} <= metric.keys():
        raise ValueError("a metric is an object with key, value and type")
    kind = MetricType(metric["type"])
    value = _check_value(metric["value"])
    return _Metric(
        kind, metric["key"], value / 1000 if kind is MetricType.TIMER else value, _check_tags(metric.get("tags") or {})
    )


def _check_exposable(metric: _Metric) -> str:
    """The family of a metric, which is its exposed name without a histogram's endings.

    Raises:
        ValueError: Prometheus has no form for it.
    """
    key = metric.key
    if not isinstance(key, str) or not _KEY.match(key):
        raise ValueError(f"{key!r:.100} is not a metric's name")
    for name in metric.tags:
        if not isinstance(name, str) or not _LABEL.match(name):
            raise ValueError(f"{key}: {name!r:.100} is not a label's name")
    if metric.type is MetricType.TIMER and "le" in metric.tags:
        raise ValueError(f"{key}: a timer's tag cannot be named le")
    if metric.type is not MetricType.GAUGE and not math.isfinite(metric.value):
        raise ValueError(f"{key}: a counter or a timer takes finite values")
    return f"{key}_total" if metric.type is MetricType.COUNTER and not key.endswith("_total") else key


def _check_value(value: Any) -> float:
    try:
        value + 1  # what the contract asks of a value; it keeps text out
        return float(value)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"a metric's value is a number, not {type(value).__name__}") from error


def _check_tags(tags: object) -> dict[str, str]:
    if not isinstance(tags, dict):
        raise ValueError("a metric's tags are an object")
    for name, value in tags.items():
        if not isinstance(value, str):
            raise ValueError(f"the tag {name} is not text")
    return tags


def _shown(metric: Mapping[str, Any], method: str) -> dict[str, Any]:
    if not metric.get("tags"):
        return dict(metric)
    return {**metric, "tags": {**metric["tags"], "method": method}}


def _claim(families: dict[str, tuple[MetricType, str]], kind: MetricType, family: str) -> None:
    """Note the names of samples that a family uses.

    Raises:
        ValueError: one of them belongs to a family of another type; then none is noted.
    """
    mine = (kind, family)
    for ending in _SAMPLES[kind]:
        owner = families.get(family + ending, mine)
        if owner != mine:
            raise ValueError(f"the name {family + ending} is in use for a {owner[0].value}")
    for ending in _SAMPLES[kind]:
        families[family + ending] = mine


def _render_families(totals: Mapping[Series, list[float]]) -> Iterator[str]:
    families: dict[tuple[str, MetricType], list[tuple[Series, list[float]]]] = {}
    for series, values in totals.items():
        families.setdefault((series.family, series.type), []).append((series, values))
    claimed: dict[str, tuple[MetricType, str]] = {}
    for family, kind in sorted(families):
        try:
            _claim(claimed, kind, family)
        except ValueError:  # two workers took one name for different types; the page must stay readable
            continue
        text = "Seconds from a request's arrival to its answer." if family == DURATION else "A metric of the model."
        yield f"# HELP {family} {text}\n# TYPE {family} {_EXPOSED_TYPES[kind]}\n"
        for series, values in families[family, kind]:
            yield from _render_histogram(series, values) if kind is MetricType.TIMER else _render_value(series, values)


def _render_value(series: Series, values: list[float]) -> Iterator[str]:
    yield f"{series.family}{_braces(series.labels)} {_number(values[0])}\n"


def _render_histogram(series: Series, values: list[float]) -> Iterator[str]:
    count = 0.0
    for edge, bin_count in zip((*EDGES, math.inf), values, strict=False):
        count += bin_count
        yield f"{series.family}_bucket{_braces((*series.labels, ('le', _number(edge))))} {_number(count)}\n"
    yield f"{series.family}_count{_braces(series.labels)} {_number(count)}\n"
    yield f"{series.family}_sum{_braces(series.labels)} {_number(values[-1])}\n"


def _braces(labels: tuple[tuple[str, str], ...]) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)
