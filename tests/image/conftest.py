"""Real images: a builder, a base, folders to build, and containers that are asked and stopped.

``IMAGE_BUILDER`` (docker, podman or buildah) and ``PYTHON_BASE`` (the slim image of this Python's version) may be set. Where no registry answers,
``base`` makes the base of what the machine has. How packages are reached while an image is built is taken from pip's own
settings here, by mounts that leave no trace in it; docker is taken to be set up already.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from seldon_spec.cli.self_wheel import write_self_wheel
from tests.image.makers import MAKERS
from tests.image.pods import read_check

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
BUILDERS = ("docker", "podman", "buildah")
START_SECONDS = 60
STOP_SECONDS = 3
"""What Kubernetes leaves of its 20 seconds after a preStop hook is more; a server with nothing to do needs less."""

BUNDLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
IN_IMAGE_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PASSED_ON = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")

OTHER = """\
class Other:
    def __init__(self, threshold=0.5, **others):
        self.threshold = threshold

    def predict(self, X, names):
        return X

    def transform_input(self, X, names):
        return X

    def tags(self):
        return {"z": self.threshold, "a": 1}
"""
"""A second class in every folder, for what a variable changes when the container starts."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.image)


def _pip_settings() -> dict[str, str]:
    """Pip's settings here by their plain names: its files', then the environment's above them."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = {}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        settings[key.rpartition(".")[2]] = value.strip("'")
    return settings


@dataclass(frozen=True)
class Machine:
    """What the machine lends to a build and to a container.

    Attributes:
        builder: the program that builds.
        environ: of every command.
        words: for the builder, as ``seldon-spec build`` passes them on.
    """

    builder: str
    environ: Mapping[str, str]
    words: Sequence[str]

    @property
    def runner(self) -> str:
        """What runs containers; podman and buildah share their images."""
        return "docker" if self.builder == "docker" else "podman"

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command; what it says on stderr belongs to a failure."""
        ended = subprocess.run(words, env=self.environ, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if check and ended.returncode != 0:
            pytest.fail(
                f"{' '.join(words)} ended with {ended.returncode}:\n{ended.stdout[-3000:]}\n{ended.stderr[-6000:]}"
            )
        return ended

    def inspect(self, image: str) -> Any:
        return json.loads(self.run(self.runner, "image", "inspect", image).stdout)[0]

    def layers(self, image: str) -> list[str]:
        return list(self.inspect(image)["RootFS"]["Layers"])


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    found = [name for name in BUILDERS if shutil.which(name)]
    builder = os.environ.get("IMAGE_BUILDER") or next(iter(sorted(found, reverse=True)), None)
    assert builder in BUILDERS, "install podman and buildah, or docker, and name it in IMAGE_BUILDER"
    folder = tmp_path_factory.mktemp("machine")
    environ = {**os.environ}
    if builder == "docker":
        return Machine(builder, environ, ())
    if not Path("/run/systemd/system").exists():
        # Without systemd there is nobody to ask for a control group; crun would need one.
        conf = folder / "containers.conf"
        conf.write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )
        environ |= {"CONTAINERS_CONF": str(conf), "BUILDAH_RUNTIME": "runc", "BUILDAH_ISOLATION": "oci"}
    write_self_wheel(folder)
    mounts = _mounts(folder)
    return Machine(
        builder, environ, ["--network=host", *(f"--volume={source}:{to}:ro" for source, to in mounts.items())]
    )


def _mounts(folder: Path) -> dict[str, str]:
    """Files and folders for the RUN steps: pip's settings, the certificates and the folders that they name.

    The wheel of the package under test is among the links, as it will be on an index once it is released.
    """
    settings = _pip_settings()
    mounts = {str(folder): str(folder)}
    bundle = next((os.environ[name] for name in BUNDLES if os.environ.get(name)), settings.get("cert"))
    lines = ["[global]", f"find-links = {folder} {settings.get('find-links', '')}"]
    if bundle:
        mounts[bundle] = IN_IMAGE_BUNDLE
        lines.append(f"cert = {IN_IMAGE_BUNDLE}")
    lines += [f"{key} = {settings[key]}" for key in PASSED_ON if key in settings]
    for word in " ".join(settings.get(key, "") for key in ("find-links", "index-url", "extra-index-url")).split():
        if word.startswith(("/", "file:")):
            # An index on a disk may hold its files beside it.
            path = Path(urlsplit(word).path)
            shared = path.parent if path.name == "simple" else path
            mounts[str(shared)] = str(shared)
    conf = folder / "pip.conf"
    conf.write_text("\n".join(lines) + "\n")
    mounts[str(conf)] = "/etc/pip.conf"
    return mounts


@pytest.fixture(scope="session")
def base(machine: Machine) -> Sequence[str]:
    """The flags that choose the base; the base itself is there."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = os.environ.get("PYTHON_BASE") or f"python:{running}-slim"
    version = name.partition("python:")[2].partition("-slim")[0] or running
    if machine.builder != "docker":
        is_short = "/" not in name
        whole = f"docker.io/library/{name}" if is_short else name
        found = [f"PYTHON_HOME={sys.base_prefix}"] if version == running else []
        machine.run("env", *found, str(Path(__file__).parent / "base"), whole, version)
    is_default = name == f"python:{version}-slim"
    return ["--set", f"image.python={version}" if is_default else f"image.base={name}"]


@dataclass(frozen=True)
class Image:
    """An image that was built, and how it answers."""

    name: str
    folder: Path
    machine: Machine
    rows: Any
    has_healthcheck: bool

    def read_healthcheck(self) -> list[str]:
        """Return the command of the image's own HEALTHCHECK."""
        image = self.machine.inspect(f"localhost/{self.name}")
        check = image.get("Healthcheck") or image["Config"]["Healthcheck"]
        return read_check(check["Test"])


@dataclass(frozen=True)
class Bakery:
    """Builds the images of the tests, each once and from a folder of its own."""

    machine: Machine
    base: Sequence[str]
    root: Path

    def build(self, folder: Path, name: str, *words: str) -> str:
        """Build a folder by the command under test; returns the image's id."""
        command = [sys.executable, "-m", "seldon_spec", "build", str(folder), "--tag", f"localhost/{name}"]
        further = [f"--builder-arg={word}" for word in self.machine.words]
        told = self.machine.run(*command, "--builder", self.machine.builder, *self.base, *further, *words)
        tag, image, *_ = told.stdout.split()
        assert tag == f"localhost/{name}"
        return image

    def build_file(self, folder: Path, name: str, file: Path) -> None:
        """Build a folder by a Dockerfile, without the command under test."""
        own = ["--format", "docker", "--layers"] if self.machine.builder != "docker" else []
        words = [*own, *self.machine.words, "--file", str(file), "--tag", f"localhost/{name}", str(folder)]
        self.machine.run(self.machine.builder, "build", *words)

    def image(self, name: str, folder: Path, *, rows: Any = None, has_healthcheck: bool = True) -> Image:
        return Image(name, folder, self.machine, rows or [[1.0, 2.0]], has_healthcheck)

    def copy(self, example: str, name: str, image: str = "") -> Path:
        """A copy of an example with the second class, trained where it trains."""
        folder = self.root / name
        shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns("*.joblib", "__pycache__"))
        (folder / "Other.py").write_text(OTHER)
        if image:
            with (folder / "seldon.yaml").open("a") as file:
                file.write(image)
        if (folder / "train.py").exists():
            self.machine.run(sys.executable, str(folder / "train.py"))
        return folder


@pytest.fixture(scope="session")
def bakery(machine: Machine, base: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Bakery:
    return Bakery(machine, base, tmp_path_factory.mktemp("folders"))


@pytest.fixture(scope="session")
def images(bakery: Bakery) -> Callable[[str], Image]:
    """Build an image by its name, once."""
    built: dict[str, Image] = {}

    def get(name: str) -> Image:
        if name not in built:
            built[name] = MAKERS[name](bakery)
        return built[name]

    return get


@dataclass(frozen=True)
class Container:
    """A container that answers on loopback."""

    name: str
    http: int
    grpc: int
    machine: Machine

    def exec(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run(self.machine.runner, "exec", self.name, *words, check=False)

    def post(self, path: str, message: Any) -> str:
        """Ask over REST; the answer's text, or the test fails with it."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}{path}", json.dumps(message).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            pytest.fail(f"{path} answered {error.code}: {error.read().decode()}")

    def predict_by_grpc(self, rows: Any) -> Any:
        command = [sys.executable, "-m", "seldon_spec", "predict", json.dumps(rows)]
        return json.loads(self.machine.run(*command, "--at", f"grpc://127.0.0.1:{self.grpc}").stdout)

    def stop(self) -> int:
        """Send SIGTERM, and SIGKILL where that did not end it in time; returns the exit code, 137 for the latter."""
        self.machine.run(self.machine.runner, "stop", "--time", str(STOP_SECONDS), self.name)
        told = self.machine.run(self.machine.runner, "inspect", "--format", "{{.State.ExitCode}}", self.name)
        return int(told.stdout)


@contextlib.contextmanager
def running(image: Image, user: str, **variables: str) -> Iterator[Container]:
    """Run an image with a read-only root, no writable folder at all and no capability, until it is ready."""
    machine = image.machine
    http, grpc, metrics = _find_free_ports(3)
    ports = {
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": http,
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": grpc,
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": metrics,
    }
    words = ["--detach", "--network=host", "--read-only", "--cap-drop=all", f"--user={user}"]
    if machine.runner == "podman":
        words.append("--read-only-tmpfs=false")
    for name, value in {**ports, **variables}.items():
        words += ["--env", f"{name}={value}"]
    name = machine.run(machine.runner, "run", *words, f"localhost/{image.name}").stdout.strip()
    container = Container(name, http, grpc, machine)
    try:
        _wait_until_ready(container)
        yield container
    finally:
        machine.run(machine.runner, "rm", "--force", name, check=False)


def _wait_until_ready(container: Container) -> None:
    end = time.monotonic() + START_SECONDS
    runner = container.machine.runner
    while time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{container.http}/ready", timeout=5).close()
            return
        state = container.machine.run(runner, "inspect", "--format", "{{.State.Running}}", container.name)
        if state.stdout.strip() != "true":
            break
    logs = container.machine.run(runner, "logs", container.name, check=False)
    pytest.fail(f"the container was not ready:\n{logs.stdout}{logs.stderr}")


def _find_free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in held]


@pytest.fixture(scope="session")
def run_container() -> Any:
    """``running``, for the tests."""
    return running
