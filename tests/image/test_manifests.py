"""Pods and services run exactly as the manifests describe them: users, file systems, variables, probes, shutdown."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy.compose_file import read_compose
from tests.image.makers import IRIS_ROWS, USERS
from tests.image.pods import (
    Network,
    Running,
    creating_network,
    probe,
    read_check,
    read_pod,
    read_service,
    render,
    wait_for,
    wait_until_ready,
    write_secret,
)

if TYPE_CHECKING:
    from tests.image.conftest import Image, Machine

ROWS = [[1.0, 2.0]]
TOKENS = ("from-a-variable", "from-a-file")
INNER = "between-the-components"
AUTH = 'server.auth.tokens=[{"from_env": "TOKEN"}, {"from_file": "/etc/tokens/second"}]'
APART = (
    "deployment.apart=true",
    'components.halves.server.auth.tokens=[{"from_env": "HALVES_TOKEN"}]',
    "components.doubles.ports.http=9100",
)
"""The front end and the components need different tokens, and one of the components another port."""


@pytest.fixture
def network(machine: Machine) -> Iterator[Network]:
    with creating_network(machine, f"seldon-spec-{uuid.uuid4().hex[:8]}") as network:
        yield network


def find_pods(documents: list[Any]) -> dict[str, Any]:
    """Return the templates of the pods by the names of the Deployments, which are those of the Services."""
    services = {each["metadata"]["name"] for each in documents if each["kind"] == "Service"}
    pods = {each["metadata"]["name"]: each["spec"]["template"] for each in documents if each["kind"] == "Deployment"}
    assert pods.keys() == services
    return pods


def read_ports(pod: Any) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}


@pytest.mark.parametrize("user", [None, USERS["any"]], ids=USERS)
def test_a_pod_runs_with_its_security_context_and_secrets(
    user: str | None, machine: Machine, network: Network, images: Callable[[str], Image], tmp_path: Path
) -> None:
    image = images("iris")
    documents = render(machine, image.folder, "kubernetes", f"deployment.image=localhost/{image.name}", AUTH)
    [(name, template)] = find_pods(documents).items()
    pod, secrets = template["spec"], {("iris", "TOKEN"): TOKENS[0], ("iris", "second"): TOKENS[1]}
    ports = read_ports(pod)
    with network.running(name, read_pod(pod, secrets, tmp_path, user)) as running:
        wait_until_ready(running, pod)
        assert probe(running, pod, "livenessProbe") == 200
        for token, scheme, port in zip(TOKENS, ("http", "grpc"), (ports["http"], ports["grpc"]), strict=True):
            file = tmp_path / scheme
            file.write_text(token)
            [row] = running.predict(IRIS_ROWS, scheme, port, file)["data"]["ndarray"]
            assert row.index(max(row)) == 0
        annotations = template["metadata"]["annotations"]
        path = f"{annotations['prometheus.io/port']}{annotations['prometheus.io/path']}"
        assert running.send(path)[0] == 401
        status, text = running.send(path, token=TOKENS[0])
        assert status == 200
        counts = re.findall(
            r'^seldon_spec_request_duration_seconds_count\{.*method="predict".*\} (\S+)$', text, re.MULTILINE
        )
        assert sum(map(float, counts)) == 2
        assert running.succeeds("touch", "/tmp/file")
        assert not running.succeeds("touch", "file")
        running.terminate()
        assert running.wait(pod["terminationGracePeriodSeconds"]) == 0


def test_a_terminating_pod_accepts_requests_until_no_service_sends_any(
    machine: Machine, network: Network, images: Callable[[str], Image], tmp_path: Path
) -> None:
    """The spec has no delay: the manifest sets one."""
    image = images("minimal")
    documents = render(machine, image.folder, "kubernetes", f"deployment.image=localhost/{image.name}")
    [(name, template)] = find_pods(documents).items()
    pod = template["spec"]
    variables = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    delay = float(variables["SELDON_SPEC__SERVER__SHUTDOWN__DELAY_SECONDS"])
    port, states = read_ports(pod)["http"], set[int | None]()
    with network.running(name, read_pod(pod, {}, tmp_path)) as running:
        wait_until_ready(running, pod)
        begin = time.monotonic()
        running.terminate()
        with contextlib.suppress(OSError):
            while (state := probe(running, pod, "readinessProbe")) in (200, None):
                states.add(state)
            states.add(state)
            status, body = running.send(f"{port}/predict", {"data": {"ndarray": ROWS}})
            assert (status, json.loads(body)["data"]["ndarray"]) == (200, ROWS)
            while True:
                states.add(probe(running, pod, "readinessProbe"))
        passed = time.monotonic() - begin
        assert passed >= delay > 0
        assert {503} <= states <= {200, 503, None}
        assert running.wait(pod["terminationGracePeriodSeconds"] - passed) == 0


def predict_by_chain(front: Running, ports: dict[str, int], token_file: Path) -> None:
    """Send requests through both components, which have servers of their own."""
    for scheme in ("http", "grpc"):
        message = front.predict(ROWS, scheme, ports[scheme], token_file)
        assert message["data"]["ndarray"] == ROWS
        assert message["meta"]["requestPath"].keys() == {"doubles", "halves"}


def test_the_components_of_a_graph_run_in_pods_of_their_own(
    machine: Machine, network: Network, images: Callable[[str], Image], tmp_path: Path
) -> None:
    image = images("graph")
    settings = (f"deployment.image=localhost/{image.name}", AUTH, *APART)
    pods = find_pods(render(machine, image.folder, "kubernetes", *settings))
    assert list(pods) == ["chain", "chain-doubles", "chain-halves"]
    secrets = {("chain", "TOKEN"): TOKENS[0], ("chain", "second"): TOKENS[1], ("chain", "HALVES_TOKEN"): INNER}
    token_file = tmp_path / "token"
    token_file.write_text(TOKENS[0])
    with contextlib.ExitStack() as stack:
        started = {}
        for name in reversed(pods):  # those that start later know the names of the others
            run = read_pod(pods[name]["spec"], secrets, tmp_path / name)
            started[name] = stack.enter_context(network.running(name, run))
        for name, running in started.items():
            wait_until_ready(running, pods[name]["spec"])
        predict_by_chain(started["chain"], {"http": 9000, "grpc": 5000}, token_file)


def test_the_services_of_a_compose_file_run_a_graph(
    machine: Machine, network: Network, images: Callable[[str], Image], tmp_path: Path
) -> None:
    image = images("graph")
    settings = (f"deployment.image=localhost/{image.name}", AUTH, *APART)
    [document] = render(machine, image.folder, "compose", *settings)
    whole = read_compose(yaml.safe_dump(document), {"TOKEN": TOKENS[0], "HALVES_TOKEN": INNER})
    assert [secret["file"] for secret in whole["secrets"].values()] == ["./secrets/chain/second"]
    write_secret(tmp_path / "secrets" / "chain" / "second", TOKENS[1])
    services = whole["services"]
    assert services["chain"]["depends_on"].keys() == {"chain-doubles", "chain-halves"}
    assert services["chain"]["ports"] == ["9000:9000", "5000:5000", "6000:6000"]
    with contextlib.ExitStack() as stack:
        for name in (*services["chain"]["depends_on"], "chain"):
            service = services[name]
            run = read_service(service, whole.get("secrets", {}), tmp_path)
            front = stack.enter_context(network.running(name, run))
            own = service.get("healthcheck")
            check = image.read_healthcheck() if own is None else read_check(own["test"])
            wait_for(front, functools.partial(front.succeeds, *check))
        predict_by_chain(front, {"http": 9000, "grpc": 5000}, tmp_path / "secrets" / "chain" / "second")
        front.terminate()
        assert front.wait(float(services["chain"]["stop_grace_period"].removesuffix("s"))) == 0
