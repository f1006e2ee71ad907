"""Containers as a cluster or Compose runs them: what a manifest contains becomes flags of podman or docker."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.image.conftest import Machine

START_SECONDS = 60

RESTRICTED = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
"""The security context that the flags below stand for, apart from the user; the profile is the runtime's default."""
FLAGS = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
POD_KEYS = {
    "automountServiceAccountToken",
    "enableServiceLinks",
    "terminationGracePeriodSeconds",
    "securityContext",
    "containers",
    "volumes",
}
CONTAINER_KEYS = {
    "name",
    "image",
    "args",
    "ports",
    "env",
    "readinessProbe",
    "livenessProbe",
    "securityContext",
    "volumeMounts",
}
SERVICE_KEYS = {
    "image",
    "command",
    "environment",
    "secrets",
    "ports",
    "healthcheck",
    "depends_on",
    "user",
    "read_only",
    "tmpfs",
    "cap_drop",
    "security_opt",
    "restart",
    "stop_grace_period",
    "deploy",
    "labels",
}
"""The keys that the functions below understand: a manifest with another one needs a test of what it means."""

Secrets = Mapping[tuple[str, str], str]
"""Values by the names of a Secret and a key."""


@dataclass(frozen=True)
class Run:
    """What is run.

    Attributes:
        flags: of the command ``run``.
        words: instead of the command of the image; empty: none.
    """

    image: str
    flags: Sequence[str]
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Running:
    """A container with an address of its own."""

    id: str
    address: str
    machine: Machine

    def send(self, url: str, message: Any = None, *, token: str | None = None, timeout: float = 30) -> tuple[int, str]:
        """Return the status and the body of a response; the URL has the port and the path. A message is posted."""
        headers = {"Content-Type": "application/json"} if token is None else {"Authorization": f"Bearer {token}"}
        body = None if message is None else json.dumps(message).encode()
        request = urllib.request.Request(f"http://{self.address}:{url}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def predict(self, rows: Any, scheme: str, port: int, token_file: Path | None = None) -> Any:
        """Return the response to a prediction over ``http`` or ``grpc``."""
        command = [sys.executable, "-m", "seldon_spec", "predict", json.dumps(rows)]
        credentials = [] if token_file is None else ["--token-file", str(token_file)]
        done = self.machine.run(*command, "--at", f"{scheme}://{self.address}:{port}", *credentials)
        return json.loads(done.stdout)

    def succeeds(self, *words: str) -> bool:
        """Return whether a command in the container succeeds."""
        return self.machine.run(self.machine.runner, "exec", self.id, *words, check=False).returncode == 0

    def terminate(self) -> None:
        self.machine.run(self.machine.runner, "kill", "--signal=TERM", self.id)

    def wait(self, seconds: float) -> int:
        """Wait for the end, at most some seconds; returns the exit code."""
        done = self.machine.run("timeout", f"{seconds:.0f}", self.machine.runner, "wait", self.id)
        return int(done.stdout)


@dataclass(frozen=True)
class Network:
    """A network of containers, in which each has an address and can listen on any port."""

    name: str
    machine: Machine
    hosts: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def running(self, name: str, run: Run) -> Iterator[Running]:
        """Run a container whose name those that start later can resolve, as the name of a Service or in Compose."""
        runner = self.machine.runner
        words = [runner, "run", "--detach", f"--network={self.name}", *run.flags]
        words += [f"--add-host={name}:{address}" for name, address in self.hosts.items()]
        if runner == "podman":
            words.append("--read-only-tmpfs=false")
        container = self.machine.run(*words, run.image, *run.words).stdout.strip()
        try:
            template = f'{{{{(index .NetworkSettings.Networks "{self.name}").IPAddress}}}}'
            address = self.machine.run(runner, "inspect", "--format", template, container).stdout.strip()
            self.hosts[name] = address
            yield Running(container, address, self.machine)
        finally:
            self.hosts.pop(name, None)
            self.machine.run(runner, "rm", "--force", container, check=False)


@contextlib.contextmanager
def creating_network(machine: Machine, name: str) -> Iterator[Network]:
    machine.run(machine.runner, "network", "create", name)
    try:
        yield Network(name, machine)
    finally:
        machine.run(machine.runner, "network", "rm", name, check=False)


def render(machine: Machine, folder: Path, target: str, *settings: str) -> list[Any]:
    """Return the documents of the manifest of a folder."""
    flags = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "seldon_spec", "manifest", str(folder), "--for", target, *flags]
    return list(yaml.safe_load_all(machine.run(*command).stdout))


def read_pod(pod: Any, secrets: Secrets, folder: Path, user: str | None = None) -> Run:
    """Return what a kubelet runs for a pod.

    Args:
        pod: the specification.
        secrets: of the cluster.
        folder: for the files of volumes.
        user: replaces the one of the pod, as OpenShift does.
    """
    [container] = pod["containers"]
    assert pod.keys() <= POD_KEYS
    assert container.keys() <= CONTAINER_KEYS
    context = {**pod["securityContext"], **container["securityContext"]}
    own = context.pop("runAsUser")
    assert context == RESTRICTED
    assert own != 0
    flags = [*FLAGS, f"--user={user or own}"]
    flags += [f"--env={each['name']}={_read_variable(each, secrets)}" for each in container.get("env", ())]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    flags += [_mount(volumes[mount["name"]], mount, secrets, folder) for mount in container["volumeMounts"]]
    return Run(container["image"], flags, container.get("args", ()))


def _read_variable(variable: Any, secrets: Secrets) -> str:
    if "value" in variable:
        return str(variable["value"])
    reference = variable["valueFrom"]["secretKeyRef"]
    return secrets[reference["name"], reference["key"]]


def _mount(volume: Any, mount: Any, secrets: Secrets, folder: Path) -> str:
    if "emptyDir" in volume:
        return f"--mount=type=tmpfs,destination={mount['mountPath']},tmpfs-mode=1777"
    files = folder / volume["name"]
    for source in volume["projected"]["sources"]:
        for item in source["secret"]["items"]:
            write_secret(files / item["path"], secrets[source["secret"]["name"], item["key"]])
    assert mount["readOnly"] is True
    return f"--volume={files}:{mount['mountPath']}:ro"


def write_secret(path: Path, text: str) -> None:
    """Write a file that any user can read."""
    for folder in reversed([*path.parents][:2]):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def read_service(service: Any, files: Mapping[str, Any], folder: Path) -> Run:
    """Return what Compose runs for a service.

    Args:
        service: with interpolated values.
        files: the key ``secrets`` of the Compose file.
        folder: of the Compose file.
    """
    assert service.keys() <= SERVICE_KEYS
    flags = [f"--user={service['user']}"]
    if service["read_only"]:
        flags.append("--read-only")
    flags += [f"--tmpfs={path}" for path in service["tmpfs"]]
    flags += [f"--cap-drop={name}" for name in service["cap_drop"]]
    flags += [f"--security-opt={option}" for option in service["security_opt"]]
    flags += [f"--env={name}={value}" for name, value in service.get("environment", {}).items()]
    for secret in service.get("secrets", ()):
        flags.append(f"--volume={folder / files[secret['source']]['file']}:{secret['target']}:ro")
    return Run(service["image"], flags, service.get("command", ()))


def read_check(test: Sequence[Any]) -> list[str]:
    """Return the command of a health check, as images and Compose files have it."""
    kind, *words = test
    assert kind == "CMD"
    return [str(word) for word in words]


def probe(running: Running, pod: Any, name: str) -> int | None:
    """Return the status that a kubelet gets for a probe; None: no response in time.

    Raises:
        OSError: no connection.
    """
    [container] = pod["containers"]
    check = container[name]["httpGet"]
    assert check.keys() == {"path", "port"}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    try:
        return running.send(f"{ports[check['port']]}{check['path']}", timeout=container[name]["timeoutSeconds"])[0]
    except TimeoutError:
        return None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return None
        raise


def wait_until_ready(running: Running, pod: Any) -> None:
    def is_ready() -> bool:
        with contextlib.suppress(OSError):
            return probe(running, pod, "readinessProbe") == 200
        return False

    wait_for(running, is_ready)


def wait_for(running: Running, is_ready: Callable[[], bool]) -> None:
    """Wait until a container is ready; the test fails with its log if it is not in time, or ends."""
    runner, end = running.machine.runner, time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if is_ready():
            return
        state = running.machine.run(runner, "inspect", "--format", "{{.State.Running}}", running.id)
        if state.stdout.strip() != "true":
            break
    logs = running.machine.run(runner, "logs", running.id, check=False)
    pytest.fail(f"the container was not ready:\n{logs.stdout}{logs.stderr}")
