"""Whatever the files hold, ``migrate`` ends with its own page: no other exception, no time and memory without bound."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seldon_spec.cli.main import run
from seldon_spec.config.yaml.parser import MAX_BYTES

FILES = [
    ".s2i/environment",
    "Dockerfile",
    "deploy.yaml",
    "deploy.json",
    "contract.json",
    "model-settings.json",
    "settings.json",
    "requirements.txt",
    "MyModel.py",
]
PIECES = [
    b"FROM python:3.11-slim AS a\n", b"FROM a\n", b"ENV ", b"ENV A=$A ", b"LABEL x=", b"USER ", b"WORKDIR ", b"ARG ", b"EXPOSE ",
    b"RUN pip install -r ", b"RUN apt-get install ", b"RUN <<EOF\n", b"CMD [", b"CMD exec seldon-core-microservice $MODEL_NAME ",
    b"ENTRYPOINT ", b"--parameters ", b"--http-port=", b"\\\n", b"MODEL_NAME=", b"MyModel", b"../x", b"/", b"\0", b"\xff",
    b"SERVICE_TYPE=ROUTER\n", b"GRPC_WORKERS=", b"FLASK_SECRET_KEY=", b"PREDICTIVE_UNIT_PARAMETERS=", b"SELDON_SPEC__", b"PARAMETERS=",
    b"kind: SeldonDeployment\n", b"spec:\n", b"  predictors:\n", b"  - graph: ", b"{name: m, type: MODEL, ", b"parameters: ", b"}\n",
    b"    componentSpecs: [{spec: {containers: [{name: m, env: ", b"[{name: a, value: b}]", b"---\n", b"- ", b"&a ", b"*a\n", b"{{ x }}",
    b"seldon-core[all]==1.2; python_version<'3'\n", b"-e git+https://x/seldon-core#egg=seldon_core\n", b"numpy~=1\n", b"~=", b"==",
    b'{"implementation": "mlserver_sklearn.SKLearnModel", ', b'"parameters": {"uri": "', b'"inputs": [{"name": ', b'"max_batch_size": ',
    b"implementation: SKLEARN_SERVER, modelUri: ", b"gs://", b'"parallel_workers": [',
    b'{"features": [{"name": 1, "repeat": -1}]}', b"\n", b" ", b"'", b'"', b"$", b"${", b"}", b"0", b"-1", b"1e999", b"=",
]  # fmt: skip
CONTENT = st.one_of(
    st.binary(max_size=60),
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3)), max_size=14).map(b"".join),
)


def _migrate(folder: Path, *arguments: str) -> tuple[int, str]:
    page = io.StringIO()
    with contextlib.redirect_stderr(page):
        code = run(["migrate", str(folder), *arguments])
    return code, page.getvalue()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FILES), CONTENT, min_size=1, max_size=4), st.sampled_from([(), ("--write",)]))
def test_any_bytes_get_a_page(files: dict[str, bytes], arguments: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name, data in files.items():
            path = Path(place, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        code, page = _migrate(Path(place), *arguments)
        assert code in (0, 1), page
        assert "Traceback" not in page


GRAPH = {"name": "m", "type": "MODEL"}
RESOURCE = {"kind": "SeldonDeployment", "spec": {"predictors": [{"graph": GRAPH}]}}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("deploy.yaml", b"kind: SeldonDeployment\n---\n" * 40_000, id="documents"),
        pytest.param("deploy.yaml", b"kind: SeldonDeployment\na: " + b"[" * 100_000, id="depth"),
        pytest.param("deploy.json", json.dumps([RESOURCE] * 2_000).encode(), id="resources"),
        pytest.param("Dockerfile", b"FROM x\nENV A=a\n" + b"ENV A=$A$A\n" * 200, id="variables-that-double"),
        pytest.param(
            "Dockerfile", b"FROM x\nENV A=" + b"a" * 90_000 + b"\nENV B=" + b"$A" * 90_000, id="variable-at-length"
        ),
        pytest.param(
            "Dockerfile", b"FROM x\n" + b"".join(b"ENV A%d=1\n" % i for i in range(8_000)), id="many-variables"
        ),
        pytest.param("Dockerfile", b"FROM x\nRUN " + b"a && " * 150_000, id="one-long-command"),
        pytest.param("Dockerfile", b"FROM x\n" + b"ENV A=1 \\\n" * 80_000, id="continued-lines"),
        pytest.param("Dockerfile", b"FROM a AS b\n" * 60_000, id="stages"),
        pytest.param("Dockerfile", b"x" * (MAX_BYTES + 1), id="bytes"),
        pytest.param(".s2i/environment", b"A=1\n" * 250_000, id="variables"),
        pytest.param("requirements.txt", b"seldon-core==" + b"1" * 900_000, id="one-version"),
        pytest.param("contract.json", b'{"features": [' + b'{"name": "x"},' * 60_000 + b"]}", id="features"),
    ],
)
def test_large_files_are_bounded(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    (tmp_path / "MyModel.py").write_text("class MyModel:\n    def predict(self, X): ...\n")
    code, page = _migrate(tmp_path)
    assert code in (0, 1), page[:2000]
    written = tmp_path / "seldon.yaml"
    assert not written.exists() or written.stat().st_size < 4 * MAX_BYTES
