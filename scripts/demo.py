"""Serve the iris example on free ports, ask it over REST and over gRPC, and stop it: what ``make demo`` runs last.

The folder of the trained example is the argument; without one it is examples/iris.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

IRIS = Path(__file__).parents[1] / "examples" / "iris"
SELDON_SPEC = [sys.executable, "-m", "seldon_spec"]
START_SECONDS = 60
STOP_SECONDS = 30
FLOWERS = {
    "short petals": [5.1, 3.5, 1.4, 0.2],
    "middling petals": [5.9, 3.0, 4.2, 1.5],
    "long petals": [6.3, 3.3, 6.0, 2.5],
}


def find_free_ports(count: int) -> list[int]:
    """Find free loopback ports; all are held until the last is found, so they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in held]
    for each in held:
        each.close()
    return ports


def start_server(folder: Path, ports: list[int], log: IO[str]) -> subprocess.Popen[str]:
    """Start ``seldon-spec serve`` on the ports for HTTP, gRPC and metrics; what it logs goes to ``log``."""
    http, grpc, metrics = ports
    settings = ["server.host=127.0.0.1", f"ports.http={http}", f"ports.grpc={grpc}", f"ports.metrics={metrics}"]
    flags = [word for setting in settings for word in ("--set", setting)]
    command = [*SELDON_SPEC, "serve", str(folder), *flags]
    return subprocess.Popen(command, stderr=log, text=True)


def wait_until_ready(server: subprocess.Popen[str], http: int) -> float:
    """Poll ``/ready`` until it returns 200, and return the seconds that this took.

    Raises:
        RuntimeError: the server ended, or was not ready within START_SECONDS.
    """
    start = time.monotonic()
    while time.monotonic() - start < START_SECONDS:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/ready", timeout=5):
                return time.monotonic() - start
        except (urllib.error.URLError, OSError):
            pass
        try:
            raise RuntimeError(f"the server ended with exit code {server.wait(timeout=0.05)}")
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError(f"the server was not ready after {START_SECONDS} seconds")


def ask(url: str) -> None:
    """Request predictions for all flowers from the server at ``url`` and print them as a table."""
    rows = json.dumps(list(FLOWERS.values()))
    result = subprocess.run([*SELDON_SPEC, "predict", rows, "--at", url], stdout=subprocess.PIPE, text=True, check=True)
    data = json.loads(result.stdout)["data"]
    print(f"\n{url}")
    print(" " * 18 + "".join(f"{kind:>12}" for kind in data["names"]))
    for flower, probabilities in zip(FLOWERS, data["ndarray"], strict=True):
        likeliest = data["names"][probabilities.index(max(probabilities))]
        print(f"  {flower:<16}" + "".join(f"{each:>12.1%}" for each in probabilities) + f"   -> {likeliest}")


def stop_server(server: subprocess.Popen[str]) -> int:
    """Send SIGTERM, as a container engine does, and return the exit code."""
    server.send_signal(signal.SIGTERM)
    try:
        return server.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


def main(folder: Path) -> int:
    """Run the demo; return 0 if all requests succeeded and the server exited cleanly."""
    ports = find_free_ports(3)
    http, grpc, _ = ports
    with tempfile.TemporaryFile("w+") as log:
        server = start_server(folder, ports, log)
        try:
            print(f"{folder.name} is ready after {wait_until_ready(server, http):.1f} seconds")
            ask(f"http://127.0.0.1:{http}")
            ask(f"grpc://127.0.0.1:{grpc}")
            failure = None
        except (RuntimeError, subprocess.CalledProcessError, KeyError, ValueError) as error:
            failure = error
        finally:
            code = stop_server(server)
        if failure is None and code == 0:
            print("\nThe server stopped on SIGTERM with exit code 0.")
            return 0
        log.seek(0)
        print(f"{failure or f'the server ended with exit code {code}'}; its log:\n{log.read()}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else IRIS))
