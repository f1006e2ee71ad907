"""Write docs/images/dashboard.svg: panels of examples/monitoring/dashboard.json, drawn from a run of two minutes.

It serves the iris example, sends requests, scrapes the server with Prometheus (Debian package ``prometheus``), and
evaluates the queries of the panels there, as Grafana does. Train the example first.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
IMAGE = ROOT / "docs" / "images" / "dashboard.svg"
HTTP, GRPC, METRICS, PROMETHEUS = 19000, 19001, 19002, 19003
SECONDS = 120
STEP = 2
ROWS = 28
"""The height of the upper part of the dashboard that is drawn, in units of its grid."""
UNIT_X, UNIT_Y, GAP = 50, 30, 8
VARIABLES = {"$model": ".*", "$__rate_interval": "10s"}
COLORS = ("#5794f2", "#73bf69", "#ff9830", "#f2495c", "#b877d9", "#ffee52")
STYLE = """\
text { font: 12px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; fill: #ccccdc }
.title { font-size: 13px; font-weight: 600 }
.value { font-size: 40px; fill: #73bf69; text-anchor: middle }
.axis { fill: #9a9aa8; font-size: 11px }
.grid { stroke: #2c2f36 }
.panel { fill: #181b1f; stroke: #2c2f36 }
polyline { fill: none; stroke-width: 1.5 }"""


class Line(NamedTuple):
    """The values of one series, each with its time in seconds."""

    name: str
    points: Sequence[tuple[float, float]]


def send_requests(until: float) -> None:
    """Send predictions of changing load until a time; one in 25 is wrong."""
    right = json.dumps({"data": {"ndarray": [[5.1, 3.5, 1.4, 0.2]]}}).encode()
    wrong = json.dumps({"data": {"ndarray": [[5.1, 3.5]]}}).encode()
    count = 0
    while time.time() < until:
        count += 1
        headers = {"Content-Type": "application/json"}
        body = wrong if count % 25 == 0 else right
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{HTTP}/predict", body, headers)
            with urllib.request.urlopen(request, timeout=10) as response:
                response.read()
        except urllib.error.HTTPError as error:
            error.close()
        time.sleep(0.004 * (1.2 + math.sin(time.time() / 12)))


def query(path: str, **arguments: Any) -> list[dict[str, Any]]:
    """Return the result of a query of Prometheus."""
    url = f"http://127.0.0.1:{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
    with urllib.request.urlopen(url, timeout=10) as response:
        result: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return result


def read_lines(target: Mapping[str, Any], start: float, end: float) -> Iterator[Line]:
    """Evaluate a query of a panel over the run."""
    for series in query("query_range", query=_fill(target["expr"]), start=start, end=end, step=STEP):
        name = target.get("legendFormat") or ""
        for label, value in series["metric"].items():
            name = name.replace(f"{{{{{label}}}}}", value)
        points = [(float(at), float(value)) for at, value in series["values"] if value != "NaN"]
        if points:
            yield Line(name, points)


def _fill(text: str) -> str:
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    return text


def show(value: float, unit: str) -> str:
    """Return a value as the dashboard shows it."""
    if unit == "s":
        return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "bytes":
        return f"{value:.4g} B"
    return f"{value:.4g} req/s" if unit == "reqps" else f"{value:.3g}"


def draw_panel(panel: Mapping[str, Any], start: float, end: float) -> str:
    """Return a panel, with its queries evaluated."""
    place = panel["gridPos"]
    x, y = place["x"] * UNIT_X + GAP, place["y"] * UNIT_Y + GAP
    width, height = place["w"] * UNIT_X - GAP, place["h"] * UNIT_Y - GAP
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    parts = [
        f'<rect class="panel" x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>',
        f'<text class="title" x="{x + 10}" y="{y + 20}">{escape(panel["title"])}</text>',
    ]
    if panel["type"] == "stat":
        found = query("query", query=_fill(panel["targets"][0]["expr"]), time=end)
        text = show(float(found[0]["value"][1]), unit) if found else "no data"
        parts.append(f'<text class="value" x="{x + width / 2}" y="{y + height / 2 + 24}">{escape(text)}</text>')
    else:
        lines = [line for target in panel["targets"] for line in read_lines(target, start, end)]
        parts += draw_lines(lines, (x + 80, y + 34, width - 96, height - 74), (start, end), unit)
    return "\n".join(parts)


def draw_lines(
    lines: Sequence[Line], area: tuple[int, int, int, int], times: tuple[float, float], unit: str
) -> Iterator[str]:
    """Yield the grid, the lines and the legend of a chart; ``area`` is its left, top, width and height."""
    left, top, width, height = area
    highest = max((value for line in lines for _, value in line.points), default=0) or 1
    for part in range(4):
        y = top + height * part / 3
        yield f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}"/>'
        label = show(highest * (3 - part) / 3, unit)
        yield f'<text class="axis" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'
    legend = left
    for line, color in zip(lines, COLORS, strict=False):
        points = " ".join(
            f"{left + width * (at - times[0]) / (times[1] - times[0]):.1f},{top + height * (1 - value / highest):.1f}"
            for at, value in line.points
        )
        yield f'<polyline points="{points}" stroke="{color}"/>'
        yield f'<rect x="{legend}" y="{top + height + 18}" width="12" height="3" fill="{color}"/>'
        yield f'<text x="{legend + 17}" y="{top + height + 24}">{escape(line.name)}</text>'
        legend += 30 + 7 * len(line.name)


def wait_until_ready(url: str) -> None:
    """Wait for a server.

    Raises:
        TimeoutError: it does not answer within a minute.
    """
    end = time.time() + 60
    while time.time() < end:
        with suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(url)


def main() -> int:
    """Run the server, the load and Prometheus, and write the image."""
    panels = json.loads((ROOT / "examples" / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    ports = {"http": HTTP, "grpc": GRPC, "metrics": METRICS}
    flags = [word for name, port in ports.items() for word in ("--set", f"ports.{name}={port}")]
    flags += ["--set", "server.host=127.0.0.1", "--set", "server.batching.max_rows=64"]
    scrape = {"job_name": "iris", "static_configs": [{"targets": [f"127.0.0.1:{METRICS}"]}]}
    with TemporaryDirectory() as folder, ExitStack() as stack:
        settings = {"global": {"scrape_interval": "2s", "scrape_timeout": "1s"}, "scrape_configs": [scrape]}
        Path(folder, "prometheus.json").write_text(json.dumps(settings), encoding="utf-8")
        commands = [
            [sys.executable, "-m", "seldon_spec", "serve", str(ROOT / "examples" / "iris"), *flags],
            [
                *("prometheus", f"--config.file={folder}/prometheus.json", f"--storage.tsdb.path={folder}/data"),
                f"--web.listen-address=127.0.0.1:{PROMETHEUS}",
            ],
        ]
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(process.terminate)
        wait_until_ready(f"http://127.0.0.1:{HTTP}/v2/health/ready")
        wait_until_ready(f"http://127.0.0.1:{PROMETHEUS}/-/ready")
        start = time.time()
        senders = [threading.Thread(target=send_requests, args=(start + SECONDS,)) for _ in range(8)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        shown = [panel for panel in panels if panel["gridPos"]["y"] < ROWS]
        drawn = "\n".join(draw_panel(panel, start + 10, start + SECONDS) for panel in shown)
    width, height = 24 * UNIT_X + GAP, ROWS * UNIT_Y + GAP
    label = "Requests, errors, latencies and stages of a model over two minutes"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
    background = f'<rect width="{width}" height="{height}" fill="#111217"/>'
    IMAGE.write_text(f"{head}\n<style>\n{STYLE}\n</style>\n{background}\n{drawn}\n</svg>\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
