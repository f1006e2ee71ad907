"""The option ``--on ray`` of the command ``batch``, on an existing cluster and on one that ends with the command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil
import pyarrow
import pytest
from pyarrow import parquet

from tests.ray.conftest import START_SECONDS
from tests.ray.existing_cluster import run_nodes

SOURCE = """
import os

import numpy as np


class Model:
    class_names = ["double", "negative"]

    def predict(self, X, names):
        X = np.asarray(X, dtype=float)
        if (X == -666).any():
            raise ValueError("-666 is not allowed")
        if (X == 777).any() and (gate := os.environ.get("BATCH_GATE")) and os.path.exists(gate):
            open(gate, "w").close()  # until the test opens it too
        return np.stack([X[:, 0] * 2, -X[:, 0]], axis=1)


class Size:
    def predict(self, X, names):
        return {"bytes": len(X)} if isinstance(X, bytes) else [len(each) for each in X]


class Broken:
    def load(self):
        raise OSError('no weights')

    def predict(self, X, names):
        return X


class Exiting:
    def load(self):
        os._exit(7)

    def predict(self, X, names):
        return X


class Fatal:
    def predict(self, X, names):
        if (np.asarray(X) == 777).any():
            os._exit(7)
        return X
"""


@pytest.fixture(scope="module")
def environ(command_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of commands that use one cluster, with nodes for two replicas."""
    gate = tmp_path_factory.mktemp("gate") / "gate"
    with run_nodes({**command_environ, "BATCH_GATE": str(gate)}) as (_, variables):
        yield variables


@pytest.fixture
def model(tmp_path: Path) -> Callable[[str], Path]:
    """Returns the folder of one of the classes."""

    def make(name: str) -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "models.py").write_text(SOURCE)
        (folder / "seldon.yaml").write_text(f"class_name: models.{name}\n")
        return folder

    return make


def start(environ: Mapping[str, str], *arguments: object) -> subprocess.Popen[str]:
    command = ["seldon-spec", "batch", *map(str, arguments)]
    return subprocess.Popen(command, env=dict(environ), stderr=subprocess.PIPE, text=True)


def batch(environ: Mapping[str, str], *arguments: object) -> tuple[int, str]:
    """Return the exit code and what the command has written to stderr."""
    process = start(environ, *arguments)
    try:
        _, errors = process.communicate(timeout=START_SECONDS)
    finally:
        process.kill()
    assert "Traceback" not in errors.replace("Traceback (most recent call last):\n", "", 1)
    assert "core_worker" not in errors  # what Ray's core logs
    return process.returncode, errors


def make_rows() -> list[list[float]]:
    """Return rows for several blocks, of which two have no prediction."""
    rows = [[float(index), index % 7] for index in range(1, 3000)]
    rows[5][0] = rows[2000][0] = -666
    return rows


def write_csv(path: Path) -> None:
    path.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in make_rows()))


def write_json_lines(path: Path) -> None:
    path.write_text("".join(json.dumps({"a": a, "b": b, "note": None}) + "\n" for a, b in make_rows()))


def write_npy(path: Path) -> None:
    np.save(path, np.array(make_rows()))


def write_parquet(path: Path) -> None:
    a, b = zip(*make_rows(), strict=True)
    parquet.write_table(pyarrow.table({"a": a, "b": b}), path, row_group_size=700)


def write_files(path: Path) -> None:
    path.mkdir()
    for index in range(40):
        (path / f"{index}.bin").write_bytes(b"\xff" * index)


INPUTS = {
    "CSV": ("Model", "in.csv", write_csv, "out.csv", []),
    "JSON Lines": ("Model", "in.jsonl", write_json_lines, "out.jsonl", ["--columns", "a,b"]),
    "npy": ("Model", "in.npy", write_npy, "out.npy", []),
    "Parquet": ("Model", "in.parquet", write_parquet, "out.jsonl", ["--rows", "500"]),
    "files": ("Size", "files", write_files, "out.csv", []),
}


@pytest.mark.parametrize("name", INPUTS)
def test_the_output_is_that_of_one_process(
    name: str, environ: dict[str, str], model: Callable[[str], Path], tmp_path: Path
) -> None:
    class_name, data, write, output, options = INPUTS[name]
    write(tmp_path / data)
    folder = model(class_name)
    found = {}
    for place in ("process", "ray"):
        out = tmp_path / place / output
        out.parent.mkdir()
        on = ["--on", "ray"] if place == "ray" else []
        code, errors = batch(environ, tmp_path / data, "--path", folder, "--output", out, *options, *on)
        assert f"rows to {out}" in errors
        found[place] = code, {path.name: path.read_bytes() for path in out.parent.iterdir()}
    assert found["ray"] == found["process"]
    code, files = found["ray"]
    assert (code, len(files)) == ((0, 1) if class_name == "Size" else (1, 2))


FAILURES = {
    "class": ("Broken", "line 26, in load\n    raise OSError('no weights')\nOSError: no weights\nerror: the class"),
    "exit while it loads": ("Exiting", "error: the process exited while it loaded the class, or had too little memory"),
    "exit while it predicts": ("Fatal", "error: the processes of 4 replicas have exited while they predicted the same"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_replica_that_fails_ends_the_command(
    name: str, environ: dict[str, str], model: Callable[[str], Path], tmp_path: Path
) -> None:
    class_name, expected = FAILURES[name]
    data = tmp_path / "in.csv"
    data.write_text("a\n" + "".join(f"{index}\n" for index in range(1000)))
    output = tmp_path / "out.csv"
    code, errors = batch(environ, data, "--path", model(class_name), "--on", "ray", "--output", output)
    assert code == 1
    assert expected in errors
    assert output.exists() == ("--resume continues" in errors) == (class_name == "Fatal")


def test_a_terminated_run_continues(environ: dict[str, str], model: Callable[[str], Path], tmp_path: Path) -> None:
    rows = [[index, index % 7] for index in range(1, 3000)]
    rows[2500][0] = 777
    data = tmp_path / "in.csv"
    data.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    folder = model("Model")
    output, whole = tmp_path / "out.csv", tmp_path / "whole.csv"
    gate = Path(environ["BATCH_GATE"])
    arguments = [data, "--path", folder, "--on", "ray", "--rows", "50", "--output", output]
    os.mkfifo(gate)
    process = start(environ, *arguments)
    try:
        _wait_for_rows(process, output)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)  # the row before the gate is in a replica
    finally:
        process.kill()
        with contextlib.suppress(OSError):
            os.close(os.open(gate, os.O_RDONLY | os.O_NONBLOCK))
        gate.unlink()
    assert process.returncode == 130
    assert "--resume continues it" in errors
    assert 0 < len(output.read_text().splitlines()) - 1 <= 2500
    assert batch(environ, *arguments, "--resume")[0] == 0
    assert batch(environ, data, "--path", folder, "--output", whole)[0] == 0
    assert output.read_bytes() == whole.read_bytes()
    assert not output.with_name("out.csv.progress").exists()


def test_a_local_cluster_ends_with_a_command_that_is_killed(
    command_environ: dict[str, str], model: Callable[[str], Path], tmp_path: Path
) -> None:
    data, output, gate = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "gate"
    data.write_text("a\n" + "".join(f"{index}\n" for index in range(1000)))
    os.mkfifo(gate)
    environ = {**command_environ, "BATCH_GATE": str(gate)}
    arguments = [data, "--path", model("Model"), "--on", "ray", "--rows", "50", "--output", output]
    process = start(environ, *arguments)
    try:
        _wait_for_rows(process, output)
        processes = psutil.Process(process.pid).children(recursive=True)
        assert any("raylet" in each.name() for each in processes)
    finally:
        process.kill()
        process.communicate()
    assert psutil.wait_procs(processes, timeout=30)[1] == []
    gate.unlink()
    code, errors = batch(environ, *arguments, "--resume")
    assert code == 0, errors
    assert len(output.read_text().splitlines()) == 1001


def test_a_local_cluster_without_the_resources_of_a_replica_is_reported(
    command_environ: dict[str, str], model: Callable[[str], Path], tmp_path: Path
) -> None:
    data = tmp_path / "in.csv"
    data.write_text("a\n1\n")
    arguments = ["--on", "ray", "--set", "deployment.resources.gpu=0.5", "--output", tmp_path / "out.csv"]
    code, errors = batch(command_environ, data, "--path", model("Model"), *arguments)
    assert code == 1
    assert "the replicas need 0.5 GPU, and there is 0 (deployment.resources" in errors


def _wait_for_rows(process: subprocess.Popen[str], output: Path) -> None:
    """Wait until the checkpoint of an output has rows."""
    progress = output.with_name(f"{output.name}.progress")
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if progress.exists() and json.loads(progress.read_text())["rows"]:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            pytest.fail(f"the command ended: {process.communicate()[1]}")
    pytest.fail(f"no checkpoint within {START_SECONDS} seconds")
