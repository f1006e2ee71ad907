"""Images that are built, run as any user on a read-only root, asked over REST and gRPC, and stopped.

Each image's test starts containers; what is built is shared by all of them.
"""

from __future__ import annotations

import http.server
import json
import shutil
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.makers import MAKERS, PASSWORD, USERS, Index, Private, render_classic

if TYPE_CHECKING:
    from tests.image.conftest import Bakery, Container, Image, Machine

    RunContainer = Callable[..., AbstractContextManager[Container]]


@pytest.fixture(scope="session", autouse=True)
def private_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the index, on loopback."""
    path = tmp_path_factory.mktemp("index") / Index.WHEEL
    info = "private_half-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("private_half.py", "def half(x):\n    return x / 2\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: private-half\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    page = f'<!DOCTYPE html><html><body><a href="/files/{Index.WHEEL}">{Index.WHEEL}</a></body></html>'
    Index.files = {"/simple/private-half/": page.encode(), f"/files/{Index.WHEEL}": path.read_bytes()}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Private.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
        yield Private.url
        server.shutdown()


NAMES = sorted(MAKERS)
CLASSES = [name for name in NAMES if name not in ("graph", "model-file")]


def check_answer(image: Image, answer: Any) -> None:
    if image.name in ("test-iris", "test-model-file"):
        assert [max(range(3), key=row.__getitem__) for row in answer["data"]["ndarray"]] == [0]
    else:
        assert answer["data"]["ndarray"] == image.rows


@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
@pytest.mark.parametrize("name", NAMES)
def test_it_answers_is_healthy_and_stops(
    name: str, user: str, images: Callable[[str], Image], run_container: RunContainer
) -> None:
    image = images(name)
    with run_container(image, user) as container:
        check_answer(image, json.loads(container.post("/api/v1.0/predictions", {"data": {"ndarray": image.rows}})))
        check_answer(image, container.predict_by_grpc(image.rows))
        if image.has_healthcheck:
            probe = image.read_healthcheck()
            assert container.exec(*probe).returncode == 0
        assert container.exec("/bin/sh", "-c", "/bin/sleep 0").returncode == 0
        assert container.stop() == 0


@pytest.mark.parametrize("name", CLASSES)
def test_variables_override_the_image(name: str, images: Callable[[str], Image], run_container: RunContainer) -> None:
    """The ports come by variables in every test; here the class, its type, its parameters and Flask's settings."""
    image = images(name)
    parameters = [{"name": "threshold", "type": "FLOAT", "value": "0.25"}]
    variables = {
        "MODEL_NAME": "Other",
        "SERVICE_TYPE": "TRANSFORMER",
        "FLASK_JSON_SORT_KEYS": "true",
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters),
    }
    with run_container(image, USERS["any"], **variables) as container:
        text = container.post("/transform-input", {"data": {"ndarray": [[1.0] * 4]}})
        assert json.loads(text)["meta"]["tags"] == {"a": 1, "z": 0.25}
        assert text.index('"a"') < text.index('"z"')
        if image.has_healthcheck:
            assert container.exec(*image.read_healthcheck()).returncode == 0


def test_the_health_check_fails_where_nothing_answers(
    images: Callable[[str], Image], run_container: RunContainer
) -> None:
    image = images("minimal")
    with run_container(image, USERS["own"]) as container:
        words = ["env", "PREDICTIVE_UNIT_HTTP_SERVICE_PORT=9", *image.read_healthcheck()]
        assert container.exec(*words).returncode == 1


def test_what_only_the_install_needs_does_not_stay(images: Callable[[str], Image], run_container: RunContainer) -> None:
    with run_container(images("system-package"), USERS["own"]) as container:
        assert container.exec("/bin/sh", "-c", "command -v make gcc uv").stdout == ""
        assert container.exec("/bin/sh", "-c", "ls -d /opt/tools /code").stdout == ""


def test_the_folder_belongs_to_the_user_and_is_open_to_any(
    images: Callable[[str], Image], run_container: RunContainer
) -> None:
    with run_container(images("iris"), USERS["any"]) as container:
        told = container.exec("stat", "-c", "%u:%g %a", ".", "IrisClassifier.py", "iris.joblib").stdout.split("\n")
        assert told[:3] == ["8888:0 775", "8888:0 644", "8888:0 644"]


def test_the_credentials_of_an_index_are_in_no_layer(
    images: Callable[[str], Image], machine: Machine, tmp_path: Path
) -> None:
    image = images("private-index")
    archive = tmp_path / "image.tar"
    format_words = ["--format", "docker-archive"] if machine.runner == "podman" else []
    machine.run(machine.runner, "save", *format_words, "--output", str(archive), f"localhost/{image.name}")
    assert find_in_image(archive, b"private_half") != []
    assert find_in_image(archive, PASSWORD.encode()) == []
    history = machine.run(machine.runner, "history", "--no-trunc", f"localhost/{image.name}").stdout
    assert PASSWORD not in history


def find_in_image(archive: Path, needle: bytes) -> list[str]:
    """The members of an image's archive that hold some bytes, in their content or in a name within."""
    found = []
    with tarfile.open(archive) as outer:
        for member in outer:
            stream = outer.extractfile(member)
            if stream is not None and needle in stream.read():
                found.append(member.name)
    return found


def test_an_index_that_asks_for_a_password_is_not_read_without(bakery: Bakery, images: Callable[[str], Image]) -> None:
    """Were it, the test above would prove nothing."""
    image = images("private-index")
    command = [sys.executable, "-m", "seldon_spec", "build", str(image.folder), "--builder", bakery.machine.builder]
    further = [f"--builder-arg={word}" for word in bakery.machine.words]
    words = [*command, *bakery.base, *further, "--no-cache", "--tag", "localhost/test-none"]
    ended = bakery.machine.run(*words, check=False)
    assert ended.returncode == 1
    assert "private-half" in ended.stderr


def test_labels_say_what_the_image_is(images: Callable[[str], Image], machine: Machine) -> None:
    config = machine.inspect(f"localhost/{images('iris').name}")["Config"]
    labels = config["Labels"]
    assert (config["User"], config["StopSignal"]) == ("8888", "SIGTERM")
    assert sorted(config["ExposedPorts"]) == ["5000/tcp", "6000/tcp", "9000/tcp"]
    assert labels["org.opencontainers.image.title"] == "iris"
    assert labels["org.opencontainers.image.version"] == "1.0"
    assert labels["seldon-spec.digest"].startswith("sha256:")


CHANGES = {
    "code": ("IrisClassifier.py", "# changed\n"),
    "runtime-key": ("seldon.yaml", "server: {threads: 2}\n"),
}


@pytest.mark.parametrize(("file", "text"), CHANGES.values(), ids=CHANGES)
def test_a_change_makes_the_last_layer_anew_and_no_other(
    file: str, text: str, bakery: Bakery, images: Callable[[str], Image], tmp_path: Path
) -> None:
    image = images("iris")
    before = bakery.machine.layers(f"localhost/{image.name}")
    folder = tmp_path / "iris"
    shutil.copytree(image.folder, folder)
    bakery.build(folder, "test-iris-again")
    assert bakery.machine.layers("localhost/test-iris-again") == before
    with (folder / file).open("a") as changed:
        changed.write(text)
    bakery.build(folder, "test-iris-changed")
    after = bakery.machine.layers("localhost/test-iris-changed")
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


def test_another_file_in_the_image_is_noted(
    images: Callable[[str], Image], run_container: RunContainer, bakery: Bakery
) -> None:
    image = images("minimal")
    variables = {"SELDON_SPEC_DIGEST": "sha256:" + "0" * 64}
    with run_container(image, USERS["own"]) as same, run_container(image, USERS["own"], **variables) as other:
        for container, is_noted in ((same, False), (other, True)):
            logs = bakery.machine.run(bakery.machine.runner, "logs", container.name)
            assert ("[other-file]" in logs.stdout + logs.stderr) is is_noted


def test_it_is_a_tenth_smaller_than_the_classic_form(bakery: Bakery, images: Callable[[str], Image]) -> None:
    """The same packages, in the one-stage form."""
    staged = images("iris")
    folder = bakery.copy("iris", "iris-classic")
    render_classic(bakery, folder)
    bakery.build_file(folder, "test-iris-classic", folder / "Dockerfile")
    sizes = [bakery.machine.inspect(f"localhost/{name}")["Size"] for name in (staged.name, "test-iris-classic")]
    assert sizes[0] <= 0.9 * sizes[1]
