"""The dashboard and the rules in examples/monitoring use only names and labels that a server exposes."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from seldon_spec.config.model import UnitSpec
from seldon_spec.observability.metrics import Exposition, Metrics
from seldon_spec.observability.metrics.definitions import BUILTIN

if TYPE_CHECKING:
    from tests.conftest import Serve

FOLDER = Path(__file__).parents[1] / "examples" / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
RECORDING, ALERTS = (
    [rule for group in yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    for name in ("recording.yaml", "alerts.yaml")
)
SCRAPING: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))

BY_PROMETHEUS = {"job", "instance"}
"""The labels that every series gets when it is scraped."""
OF_TABLES = {"__name__"}

Labels = dict[str, set[str]]
"""The labels of a metric's series, with their values."""


@dataclass(frozen=True)
class Selector:
    """A selector of an expression: a name, or none, and the label, operator and value of each matcher."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Expression:
    """The relevant parts of a PromQL expression: its selectors and the labels that it groups by."""

    selectors: tuple[Selector, ...]
    grouped_by: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Expression:
        grouped_by = re.findall(r"\bby\s*\(([^)]*)\)", text)
        rest = re.sub(r"\bby\s*\([^)]*\)|\[[^\]]*\]", " ", text)
        selectors = []
        for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)?\s*(?:\{([^}]*)\})", rest):
            found = re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers)
            assert len(found) == matchers.count('"') / 2, text
            selectors.append(Selector(name, tuple(found)))
        bare = re.sub(r"[a-zA-Z_:]*[\w:]*\s*\{[^}]*\}", " ", rest)
        words = re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)(?!\w|\s*\()", bare)
        selectors += [Selector(word, ()) for word in words if word not in ("and", "or", "unless")]
        return cls(tuple(selectors), tuple(label.strip() for labels in grouped_by for label in labels.split(",")))


def expressions() -> Iterator[Any]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
    for rule in (*RECORDING, *ALERTS):
        yield pytest.param(rule["expr"], id=rule.get("record") or rule["alert"])


MODEL = """
class Watched:
    def predict(self, X, names):
        return X

    def metrics(self):
        return [{"type": "COUNTER", "key": "mine", "value": 1}]
"""


def ask(port: int, body: bytes) -> int:
    """Send a prediction and return the status."""
    url = f"http://127.0.0.1:{port}/predict"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def render_graph() -> str:
    """Return the page of a graph with a split and a shadow."""
    metrics = Metrics()
    for is_shadow in (False, True):
        component = metrics.for_component(UnitSpec(id="watched"), is_shadow=is_shadow)
        component.observe("predict", "success", 0.1)
        component.observe("predict", "error", 0.1)
    metrics.count_branch("split", 0)
    metrics.count_dropped_shadow("split")
    return Exposition(metrics).render().decode()


@pytest.fixture(scope="module")
def page(serve_folder: Serve, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Labels]:
    """Return the labels of each name that a server exposes after a batch of two requests and a refused one.

    What only graphs expose is added.
    """
    folder = tmp_path_factory.mktemp("watched")
    (folder / "Watched.py").write_text(MODEL)
    # the model waits for the second request, and for no third
    server_settings = {"workers": 1, "batching": {"max_rows": 2, "max_delay_ms": 10000}}
    settings = {"class_name": "Watched", "name": "watched", "server": server_settings}
    (folder / "seldon.yaml").write_text(yaml.safe_dump(settings))
    with serve_folder(folder) as server:
        with ThreadPoolExecutor(2) as clients:
            good = b'{"data": {"ndarray": [[1, 2]]}}'
            assert list(clients.map(lambda body: ask(server.http, body), [good, good])) == [200, 200]
        assert ask(server.http, b"{") == 400
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics}/metrics", timeout=30) as response:
            text = response.read().decode() + render_graph()
    found: dict[str, Labels] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, labels = line.rpartition(" ")[0].partition("{")
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                found.setdefault(name, {}).setdefault(label, set()).add(value)
    return found


@pytest.fixture(scope="module")
def known(page: dict[str, Labels]) -> dict[str, Labels]:
    """Return all known names: those of the page, of Prometheus, and of the recording rules."""
    names: dict[str, Labels] = {"up": {}, **page}
    jobs = {job["job_name"] for job in SCRAPING["scrape_configs"]}
    for labels in names.values():
        labels.update(job=jobs, instance=set())
    for rule in RECORDING:
        expression = Expression.parse(rule["expr"])
        sources = [names[selector.name] for selector in expression.selectors if selector.name in names]
        kept = [label for label in expression.grouped_by if label != "le"]
        names[rule["record"]] = {label: set().union(*(source[label] for source in sources)) for label in kept}
    return names


@pytest.mark.parametrize("text", list(expressions()))
def test_queried_metrics_are_exposed(known: Mapping[str, Labels], text: str) -> None:
    expression = Expression.parse(text)
    assert expression.selectors
    for selector in expression.selectors:
        assert not selector.name or selector.name in known
        labels = known[selector.name or "mine_total"]
        assert set(expression.grouped_by) <= {*labels, *OF_TABLES}
        for label, operator, value in selector.matchers:
            assert label in {*labels, *OF_TABLES}
            if operator == "=" or (operator == "=~" and "$" not in value):
                assert set(value.split("|")) <= labels[label]


def test_every_family_is_drawn(page: Mapping[str, Labels]) -> None:
    own = {re.sub(r"_(bucket|count|sum)$", "", name) for name in page if name.startswith("seldon_spec_")}
    drawn = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    assert own == set(BUILTIN)
    assert [name for name in own if name not in drawn] == []


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panels_explain_themselves(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references) > 0
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert shown <= {*Expression.parse(target["expr"]).grouped_by, "instance", "worker_id"}


def test_panels_have_distinct_ids_and_positions() -> None:
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)
    cells = [
        cell
        for place in (panel["gridPos"] for panel in PANELS)
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    assert len(set(cells)) == len(cells)
    assert all(x < 24 for x, _ in cells)


def test_the_dashboard_selects_a_data_source_and_models(page: Mapping[str, Labels]) -> None:
    source, model = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    match = re.fullmatch(r"label_values\((\w+), (\w+)\)", model["query"]["query"])
    assert match is not None
    assert match[2] in page[match[1]]
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS)))
    assert used == {source["name"], model["name"], "__rate_interval"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alerts_have_a_description(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description"}
    shown = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    grouped = {*Expression.parse(rule["expr"]).grouped_by, *BY_PROMETHEUS}
    recorded = {record["record"]: Expression.parse(record["expr"]).grouped_by for record in RECORDING}
    for selector in Expression.parse(rule["expr"]).selectors:
        grouped |= set(recorded.get(selector.name, ()))
    assert shown <= grouped - {"le"}


@pytest.mark.parametrize(
    "page", [FOLDER / "README.md", FOLDER.parents[1] / "docs" / "howto" / "monitoring.md"], ids=["README", "how-to"]
)
def test_the_page_lists_the_alerts(page: Path) -> None:
    listed = re.findall(r"^\| `(SeldonSpec\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [rule["alert"] for rule in ALERTS]


def test_prometheus_finds_the_server_and_the_rules() -> None:
    assert [(FOLDER / name).exists() for name in SCRAPING["rule_files"]] == [True, True]
    (job,) = SCRAPING["scrape_configs"]
    assert (job["metrics_path"], job["static_configs"]) == ("/metrics", [{"targets": ["localhost:6000"]}])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_reads_the_configuration() -> None:
    subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=FOLDER, check=True, capture_output=True)
