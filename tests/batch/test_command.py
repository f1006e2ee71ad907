"""The command ``batch`` with real models: every transport, failed rows, interruptions and wrong arguments."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.cli.main import run
from tests.batch.conftest import Start

Model = Callable[..., Path]


def write_csv(path: Path, rows: list[list[Any]], header: str = "a,b\n") -> Path:
    path.write_text(header + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def read_rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def batch(*arguments: object) -> int:
    return run(["batch", *map(str, arguments)])


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "numbers.csv", [[index, index / 8] for index in range(1, 400)])


EXPECTED = [["a", "b", "double", "negative"]] + [
    [str(index), str(index / 8), f"{index * 2:.1f}", f"{-index:.1f}"] for index in range(1, 400)
]

TARGETS = {
    "REST": ("http://127.0.0.1:{http}", []),
    "gRPC": ("grpc://127.0.0.1:{grpc}", []),
    "REST, v2": ("http://127.0.0.1:{http}", ["--protocol", "v2"]),
    "gRPC, v2": ("grpc://127.0.0.1:{grpc}", ["--protocol", "v2"]),
    "REST, a model's URL": ("http://127.0.0.1:{http}/v2/models/model", []),
}


@pytest.mark.parametrize("name", TARGETS)
def test_every_transport_gives_the_same_output(
    name: str, numbers: Path, tmp_path: Path, batch_folder: Path, serve_in_thread: Start
) -> None:
    url, options = TARGETS[name]
    with serve_in_thread(batch_folder, "models.Model") as server:
        at = url.format(http=server.http_port, grpc=server.grpc_port)
        assert batch(numbers, "--at", at, "--output", tmp_path / "out.csv", *options) == 0
    assert read_rows(tmp_path / "out.csv") == EXPECTED
    assert {path.name for path in tmp_path.iterdir()} == {"numbers.csv", "out.csv"}


@pytest.mark.parametrize("options", [[], ["--protocol", "v2"], ["--rows", "7", "--concurrency", "3"]], ids=str)
def test_a_model_in_this_process(options: list[str], numbers: Path, tmp_path: Path, model: Model) -> None:
    assert batch(numbers, "--path", model("Model"), "--output", tmp_path / "out.csv", *options) == 0
    assert read_rows(tmp_path / "out.csv") == EXPECTED


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        (".csv", "a,b,double,negative\n1,0.5,2.0,-1.0\n"),
        (".tsv", "a\tb\tdouble\tnegative\n1\t0.5\t2.0\t-1.0\n"),
        (".jsonl", '{"a":1,"b":0.5,"double":2.0,"negative":-1.0}\n'),
    ],
)
def test_output_formats(suffix: str, expected: str, tmp_path: Path, model: Model) -> None:
    data = write_csv(tmp_path / "in.csv", [["1", "0.5"]])
    assert batch(data, "--path", model("Model"), "--output", tmp_path / f"out{suffix}") == 0
    assert (tmp_path / f"out{suffix}").read_text() == expected


LINES = {
    "semicolons": ("a;b\n1;2\n", ["1", "2", "2.0", "-1.0"]),
    "no header": ("1,2\n", ["1", "2", "2.0", "-1.0"]),
    "carriage returns, a byte order mark, no last end": ("\ufeffa,b\r\n1,2", ["1", "2", "2.0", "-1.0"]),
    "numbers that are none in JSON": ("a,b\n+1,.5\n", ["+1", ".5", "2.0", "-1.0"]),
    "spaces": ("a,b\n 1 , 2\n", [" 1 ", " 2", "2.0", "-1.0"]),
    "blank lines": ("a,b\n\n1,2\n\n\n", ["1", "2", "2.0", "-1.0"]),
    "quotes": ('a,b\n"1","2"\n', ["1", "2", "2.0", "-1.0"]),
}


@pytest.mark.parametrize("name", LINES)
def test_forms_of_csv(name: str, tmp_path: Path, model: Model) -> None:
    text, expected = LINES[name]
    (tmp_path / "in.csv").write_bytes(text.encode())
    assert batch(tmp_path / "in.csv", "--path", model("Model"), "--output", tmp_path / "out.csv") == 0
    assert read_rows(tmp_path / "out.csv")[-1] == expected


def test_columns_have_the_types_of_their_cells(tmp_path: Path, model: Model) -> None:
    text = 'number,zip,flag,note\n1,007,true,"a ""b"",\nc"\n,010,false,\n2.5,,,x\n'
    (tmp_path / "in.csv").write_text(text)
    assert batch(tmp_path / "in.csv", "--path", model("Echo"), "--output", tmp_path / "out.jsonl") == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["prediction_0"] for line in lines] == [
        "[1, '007', True, 'a \"b\",\\nc']",
        "[None, '010', False, None]",
        "[2.5, None, None, 'x']",
    ]
    assert lines[0]["prediction_1"] == "number,zip,flag,note"
    assert [line["zip"] for line in lines] == ["007", "010", None]


@pytest.mark.parametrize("at", ["path", "rest"])
def test_failed_rows_keep_their_place(at: str, tmp_path: Path, model: Model, serve_in_thread: Start) -> None:
    rows: list[list[Any]] = [[index, 0] for index in range(1, 1500)]
    rows[16][0], rows[1200][0], rows[1201][0] = -666, -666, "many"
    data = write_csv(tmp_path / "in.csv", rows)
    data.write_text(data.read_text().replace("\n1250,0\n", "\n1250\n"))
    output, failed = tmp_path / "out.csv", tmp_path / "failed.jsonl"
    folder = model("Model")
    if at == "path":
        assert batch(data, "--path", folder, "--output", output, "--failed", failed) == 1
    else:
        with serve_in_thread(folder, "models.Model") as server:
            url = f"http://127.0.0.1:{server.http_port}"
            assert batch(data, "--at", url, "--output", output, "--failed", failed) == 1
    found = read_rows(output)[1:]
    assert [row[0] for row in found] == [str(row[0]) for row in rows]
    assert [index for index, row in enumerate(found) if row[2:] == ["", ""]] == [16, 1200, 1201, 1249]
    assert found[17] == ["18", "0", "36.0", "-18.0"]
    failures = [json.loads(line) for line in failed.read_text().splitlines()]
    assert [failure["row"] for failure in failures] == [17, 1201, 1202, 1250]
    assert [failure["data"] for failure in failures] == [{"a": -666, "b": 0}, {"a": -666, "b": 0}, "many,0", "1250"]
    assert "-666 is not allowed" in failures[0]["reason"]
    assert failures[2]["reason"] == "column a: 'many' is not a number"
    assert failures[3]["reason"] == "the row has 1 values for 2 columns"


def test_a_model_that_does_not_predict_row_by_row_gets_single_rows(numbers: Path, tmp_path: Path, model: Model) -> None:
    assert batch(numbers, "--path", model("Total"), "--output", tmp_path / "out.csv") == 0
    assert read_rows(tmp_path / "out.csv")[1:] == [
        [str(index), str(index / 8), f"{index:.1f}", str(index / 8)] for index in range(1, 400)
    ]


def test_a_prediction_of_another_width_is_a_failed_row(numbers: Path, tmp_path: Path, model: Model) -> None:
    assert batch(numbers, "--path", model("Growing"), "--output", tmp_path / "out.csv", "--rows", "1") == 1
    found = read_rows(tmp_path / "out.csv")
    assert found[0] == ["a", "b", "prediction_0", "prediction_1"]
    assert [row[2:] != ["", ""] for row in found[1:]] == [index < 50 for index in range(1, 400)]


@pytest.mark.parametrize(
    ("name", "suffix", "expected"),
    [
        ("Words", ".csv", "a,b,prediction_0,prediction_1\n" + "1,2,yes,no\n" * 3),
        ("Words", ".jsonl", '{"a":1,"b":2,"prediction_0":"yes","prediction_1":"no"}\n' * 3),
        ("Holes", ".csv", "a,b,prediction_0,prediction_1\n" + "1,2,,\n" * 3),
        ("Holes", ".jsonl", '{"a":1,"b":2,"prediction_0":null,"prediction_1":null}\n' * 3),
    ],
)
def test_equal_predictions_that_are_no_numbers(
    name: str, suffix: str, expected: str, tmp_path: Path, model: Model
) -> None:
    data = write_csv(tmp_path / "in.csv", [[1, 2]] * 3)
    assert batch(data, "--path", model(name), "--output", tmp_path / f"out{suffix}") == 0
    assert (tmp_path / f"out{suffix}").read_text() == expected


def test_requests_fit_into_the_limit_of_the_server(tmp_path: Path, model: Model, serve_folder: Start) -> None:
    data = write_csv(tmp_path / "in.csv", [[index, 0] for index in range(2000)])
    with serve_folder(model("Model", "server: {max_body_bytes: 1000}\n")) as server:
        assert batch(data, "--at", f"http://127.0.0.1:{server.http}", "--output", tmp_path / "out.csv") == 0
    assert [row[2] for row in read_rows(tmp_path / "out.csv")[1:]] == [f"{index * 2:.1f}" for index in range(2000)]


def test_only_the_declared_columns_are_sent(tmp_path: Path, model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_csv(tmp_path / "in.csv", [["x1", 1, 5], ["x2", 2, 6]], "id,a,b\n")
    folder = model("Model", "inputs: [b, a]\n")
    assert batch(data, "--path", folder, "--output", tmp_path / "out.csv") == 0
    assert read_rows(tmp_path / "out.csv")[1:] == [["x1", "1", "5", "10.0", "-5.0"], ["x2", "2", "6", "12.0", "-6.0"]]
    assert batch(data, "--path", folder, "--output", tmp_path / "two.csv", "--columns", "a,c") == 1
    assert "has no column 'c'" in capsys.readouterr().err


def test_more_columns_than_the_model_of_a_server_declares_are_a_warning(
    tmp_path: Path, model: Model, serve_folder: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_csv(tmp_path / "in.csv", [["x1", 1, 5], ["x2", 2, 6]], "id,a,b\n")
    with serve_folder(model("Model", "inputs: [a, b]\n")) as server:
        options = [data, "--at", f"http://127.0.0.1:{server.http}", "--output"]
        assert batch(*options, tmp_path / "all.csv") == 1
        assert "3 columns are sent, but the model declares 2; --columns" in capsys.readouterr().err
        assert batch(*options, tmp_path / "out.csv", "--columns", "a,b") == 0
    assert "warning" not in capsys.readouterr().err
    assert read_rows(tmp_path / "out.csv")[1:] == [["x1", "1", "5", "2.0", "-1.0"], ["x2", "2", "6", "4.0", "-2.0"]]


def test_the_first_rows_that_fail_wait_for_the_columns(tmp_path: Path, model: Model) -> None:
    data = write_csv(tmp_path / "in.csv", [[-666, 0]] * 20 + [[1, 0]])
    assert batch(data, "--path", model("Model"), "--output", tmp_path / "out.csv") == 1
    assert read_rows(tmp_path / "out.csv")[1:] == [["-666", "0", "", ""]] * 20 + [["1", "0", "2.0", "-1.0"]]


def test_a_model_that_predicts_nothing_stops_the_run(
    numbers: Path, tmp_path: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(numbers, "--path", model("Never"), "--output", tmp_path / "out.csv") == 1
    assert "the first 100 rows have no prediction; row 1: " in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
    assert len((tmp_path / "out.csv.failed.jsonl").read_text().splitlines()) == 100


def test_a_server_that_is_away_is_an_error_and_a_complete_output_is_kept(
    numbers: Path, tmp_path: Path, model: Model, serve_folder: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    output, folder = tmp_path / "out.csv", model("Model")
    with serve_folder(folder) as server:
        url = f"http://127.0.0.1:{server.http}"
    assert batch(numbers, "--at", url, "--output", output, "--retries", "0") == 1
    assert "no response from 127.0.0.1" in capsys.readouterr().err
    with serve_folder(folder) as server:
        url = f"http://127.0.0.1:{server.http}"
        assert batch(numbers, "--at", url, "--output", output, "--resume") == 0
    assert read_rows(output) == EXPECTED
    assert batch(numbers, "--at", url, "--output", output, "--resume") == 0
    assert "is complete" in capsys.readouterr().err


def _start(arguments: list[object]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "seldon_spec", "batch", *map(str, arguments)], stderr=subprocess.PIPE
    )


def _wait_for_checkpoint(process: subprocess.Popen[bytes], output: Path) -> int:
    """Wait until a checkpoint has rows; return their number."""
    progress = output.with_name(f"{output.name}.progress")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if progress.exists() and (rows := json.loads(progress.read_text())["rows"]):
            return int(rows)
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"the command ended: {process.communicate()[1].decode()}")
    pytest.fail("no checkpoint within 60 seconds")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".npy", ".parquet"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_an_interrupted_run_continues(
    number: signal.Signals, suffix: str, tmp_path: Path, model: Model, serve_folder: Start
) -> None:
    folder = model("Model")
    rows = [[index, index % 7] for index in range(1, 3000)]
    rows[5][0], rows[2500][0] = -666, 777
    data = write_csv(tmp_path / "in.csv", rows)
    outputs = [tmp_path / f"{name}{suffix}" for name in ("whole", "parts")]
    reached, gate = folder / "reached", folder / "gate"
    with serve_folder(folder) as server:
        arguments = [data, "--at", f"http://127.0.0.1:{server.http}", "--rows", "50", "--output"]
        assert batch(*arguments, outputs[0]) == 1
        os.mkfifo(reached)
        os.mkfifo(gate)
        process = _start([*arguments, outputs[1]])
        try:
            reached.open().close()  # a checkpoint can be saved before that
            written = _wait_for_checkpoint(process, outputs[1])
            process.send_signal(number)
            if number == signal.SIGKILL:
                process.wait()
            readers = [os.open(fifo, os.O_RDONLY | os.O_NONBLOCK) for fifo in (reached, gate)]
            process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == (-number if number == signal.SIGKILL else 130)
        assert 0 < written <= 2500
        assert batch(*arguments, outputs[1], "--resume") == 1
        for reader in readers:
            os.close(reader)
    assert outputs[1].read_bytes() == outputs[0].read_bytes()
    failed = [path.with_name(f"{path.name}.failed.jsonl").read_text() for path in outputs]
    assert failed[1] == failed[0]
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".progress", ".partial")]


WRONG = {
    "neither a server nor a spec": (["in.csv", "--path", "nowhere", "--output", "out.csv"], 1),
    "no input": (["none.csv", "--path", "Model-model", "--output", "out.csv"], 1),
    "a pipe": (["pipe", "--path", "Model-model", "--input-format", "csv", "--output", "out.csv"], 1),
    "unknown suffix": (["in.xlsx", "--path", "Model-model", "--output", "out.csv"], 1),
    "unknown suffix of the output": (["in.csv", "--path", "Model-model", "--output", "out.xlsx"], 1),
    "the input as output": (["in.csv", "--path", "Model-model", "--output", "in.csv"], 2),
    "the input as file of failed rows": (["in.csv", "--output", "out.csv", "--failed", "in.csv", "--overwrite"], 2),
    "the input as file of failed rows, continued": (
        ["in.csv", "--output", "out.csv", "--failed", "in.csv", "--resume"],
        2,
    ),
    "the output as file of failed rows": (["in.csv", "--output", "out.csv", "--failed", "out.csv"], 2),
    "a folder as output": (["in.csv", "--path", "Model-model", "--output", "Model-model"], 2),
    "an output among the rows": (["Model-model", "--path", ".", "--output", "Model-model/out.csv"], 2),
    "an output that exists": (["in.csv", "--path", "Model-model", "--output", "in.xlsx"], 2),
    "a server and a path": (["in.csv", "--path", ".", "--at", "http://x", "--output", "out.csv"], 2),
    "a server and a cluster": (["in.csv", "--on", "ray", "--at", "http://x", "--output", "out.csv"], 2),
    "a cluster without Ray": (["in.csv", "--path", "Model-model", "--on", "ray", "--output", "out.csv"], 2),
    "a token without a server": (["in.csv", "--token-file", "in.csv", "--output", "out.csv"], 2),
    "a URL of another scheme": (["in.csv", "--at", "ftp://x", "--output", "out.csv"], 1),
    "both kinds of start": (["in.csv", "--output", "out.csv", "--resume", "--overwrite"], 2),
    "a wrong time": (["in.csv", "--output", "out.csv", "--timeout", "soon"], 2),
    "an empty input": (["empty.csv", "--path", "Model-model", "--output", "out.csv"], 1),
    "names that are not unique": (["twice.csv", "--path", "Model-model", "--output", "out.csv"], 1),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(
    name: str, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, code = WRONG[name]
    model("Model")
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "in.csv", [[1, 2]])
    (tmp_path / "in.xlsx").write_text("")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    assert batch(*arguments) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "rror" in error
    assert (tmp_path / "in.csv").read_text() == "a,b\n1,2\n"
    assert not (tmp_path / "out.csv").exists()


def test_another_input_cannot_continue_an_output(
    numbers: Path, tmp_path: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, output = model("Never"), tmp_path / "out.csv"
    assert batch(numbers, "--path", folder, "--output", output) == 1
    write_csv(numbers, [[1, 2]])
    assert batch(numbers, "--path", folder, "--output", output, "--resume") == 1
    assert "the size of DATA was" in capsys.readouterr().err
    (folder / "seldon.yaml").write_text("class_name: models.Model\n")
    assert batch(numbers, "--path", folder, "--output", output, "--overwrite") == 0
    assert read_rows(output)[1:] == [["1", "2", "2.0", "-1.0"]]


@pytest.mark.parametrize(("suffix", "expected"), [(".csv", "a,b,prediction\n"), (".jsonl", "")])
def test_an_input_without_rows_has_an_output_without_rows(
    suffix: str, expected: str, tmp_path: Path, model: Model
) -> None:
    data = write_csv(tmp_path / "in.csv", [])
    assert batch(data, "--path", model("Model"), "--output", tmp_path / f"out{suffix}") == 0
    assert (tmp_path / f"out{suffix}").read_text() == expected


def test_files_of_a_folder(tmp_path: Path, model: Model) -> None:
    files = tmp_path / "files"
    (files / "inner").mkdir(parents=True)
    for name, size in (("b.bin", 3), ("a.bin", 1), ("inner/c.bin", 0)):
        (files / name).write_bytes(b"\xff" * size)
    assert batch(files, "--path", model("Size"), "--output", tmp_path / "out.jsonl") == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines == [
        {"file": "a.bin", "prediction": {"bytes": 1}},
        {"file": "b.bin", "prediction": {"bytes": 3}},
        {"file": "inner/c.bin", "prediction": {"bytes": 0}},
    ]
