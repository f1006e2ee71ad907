"""Metrics, logs, traces and request IDs of a replica, compared with those of the server for the same requests."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from seldon_spec.protocols.seldon_v1.proto import PACKAGE, message_class

if TYPE_CHECKING:
    from tests.ray.conftest import Both, Place

PREDICT = f"/{PACKAGE}.Seldon/Predict"
ROWS = b'{"data": {"ndarray": [[1.0, 2.0]]}}'
JSON = {"Content-Type": "application/json"}
WAIT_SECONDS = 60

OF_RAY = {
    "Component",
    "NodeAddress",
    "SessionName",
    "Version",
    "WorkerId",
    "otel_scope_name",
    "otel_scope_schema_url",
    "otel_scope_version",
}
"""The labels that Ray adds."""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
T = TypeVar("T")


def _wait_for(read: Callable[[], T | None]) -> T:
    """Return the first value that is not None."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        value = read()
        if value is not None:
            return value
        time.sleep(0.2)
    pytest.fail(f"nothing was found within {WAIT_SECONDS} seconds")


def _read_metrics(place: Place) -> Samples:
    """Return the samples of the process of the model ``measured``, without what Ray adds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{place.metrics_port}/metrics", timeout=30) as response:
        page = response.read().decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    workers = [each.labels.get("WorkerId") for each in samples if each.name.endswith("measured_step_count")]
    found = {}
    for sample in samples:
        if "model_name" in sample.labels and sample.labels.get("WorkerId") in workers:
            added = OF_RAY if "WorkerId" in sample.labels else set()
            labels = frozenset((name, text) for name, text in sample.labels.items() if name not in added and text)
            found[sample.name.removeprefix("ray_"), labels] = sample.value
    return found


def _send(both: Both, puid: str) -> None:
    """Send the same requests to both, so that they have the same metrics."""
    message: Any = message_class(f"{PACKAGE}.SeldonMessage")()
    message.data.ndarray.values.add().list_value.append(1.0)
    for place in (both.server, both.ray):
        assert place.request("POST", "/predict", ROWS, {**JSON, "Seldon-Puid": puid})[0] == 200
        assert place.request("POST", "/predict", b"{", {**JSON, "Seldon-Puid": puid})[0] == 400
        assert place.call(PREDICT, message.SerializeToString(), ("seldon-puid", puid))[0] is grpc.StatusCode.OK


def _count_rows(samples: Samples) -> float:
    """Return the sum of a metric that is exported after most others."""
    return sum(value for (name, _), value in samples.items() if name == "seldon_spec_request_rows_sum")


def _read_output(folder: Path, stream: str) -> str:
    """Return the output of all processes of the cluster to stdout (``out``) or stderr (``err``)."""
    return "".join(file.read_text() for file in (folder / "session_latest" / "logs").glob(f"worker-*.{stream}"))


def _is_measured_time(name: str) -> bool:
    return bool(re.fullmatch(r"seldon_spec_.*_seconds(_sum|_bucket)?", name))


def test_metrics_are_those_of_the_server(models: Mapping[str, Both]) -> None:
    both = models["measured"]
    _send(both, "some-metrics")
    on_page = _read_metrics(both.server)
    expected = {}
    for (name, labels), value in on_page.items():
        if name.endswith("_total") and value == 0:  # a counter of Ray starts with an increment
            continue
        if name not in ("measured:colon", "measured_twice_total"):  # Ray does not allow these names
            renamed = ((f"exported_{key}" if key in OF_RAY else key, text) for key, text in labels)
            exported = ((key, text.encode("ascii", "backslashreplace").decode()) for key, text in renamed)
            expected[name, frozenset(exported)] = value

    def read() -> Samples | None:
        found = _read_metrics(both.ray)
        return found if _count_rows(found) == _count_rows(on_page) else None

    found = _wait_for(read)
    assert found.keys() == expected.keys()
    values = {key: value for key, value in expected.items() if not _is_measured_time(key[0])}
    assert {key: found[key] for key in values} == values
    assert len(values) > 20


def test_types_of_metrics(models: Mapping[str, Both]) -> None:
    place = models["measured"].ray
    _send(models["measured"], "some-types")

    def read() -> dict[str, str] | None:
        with urllib.request.urlopen(f"http://127.0.0.1:{place.metrics_port}/metrics", timeout=30) as response:
            types = dict(re.findall(r"^# TYPE ray_(measured\S+) (\S+)$", response.read().decode(), re.MULTILINE))
        return types or None

    assert _wait_for(read) == {
        "measured_calls_total": "counter",
        "measured_level": "gauge",
        "measured_step_bucket": "gauge",
        "measured_step_count": "gauge",
        "measured_step_sum": "gauge",
        "measured_twice": "gauge",
    }


def _read_records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _read_output(folder, "err").splitlines() if line.startswith('{"time"')]


def test_log_lines_have_the_ids_of_requests(models: Mapping[str, Both], cluster_folder: Path) -> None:
    _send(models["measured"], "some-lines")

    def read() -> list[dict[str, Any]] | None:
        records = [each for each in _read_records(cluster_folder) if each.get("puid") == "some-lines"]
        return records if sum(each["logger"] == "seldon_spec.access" for each in records) == 3 else None

    records = _wait_for(read)
    of_class = [(each["logger"], each["message"]) for each in records if each["logger"] in ("measured", "stdout")]
    assert of_class == 2 * [("measured", "a line of the class"), ("stdout", "a printed line")]
    access = [
        (each["transport"], each["route"], each["status"]) for each in records if each["logger"] == "seldon_spec.access"
    ]
    assert access == [("rest", "/predict", 200), ("rest", "/predict", 400), ("grpc", PREDICT, "OK")]


def test_metrics_that_ray_cannot_export_are_logged_once(models: Mapping[str, Both], cluster_folder: Path) -> None:
    _send(models["measured"], "some-problems")

    def read() -> list[str] | None:
        messages = [each["message"] for each in _read_records(cluster_folder)]
        found = sorted(message for message in messages if "is not exported to Ray" in message)
        return found if len(found) >= 2 else None

    assert _wait_for(read) == [
        "a metric is not exported to Ray: Ray has the same name for the counter measured_twice_total "
        "and the gauge measured_twice (logged once)",
        "a metric is not exported to Ray: the name measured:colon contains a colon (logged once)",
    ]


def test_requests_are_traced(models: Mapping[str, Both], cluster_folder: Path) -> None:
    """The exporter of the model prints the spans."""
    _send(models["measured"], "some-trace")

    def read() -> str | None:
        printed = _read_output(cluster_folder, "out")
        return printed if '"seldon.puid": "some-trace"' in printed else None

    printed = _wait_for(read)
    assert '"name": "POST /predict"' in printed
    assert '"name": "call"' in printed


@pytest.mark.parametrize("header", ["Seldon-Puid", "X-Request-Id"])
def test_ids_of_requests_are_sent_back(models: Mapping[str, Both], header: str) -> None:
    both = models["measured"]
    for place in (both.server, both.ray):
        request = urllib.request.Request(
            f"http://127.0.0.1:{place.rest_port}{place.prefix}/predict", ROWS, {**JSON, header: "an-id"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.headers.get_all("seldon-puid") == ["an-id"]
        with grpc.insecure_channel(f"127.0.0.1:{place.grpc_port}") as channel:
            method = channel.unary_unary(PREDICT, None, None)
            metadata = (*place.metadata, (header.lower(), "an-id"))
            message: Any = message_class(f"{PACKAGE}.SeldonMessage")(strData="text")
            _, call = method.with_call(message.SerializeToString(), timeout=30, metadata=metadata)
            sent = [*call.initial_metadata(), *call.trailing_metadata()]
        assert [value for key, value in sent if key == "seldon-puid"] == ["an-id"]
