"""What ``migrate`` reads from manifests, and what it leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from seldon_spec.cli.main import run
from seldon_spec.config.loader import load
from seldon_spec.config.model import SecretRef

CLASSES = """\
class Model:
    def __init__(self, key=None, size=1): ...
    def predict(self, X, names): return X
class Both:
    def transform_input(self, X, names): return X
"""
SECRET = "parameters: {key: {from_env: API_KEY}}\n"


def _write(folder: Path, spec: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "parts.py").write_text(CLASSES)
    (folder / "seldon.yaml").write_text(spec)
    return folder


def _render(folder: Path, target: str, *options: str) -> None:
    """Replace the file of a folder by its manifest."""
    assert run(["manifest", str(folder), "--for", target, "--output", str(folder / "deployment.yaml"), *options]) == 0
    (folder / "seldon.yaml").unlink()


@pytest.mark.parametrize("target", ["kubernetes", "kserve"])
@pytest.mark.parametrize(
    ("shutdown", "delay", "grace"),
    [
        pytest.param("{}", 0, 20, id="default"),
        pytest.param("{delay_seconds: 5}", 5, 20, id="the-added-delay"),
        pytest.param("{delay_seconds: 7}", 7, 20, id="another-delay"),
        pytest.param("{grace_seconds: 3}", 0, 3, id="short-grace-period"),
        pytest.param("{grace_seconds: 8}", 0, 8, id="grace-period-of-a-short-one-with-the-delay"),
    ],
)
def test_the_added_delay_is_not_a_setting(target: str, shutdown: str, delay: int, grace: int, tmp_path: Path) -> None:
    folder = _write(tmp_path / "iris", f"class_name: parts.Model\nserver: {{shutdown: {shutdown}}}\n")
    _render(folder, target, "--all")
    assert run(["migrate", str(folder)]) == 0
    restored = load(folder, {}).server.shutdown
    assert (restored.delay_seconds, restored.grace_seconds) == (delay, grace)


@pytest.mark.parametrize("target", ["kubernetes", "kserve", "seldon"])
def test_a_secret_of_a_parameter_is_not_also_a_variable(target: str, tmp_path: Path) -> None:
    folder = _write(tmp_path / "iris", f"class_name: parts.Model\n{SECRET}")
    _render(folder, target, "--all")
    assert run(["migrate", str(folder)]) == 0
    spec = load(folder, {})
    assert spec.parameters == {"key": SecretRef(from_env="API_KEY")}
    assert spec.environment == {}


def test_a_graph_without_its_steps_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = "graph: [a, b]\ncomponents: {a: {class_name: parts.Model}, b: {class_name: parts.Model}}\n"
    folder = _write(tmp_path / "iris", spec)
    _render(folder, "kubernetes")
    assert run(["migrate", str(folder)]) == 1
    assert "the graph: its steps are only in the image: render the manifest with --all" in capsys.readouterr().err


def test_deployments_of_other_servers_are_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _write(tmp_path / "iris", "")
    (folder / "seldon.yaml").unlink()
    (folder / "web.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web\n")
    (folder / "hpa.yaml").write_text("kind: HorizontalPodAutoscaler\nspec: {{ .Values.x }}\n")
    assert run(["migrate", str(folder)]) == 1
    page = capsys.readouterr().err
    assert "no manifest of a server" in page
    assert "web.yaml" not in page


NODE = "{{name: {name}, image: x, env: [{{name: MODEL_NAME, value: parts.{kind}}}]}}"
RESOURCE = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {{name: dep}}
spec:
  predictors:
  - componentSpecs: [{{spec: {{containers: [{containers}]}}}}]
    graph: {graph}
"""
CONTAINERS = ", ".join(NODE.format(name=name, kind="Both" if name == "s" else "Model") for name in "abs")


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        pytest.param("{name: a, type: MODEL, children: [{name: b, type: MODEL}]}", "[a, b]", id="model-in-a-chain"),
        pytest.param(
            "{name: s, type: TRANSFORMER, children: [{name: a}]}", "[s, a]", id="transformer-before-the-default-type"
        ),
        pytest.param(
            "{name: s, type: OUTPUT_TRANSFORMER, children: [{name: a}]}", "[a, s]", id="output-transformer-after"
        ),
        pytest.param(
            "{name: x, implementation: AVERAGE_COMBINER, children: [{name: a}, {name: b}]}",
            "{average: [a, b]}",
            id="built-in-combiner",
        ),
        pytest.param(
            "{name: x, implementation: RANDOM_ABTEST, children: [{name: a}, {name: b}]}",
            "{split: {a: 50, b: 50}, name: x}",
            id="split-without-a-ratio",
        ),
    ],
)
def test_a_tree_is_read_in_the_order_of_its_calls(graph: str, expected: str, tmp_path: Path) -> None:
    folder = _write(tmp_path / "dep", "")
    (folder / "seldon.yaml").unlink()
    (folder / "d.yaml").write_text(RESOURCE.format(containers=CONTAINERS, graph=graph))
    run(["migrate", str(folder)])
    assert f"graph: {expected}  #" in (folder / "seldon.yaml").read_text()


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        pytest.param(
            "{name: a, type: MODEL, children: [{name: b}, {name: s}]}",
            "a has several children, of which the executor returns the first one's response",
            id="model-with-several-children",
        ),
        pytest.param(
            "{name: s, type: TRANSFORMER, children: [{name: a, type: ROUTER}]}",
            "a has no children, so that it is never called",
            id="router-without-children",
        ),
        pytest.param(
            "{name: x, implementation: RANDOM_ABTEST, children: [{name: a}, {name: b}, {name: s}]}",
            "RANDOM_ABTEST has 3 children",
            id="split-of-three",
        ),
        pytest.param(
            "{name: x, implementation: SKLEARN_SERVER, children: [{name: a}, {name: b}]}", "", id="prepackaged-server"
        ),
    ],
)
def test_a_tree_without_equivalent_steps_is_not_a_graph(
    graph: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _write(tmp_path / "dep", "")
    (folder / "seldon.yaml").unlink()
    (folder / "d.yaml").write_text(RESOURCE.format(containers=CONTAINERS, graph=graph))
    assert run(["migrate", str(folder)]) == 1
    page = capsys.readouterr().err
    assert "units match the folder: select one; nothing was written" in page
    assert reason in page
    assert not (folder / "seldon.yaml").exists()


def test_a_node_of_a_graph_can_be_selected(tmp_path: Path) -> None:
    folder = _write(tmp_path / "dep", "")
    (folder / "seldon.yaml").unlink()
    graph = "{name: s, type: TRANSFORMER, children: [{name: a}]}"
    (folder / "d.yaml").write_text(RESOURCE.format(containers=CONTAINERS, graph=graph))
    assert run(["migrate", str(folder), "--node", "s"]) == 0
    assert load(folder, {}).class_name == "parts.Both"


def test_a_component_may_have_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = _write(tmp_path / "dep", "")
    (folder / "seldon.yaml").unlink()
    _write(folder / "a", "class_name: parts_of_a.Model\n")
    (folder / "a" / "parts.py").rename(folder / "a" / "parts_of_a.py")
    containers = f"{NODE.format(name='s', kind='Both')}, {{name: a, image: x}}"
    graph = "{name: s, type: TRANSFORMER, children: [{name: a, parameters: [{name: size, type: INT, value: '3'}]}]}"
    (folder / "d.yaml").write_text(RESOURCE.format(containers=containers, graph=graph))
    assert run(["migrate", str(folder)]) == 0
    component = load(folder, {}).components["a"].spec
    assert component is not None
    assert component.folder.name == "a"
    assert component.parameters == {"size": 3}


def test_a_parameter_is_read_as_the_kubelet_sets_it(tmp_path: Path) -> None:
    """The operator puts parameters into a variable, in which two dollar signs are one."""
    folder = _write(tmp_path / "dep", "")
    (folder / "seldon.yaml").unlink()
    parameters = "[{name: size, type: STRING, value: '$$$$ $ $$'}]"
    graph = f"{{name: s, type: MODEL, parameters: {parameters}}}"
    (folder / "d.yaml").write_text(RESOURCE.format(containers=NODE.format(name="s", kind="Model"), graph=graph))
    assert run(["migrate", str(folder)]) == 0
    assert load(folder, {}).parameters == {"size": "$$ $ $"}
