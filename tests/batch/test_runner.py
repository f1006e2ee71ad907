"""The runner with a scripted model: retries, lost servers, checkpoints and what is kept in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from seldon_spec.batch.csv_files import CsvReader, CsvWriter
from seldon_spec.batch.failed_rows import FailedRows
from seldon_spec.batch.predictions import NotByRow, Predictions, read_value
from seldon_spec.batch.progress_file import Checkpoint, ProgressFile
from seldon_spec.batch.rows import Rows
from seldon_spec.batch.runner import Files, Progress, Runner
from seldon_spec.batch.scorer import BatchStopped, Scorer
from seldon_spec.batch.scoring import ThreadScoring
from seldon_spec.batch.tuning import Tuner
from seldon_spec.calls.errors import CallFailed, CallTimeout, NoConnection

LOST = NoConnection("no response from x:1: Connection refused", 503, "UNAVAILABLE")
BUSY = CallFailed("queue full", 503, "UNAVAILABLE")
SLOW = CallTimeout("no response within 1 seconds", 504, "DEADLINE_EXCEEDED")
LARGE = CallFailed("too large", 413, "RESOURCE_EXHAUSTED")
FORBIDDEN = CallFailed("no token", 401, "UNAUTHENTICATED")


class ScriptedModel:
    """Doubles numbers, unless ``fail`` says otherwise for the numbers of a request and the count of requests before."""

    def __init__(self, fail: Callable[[list[float], int], Exception | None] = lambda *_: None) -> None:
        self._fail = fail
        self._lock = threading.Lock()
        self.requests: list[list[float]] = []
        self.accepts_requests = True

    def predict(self, rows: Rows) -> Predictions:
        numbers = rows.to_message().payload[:, 0].tolist()
        with self._lock:
            before = len(self.requests)
            self.requests.append(numbers)
        error = self._fail(numbers, before)
        if error is not None:
            raise error
        return read_value(np.array(numbers) * 2.0, ["double"], len(rows))

    def is_ready(self) -> bool:
        return self.accepts_requests


class Recorder:
    """Keeps the states that a display got."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def update(self, progress: Progress) -> None:
        self.rows.append(progress.rows)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seldon_spec.batch.scorer._FIRST_WAIT_SECONDS", 0.001)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("n\n" + "".join(f"{index}\n" for index in range(100)))
    return path


def score(
    data: Path, model: ScriptedModel, *, resumed: bool = False, rows: int | None = 10, retries: int = 3
) -> tuple[Progress, list[int]]:
    output = data.with_name("out.csv")
    progress_file = ProgressFile(output)
    stopping = threading.Event()
    reader = CsvReader(data)
    recorder = Recorder()
    files = Files(
        reader, CsvWriter(output), FailedRows(data.with_name("failed.jsonl")), progress_file, {"DATA": "in.csv"}
    )
    runner = Runner(
        files, ThreadScoring(Scorer(model, retries, stopping), Tuner(rows, 1, None, 0.0)), stopping, recorder
    )
    try:
        checkpoint = progress_file.load({"DATA": "in.csv"}) if resumed else None
        return runner.run(checkpoint), recorder.rows
    finally:
        reader.close()


EXPECTED = "n,double\n" + "".join(f"{index},{index * 2}.0\n" for index in range(100))


@pytest.mark.parametrize("error", [LOST, BUSY, CallFailed("bad gateway", 502, "UNKNOWN")], ids=str)
def test_a_request_that_was_not_accepted_is_repeated(error: Exception, data: Path) -> None:
    model = ScriptedModel(lambda _, before: error if before in (0, 1, 5) else None)
    progress, shown = score(data, model)
    assert data.with_name("out.csv").read_text() == EXPECTED
    assert len(model.requests) == 13
    assert (progress.rows, progress.failed, shown[-1]) == (100, 0, 100)


def test_a_lost_server_stops_the_run_which_continues(data: Path) -> None:
    model = ScriptedModel(lambda numbers, _: LOST if 50 in numbers else None)
    model.accepts_requests = False
    with pytest.raises(BatchStopped, match="Connection refused"):
        score(data, model)
    assert len([numbers for numbers in model.requests if 50 in numbers]) == 4
    checkpoint = json.loads(data.with_name("out.csv.progress").read_text())
    assert (checkpoint["rows"], checkpoint["position"]) == (50, len("n\n") + 10 * 2 + 40 * 3)
    again = ScriptedModel()
    progress, _ = score(data, again, resumed=True)
    assert data.with_name("out.csv").read_text() == EXPECTED
    assert min(map(min, again.requests)) == 50
    assert (progress.rows, progress.earlier_rows) == (100, 50)
    assert not data.with_name("out.csv.progress").exists()


def test_a_server_that_stays_overloaded_stops_the_run(data: Path) -> None:
    with pytest.raises(BatchStopped, match="queue full"):
        score(data, ScriptedModel(lambda numbers, _: BUSY if 50 in numbers else None))


def test_a_server_that_rejects_every_request_stops_the_run_at_once(data: Path) -> None:
    model = ScriptedModel(lambda *_: FORBIDDEN)
    with pytest.raises(BatchStopped, match="no token"):
        score(data, model)
    assert len(model.requests) <= 3


@pytest.mark.parametrize("error", [LOST, SLOW], ids=["ends the connection", "takes too long"])
def test_a_row_that_no_server_survives_is_a_failed_row(error: CallFailed, data: Path) -> None:
    progress, _ = score(data, ScriptedModel(lambda numbers, _: error if 50 in numbers else None), retries=1)
    assert data.with_name("out.csv").read_text() == EXPECTED.replace("50,100.0", "50,")
    assert progress.failed == 1
    failed = json.loads(data.with_name("failed.jsonl").read_text())
    assert failed == {"row": 51, "reason": error.info, "data": {"n": 50}}


def test_requests_that_are_too_large_are_divided_and_later_ones_are_small(data: Path) -> None:
    model = ScriptedModel(lambda numbers, _: LARGE if len(numbers) > 4 else None)
    score(data, model)
    assert data.with_name("out.csv").read_text() == EXPECTED
    assert max(map(len, model.requests[-10:])) <= 5


def test_rows_are_sent_one_by_one_if_the_model_does_not_predict_by_row(data: Path) -> None:
    model = ScriptedModel(lambda numbers, _: NotByRow("one value for all") if len(numbers) > 1 else None)
    score(data, model)
    assert data.with_name("out.csv").read_text() == EXPECTED
    assert len([numbers for numbers in model.requests if len(numbers) > 1]) <= 3


def test_a_damaged_input_is_reported_after_the_rows_before_it(data: Path) -> None:
    with data.open("a") as file:
        file.write('"100\n')
    with pytest.raises(Exception, match="ends within a quoted value"):
        score(data, ScriptedModel())
    assert data.with_name("out.csv").read_text() == EXPECTED


def test_rows_in_flight_are_bounded(data: Path) -> None:
    """With one request in flight, a few more are read."""
    reading = threading.Event()
    held = threading.Event()

    class SlowModel(ScriptedModel):
        def predict(self, rows: Rows) -> Predictions:
            reading.set()
            assert held.wait(30)
            return super().predict(rows)

    class CountingReader(CsvReader):
        taken = 0

        def read(self, count: int) -> Rows | None:
            rows = super().read(count)
            CountingReader.taken += 0 if rows is None else len(rows)
            return rows

    output = data.with_name("out.csv")
    stopping = threading.Event()
    reader = CountingReader(data)
    files = Files(reader, CsvWriter(output), FailedRows(data.with_name("failed.jsonl")), ProgressFile(output), {})
    seen: list[int] = []

    class Watching(Recorder):
        def update(self, progress: Progress) -> None:  # noqa: ARG002
            if not held.is_set():
                seen.append(CountingReader.taken)
                held.set()

    scoring = ThreadScoring(Scorer(SlowModel(), 0, stopping), Tuner(10, 1, None, 0.0))
    Runner(files, scoring, stopping, Watching()).run(None)
    reader.close()
    assert seen == [30]
    assert output.read_text() == EXPECTED


def _iterate(tuner: Tuner, seconds_of: Callable[[int, int], float], count: int) -> Iterator[tuple[int, int]]:
    """Requests one after another, on a clock that ``seconds_of`` advances by rows and concurrency."""
    now = 0.0
    for _ in range(count):
        rows, concurrency = tuner.rows, tuner.concurrency
        seconds = seconds_of(rows, concurrency)
        now += seconds / concurrency
        tuner.on_request(rows, seconds, now)
        yield tuner.rows, tuner.concurrency


def test_requests_grow_until_their_overhead_is_small() -> None:
    tuner = Tuner(None, None, None, 0.0)
    *_, (rows, _) = _iterate(tuner, lambda rows, concurrency: concurrency * (0.0005 + rows * 2e-6), 500)
    assert 4096 <= rows <= 16384


def test_requests_of_a_slow_model_are_small() -> None:
    tuner = Tuner(None, None, None, 0.0)
    *_, (rows, _) = _iterate(tuner, lambda rows, concurrency: concurrency * rows * 0.15, 100)
    assert rows == 1


@pytest.mark.parametrize(("servers", "expected"), [(1, {1, 2, 4}), (8, {8, 16})])
def test_as_many_requests_are_in_flight_as_the_server_works_on(servers: int, expected: set[int]) -> None:
    tuner = Tuner(None, None, 1, 0.0)
    *_, (_, concurrency) = _iterate(tuner, lambda _, concurrency: 0.05 * max(1.0, concurrency / servers), 2000)
    assert concurrency in expected


def test_fewer_requests_are_in_flight_when_the_server_rejects_them() -> None:
    tuner = Tuner(None, None, None, 0.0)
    tuner.on_overload(1.0)
    assert tuner.concurrency == 1


def test_given_sizes_are_kept() -> None:
    tuner = Tuner(7, 3, None, 0.0)
    assert set(_iterate(tuner, lambda *_: 0.001, 100)) == {(7, 3)}
    tuner.on_overload(1.0)
    tuner.limit_rows(5)
    assert (tuner.rows, tuner.concurrency) == (5, 3)


def test_checkpoints_are_written_however_fast_the_model_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seldon_spec.batch.runner._SAVE_SECONDS", 0.0)
    saved: list[int] = []
    save = ProgressFile.save

    def record(self: ProgressFile, checkpoint: Checkpoint) -> None:
        saved.append(checkpoint.rows)
        save(self, checkpoint)

    monkeypatch.setattr(ProgressFile, "save", record)
    score(data, ScriptedModel())
    assert set(range(0, 101, 10)) <= set(saved)
    assert saved == sorted(saved)
