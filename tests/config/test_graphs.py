"""Graphs: the components meet their own files, their entries, variables and flags; the steps follow from both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.cli.main import run
from seldon_spec.config.graph import (
    CallStep,
    ChainStep,
    CombineStep,
    Method,
    RouteStep,
    ShadowStep,
    SplitStep,
    Step,
    describe_step,
    list_components,
    walk_steps,
)
from seldon_spec.config.graph_steps import GraphCompiler
from seldon_spec.config.graph_uses import Role, find_uses
from seldon_spec.config.loader import LoadOptions, load
from seldon_spec.config.model import ComponentSpec, PortsSpec, SecretRef, ServiceType, Spec
from seldon_spec.config.schema.lookup import split_path
from seldon_spec.config.secrets import join_environments, prepare_to_load
from seldon_spec.errors import DEFAULT_ORIGIN, OriginKind, Severity, SpecError

PARTS = Path(__file__).parents[1] / "cases" / "graph_parts.py"
MODEL = "class Model:\n    def __init__(self, threshold: float = 0.5, label: str = ''): ...\n    predict = None\n"
TYPES = {
    "iris": ("Model", "MODEL"), "iris-2": ("Model", "MODEL"), "bandit": ("Router", "ROUTER"),
    "mean": ("Combiner", "COMBINER"), "scaler": ("Both", "TRANSFORMER"), "labels": ("Both", "TRANSFORMER"),
    "detector": ("Detector", "OUTLIER_DETECTOR"),
}  # fmt: skip
ENTRIES: dict[str, Any] = {
    name: {"class_name": f"parts.{each}", "service_type": kind} for name, (each, kind) in TYPES.items()
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a folder of a component, and a module with classes."""
    (tmp_path / "parts.py").write_text(PARTS.read_text())
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "Model.py").write_text(MODEL)
    (tmp_path / "iris" / "seldon.yaml").write_text(
        "class_name: Model\nname: iris\nversion: '1.0'\nparameters: {threshold: 0.1}\ninputs: [a, b]\noutputs: [c]\n"
    )
    return tmp_path


def _load(
    folder: Path,
    tree: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    flags: Mapping[Any, str] | None = None,
) -> Spec:
    (folder / "seldon.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return load(folder, environ or {}, flags)


def _of(spec: Spec, *names: str) -> Spec:
    """Return the spec of a component, or of a component of it."""
    for name in names:
        inner = spec.components[name].spec
        assert inner is not None
        spec = inner
    return spec


def _call(name: str, method: Method = Method.PREDICT) -> CallStep:
    return CallStep(name, method)


IN, OUT = Method.TRANSFORM_INPUT, Method.TRANSFORM_OUTPUT
IRIS, IRIS_2 = _call("iris"), _call("iris-2")

GRAPHS: list[tuple[str, Any, Step]] = [
    ("name", "iris", IRIS),
    ("chain-of-one", ["iris"], IRIS),
    ("chain", ["scaler", "iris", "labels"], ChainStep((_call("scaler", IN), IRIS, _call("labels", OUT)))),
    ("same-object", ["scaler", "iris", "scaler"], ChainStep((_call("scaler", IN), IRIS, _call("scaler", OUT)))),
    ("route", {"route": "bandit", "to": ["iris", "iris-2"]}, RouteStep("bandit", "bandit", (IRIS, IRIS_2))),
    ("split", {"split": {"iris": 9, "iris-2": 1}}, SplitStep("split", (9, 1), (IRIS, IRIS_2))),
    (
        "split-list",
        {"split": [1, 2.5], "to": ["iris", ["scaler", "iris-2"]], "by": "X-User", "name": "ab"},
        SplitStep("ab", (1, 2.5), (IRIS, ChainStep((_call("scaler", IN), IRIS_2))), "X-User"),
    ),
    ("combine", {"combine": "mean", "of": ["iris", "iris-2"]}, CombineStep("combine", "mean", (IRIS, IRIS_2))),
    ("average", {"average": ["iris", "iris-2"]}, CombineStep("average", None, (IRIS, IRIS_2))),
    ("shadow", {"predict": "iris", "shadow": "iris-2", "shadow_percent": 5}, ShadowStep(IRIS, IRIS_2, 5)),
    (
        "shadow-of-split",
        {"split": {"iris": 1, "iris-2": 1}, "shadow": ["scaler", "iris"]},
        ShadowStep(SplitStep("split", (1, 1), (IRIS, IRIS_2)), ChainStep((_call("scaler", IN), IRIS))),
    ),
    ("explicit", [{"transform_output": "scaler"}, {"predict": "iris"}], ChainStep((_call("scaler", OUT), IRIS))),
    (
        "before-branches",
        ["scaler", {"average": ["labels", "iris"]}, "labels"],
        ChainStep((_call("scaler", IN), CombineStep("average", None, (_call("labels", OUT), IRIS)), _call("labels", OUT))),
    ),
    (
        "chain-around",
        [{"average": [["iris", "scaler"], "iris-2"]}, "iris"],
        ChainStep((CombineStep("average", None, (ChainStep((IRIS, _call("scaler", IN))), IRIS_2)), IRIS)),
    ),
    (
        "default-names",
        [{"split": {"iris": 1, "iris-2": 1}}, {"split": {"iris": 1, "iris-2": 1}}, {"average": ["iris", "iris-2"]},
         {"average": ["iris", "iris-2"], "name": "split-2"}],
        ChainStep((
            SplitStep("split", (1, 1), (IRIS, IRIS_2)), SplitStep("split-3", (1, 1), (IRIS, IRIS_2)),
            CombineStep("average", None, (IRIS, IRIS_2)), CombineStep("split-2", None, (IRIS, IRIS_2)),
        )),
    ),
    ("detector-alone", ["detector"], _call("detector")),
    ("detector", ["detector", "iris"], ChainStep((_call("detector", IN), IRIS))),
]  # fmt: skip


@pytest.mark.parametrize(("graph", "steps"), [each[1:] for each in GRAPHS], ids=[each[0] for each in GRAPHS])
def test_a_graph_is_compiled_to_steps(folder: Path, graph: Any, steps: Step) -> None:
    names = list_components(steps)
    spec = _load(folder, {"graph": graph, "components": {name: ENTRIES[name] for name in names}})
    assert spec.graph == steps
    assert list(spec.components) == names
    assert (spec.class_name, spec.service_type, spec.diagnostics) == (None, ServiceType.MODEL, ())


def test_the_values_of_a_component_come_from_its_file_its_entry_variables_and_flags(folder: Path) -> None:
    tree = {"graph": ["iris", "other"], "components": {"other": {"path": "iris", "parameters": {"threshold": 0.2}}}}
    environ = {
        "SELDON_SPEC__COMPONENTS__IRIS__PARAMETERS__THRESHOLD": "0.3",
        "SELDON_SPEC__COMPONENTS__IRIS__PARAMETERS__LABEL": "5",
        "SELDON_SPEC__COMPONENTS__OTHER__PARAMETERS__THRESHOLD": "0.4",
        "MODEL_NAME": "", "SELDON_SPEC__SERVER__WORKERS": "3", "PREDICTIVE_UNIT_ID": "front", "PREDICTOR_ID": "p",
    }  # fmt: skip
    spec = _load(folder, tree, environ, {("components", "other", "parameters", "threshold"): "0.5"})
    iris, other = _of(spec, "iris"), _of(spec, "other")
    assert iris.parameters == {"threshold": 0.3, "label": "5"}  # label is annotated as text
    assert other.parameters == {"threshold": 0.5}
    assert (spec.server.workers, iris.server.workers) == (3, 1)
    assert (spec.unit.id, iris.unit.id, other.unit.id) == ("front", "iris", "other")
    assert (iris.unit.image, iris.unit.name, iris.unit.version) == ("iris:1.0", "iris", "1.0")
    assert iris.unit.predictor_id == "p"
    origins = [other.origin("parameters", "threshold")]
    while origins[-1].below is not None:
        origins.append(origins[-1].below)
    assert [str(each) for each in origins] == [
        "--set components.other.parameters.threshold",
        "SELDON_SPEC__COMPONENTS__OTHER__PARAMETERS__THRESHOLD",
        f"{folder}/seldon.yaml:8:18",
        f"{folder}/iris/seldon.yaml:4:25",
    ]
    assert [each.replaced for each in origins] == [0.4, 0.2, 0.1, None]
    assert iris.origin("version").kind is OriginKind.FILE


ENTRY_TEXTS = [
    ("path", "./iris", None), ("url", "http://iris:9000", "http://iris:9000"),
    ("json", '{"url": "grpc://iris", "service_type": "ROUTER"}', "grpc://iris"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "url"), [each[1:] for each in ENTRY_TEXTS], ids=[each[0] for each in ENTRY_TEXTS])
def test_a_variable_sets_the_whole_entry(folder: Path, text: str, url: str | None) -> None:
    spec = _load(folder, {"graph": {"predict": "iris"}}, {"SELDON_SPEC__COMPONENTS__IRIS": text} if url != "grpc://iris" else {
        "SELDON_SPEC__COMPONENTS__IRIS": text, "SELDON_SPEC__COMPONENTS__IRIS__SERVICE_TYPE": "MODEL",
    })  # fmt: skip
    assert spec.components["iris"].url == url
    assert _of(spec, "iris").class_name == "Model"


WRONG_SETTINGS = [
    ("graph-not-json", "SELDON_SPEC__GRAPH", "[scaler", "graph-name", "in JSON"),
    ("graph-unknown", "SELDON_SPEC__GRAPH", '["scaler", "irsi"]', "unknown-component", '"iris"'),
    ("graph-schema", "SELDON_SPEC__GRAPH", '[{"predict": "iris", "shadow_percent": 200}]', "range", None),
    ("graph-role", "--set graph", '["bandit", "iris"]', "graph-role", "route: bandit"),
    ("part-of-a-chain", "--set graph[0]", "iris", "unknown-key", "as a whole"),
    ("part-of-no-split", "SELDON_SPEC__GRAPH__SPLIT__IRIS", "5", "unknown-key", "as a whole"),
    ("unknown-component", "SELDON_SPEC__COMPONENTS__IRIS_3__VERSION", "5", "unknown-component", '"iris"'),
    ("underscore", "--set components.iris_3.version", "5", "unknown-component", '"iris"'),
    ("no-component", "SELDON_SPEC__COMPONENTS__", "5", "unknown-variable", "SELDON_SPEC__COMPONENTS?"),
    ("unused", "SELDON_SPEC__COMPONENTS", '{"new": "iris"}', "graph-unused", None),
    ("misspelt", "--set componets.iris.version", "5", "unknown-key", '"components"'),
    ("wrong-type", "SELDON_SPEC__COMPONENTS__IRIS__SERVICE_TYPE", "ROUTR", "enum", '"ROUTER"'),
    ("secret", "SELDON_SPEC__COMPONENTS__IRIS__URL", "http://u:hunter2@iris", "form", None),
    ("secrets", "SELDON_SPEC__COMPONENTS", '{"iris": {"token": "hunter2", "pth": "x"}}', "unknown-key", None),
]


@pytest.mark.parametrize(
    ("name", "text", "code", "remedy"), [each[1:] for each in WRONG_SETTINGS], ids=[each[0] for each in WRONG_SETTINGS]
)
def test_a_wrong_variable_or_flag_is_reported_once_by_its_name(
    folder: Path, name: str, text: str, code: str, remedy: str | None
) -> None:
    tree = {"graph": ["scaler", "iris"], "components": {"scaler": ENTRIES["scaler"], "bandit": ENTRIES["bandit"]}}
    flags = {split_path(name.removeprefix("--set ").replace("[0]", ".0")): text} if name.startswith("--") else {}
    (folder / "seldon.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    try:
        findings = load(folder, {} if flags else {name: text}, flags).diagnostics
    except SpecError as error:
        findings = error.diagnostics
    (found,) = (each for each in findings if each.origin.kind is not OriginKind.FILE)
    assert (found.origin.name, found.code) == (name, code)
    assert (remedy or "") in (found.help or "")
    assert {each.code for each in findings} <= {code, "graph-unused"}
    assert "hunter2" not in repr(findings)


def test_variables_set_the_graph_and_all_components(folder: Path) -> None:
    environ = {
        "SELDON_SPEC__GRAPH": '["scaler", {"average": ["iris", "iris-2"]}]',
        "SELDON_SPEC__COMPONENTS": json.dumps({n: ENTRIES[n] for n in ("scaler", "iris-2")}),
    }
    spec = _load(folder, {"graph": "iris", "components": {"iris-2": {"parameters": {"threshold": 3}}}}, environ)
    assert spec.graph == ChainStep((_call("scaler", IN), CombineStep("average", None, (IRIS, IRIS_2))))
    assert _of(spec, "iris-2").parameters == {"threshold": 3}
    assert spec.origin("graph").name == "SELDON_SPEC__GRAPH"
    assert _of(spec, "scaler").origin("class_name").name == "SELDON_SPEC__COMPONENTS"


def test_a_graph_inside_a_graph_is_a_model_with_components(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "seldon.yaml").write_text("graph: {average: [iris, bandit]}\ncomponents: {iris: ../iris}\n")
    inner = {
        "bandit": {"url": "http://b", "service_type": "MODEL"},
        "iris": {"parameters": {"threshold": 7}, "version": "2"},
    }
    tree = {"graph": ["scaler", "inner"], "components": {"scaler": ENTRIES["scaler"], "inner": {"components": inner}}}
    environ = {"SELDON_SPEC__COMPONENTS__INNER__COMPONENTS__IRIS__PARAMETERS__LABEL": "x"}
    spec = _load(folder, tree, environ, {("components", "inner", "components", "bandit", "url"): "https://c"})
    assert spec.graph == ChainStep((_call("scaler", IN), _call("inner")))
    nested = _of(spec, "inner")
    assert nested.name == "inner"
    assert nested.graph == CombineStep("average", None, (IRIS, _call("bandit")))
    assert _of(nested, "iris").parameters == {"threshold": 7, "label": "x"}
    assert _of(nested, "iris").unit.image == "iris:2"
    assert nested.components["bandit"].url == "https://c"
    assert spec.components["inner"].service_type is ServiceType.MODEL
    assert spec.components["inner"].has_feedback


def test_inputs_and_outputs_are_those_of_the_first_and_the_last_component(folder: Path) -> None:
    components = {"other": "iris", **{name: ENTRIES[name] for name in ("scaler", "mean")}}
    graph = [{"average": ["iris", "scaler"]}, {"split": {"other": 1, "scaler": 1}}]
    spec = _load(folder, {"graph": graph, "components": {k: components[k] for k in ("other", "scaler")}})
    declared = _of(spec, "iris")
    assert (spec.inputs, spec.outputs) == (declared.inputs, declared.outputs)
    combined = {"combine": "mean", "of": ["iris", "other"]}
    spec = _load(folder, {"graph": combined, "components": {k: components[k] for k in ("other", "mean")}})
    assert (spec.inputs, spec.outputs) == (declared.inputs, ())
    spec = _load(folder, {"graph": "iris", "inputs": ["x", "y"]})
    assert [column.name for column in spec.inputs[0].columns] == ["x", "y"]
    assert spec.outputs == declared.outputs
    remote = {"iris": {"url": "http://iris"}}
    assert _load(folder, {"graph": "iris", "components": remote}).inputs == declared.inputs


FEEDBACK: list[tuple[str, Any, bool]] = [
    ("class-without", {"class_name": "parts.Model"}, False),
    ("class-with", {"class_name": "parts.Router", "service_type": "ROUTER"}, True),
    ("remote-model", {"url": "http://a", "service_type": "MODEL"}, True),
    ("remote-router", {"url": "http://a", "service_type": "ROUTER"}, True),
    ("remote-combiner", {"url": "http://a", "service_type": "COMBINER"}, False),
    ("remote-with-class", {"url": "http://a", "class_name": "parts.Model"}, False),
]


@pytest.mark.parametrize(("entry", "expected"), [each[1:] for each in FEEDBACK], ids=[each[0] for each in FEEDBACK])
def test_feedback_is_sent_to_classes_that_take_it(folder: Path, entry: Any, *, expected: bool) -> None:
    kind = entry.get("service_type", "MODEL")
    graph = {"ROUTER": {"route": "x", "to": ["iris", "iris"]}, "COMBINER": {"combine": "x", "of": ["iris", "iris"]}}
    spec = _load(folder, {"graph": graph.get(kind, "x"), "components": {"x": entry}})
    assert spec.components["x"].has_feedback is expected
    assert spec.components["x"].service_type.value == kind


def test_a_remote_component_has_the_keys_of_its_entry(folder: Path) -> None:
    entry = {"url": "grpcs://iris:5000", "service_type": "MODEL", "timeout_seconds": 2, "ca": "ca.pem",
             "token": {"from_env": "TOKEN"}}  # fmt: skip
    spec = _load(folder, {"graph": "x", "components": {"x": entry}})
    assert spec.components["x"] == ComponentSpec(
        ServiceType.MODEL, None, "grpcs://iris:5000", 2, SecretRef("TOKEN"), str(folder / "ca.pem"), has_feedback=True
    )
    assert prepare_to_load(spec, {"TOKEN": "t"}).components["x"].token == "t"


def test_secrets_of_all_components_are_resolved_and_missing_ones_reported(folder: Path) -> None:
    nested = {"graph": "deep", "components": {"deep": {
        "class_name": "parts.Model", "parameters": {"threshold": {"from_env": "A"}}, "environment": {"KEY": {"from_env": "B"}},
    }}}  # fmt: skip
    remote = {"class_name": "parts.Model", "url": "http://x", "parameters": {"threshold": {"from_env": "NOT_NEEDED"}}}
    spec = _load(
        folder,
        {
            "graph": ["nested", "remote"],
            "environment": {"MODE": "x"},
            "components": {"nested": nested, "remote": remote},
        },
    )
    prepared = prepare_to_load(spec, {"A": "one", "B": "two"})
    assert _of(prepared, "nested", "deep").parameters == {"threshold": "one"}
    assert join_environments(prepared) == {"MODE": "x", "KEY": "two"}
    with pytest.raises(SpecError) as caught:
        prepare_to_load(spec, {})
    assert [d.code for d in caught.value.diagnostics] == ["unread-secret", "unread-secret"]


def test_secrets_without_effect_on_a_component_are_not_needed(folder: Path) -> None:
    file = folder / "iris" / "seldon.yaml"
    references = "server: {auth: {tokens: [{from_env: A}]}}\nflask: {SECRET_KEY: {from_env: A}}\n"
    file.write_text(file.read_text() + references)
    spec = _load(folder, {"graph": "iris", "components": {"iris": {"token": {"from_env": "A"}}}})
    assert prepare_to_load(spec, {}).components["iris"].token == SecretRef("A")
    with pytest.raises(SpecError, match="A"):  # served alone, they are
        prepare_to_load(_of(spec, "iris"), {})


def test_a_missing_argument_stops_only_components_of_this_process(folder: Path) -> None:
    (folder / "parts.py").write_text(
        "class Model:\n    def __init__(self, needed): ...\n    def predict(self, X): ...\n"
    )
    tree: dict[str, Any] = {"graph": "x", "components": {"x": {"class_name": "parts.Model"}}}
    with pytest.raises(SpecError, match="needed"):
        prepare_to_load(_load(folder, tree), {})
    tree["components"]["x"]["url"] = "http://x"
    assert prepare_to_load(_load(folder, tree), {}).components["x"].url == "http://x"


def test_the_digest_changes_with_the_file_of_a_component(folder: Path) -> None:
    before = _load(folder, {"graph": "iris"}).digest
    assert _load(folder, {"graph": "iris"}, {"SELDON_SPEC__COMPONENTS__IRIS__VERSION": "9"}).digest == before
    file = folder / "iris" / "seldon.yaml"
    file.write_text(file.read_text().replace("0.1", "0.2"))
    assert load(folder, {}).digest != before


def test_show_lists_the_graph_and_every_component(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    iris = {"parameters": {"threshold": 0.2}}
    remote = {"url": "https://r", "service_type": "MODEL", "token": {"from_env": "T"}}
    tree = {
        "graph": ["scaler", {"split": {"iris": 9, "remote": 1}}],
        "components": {"scaler": ENTRIES["scaler"], "iris": iris, "remote": remote},
    }
    _load(folder, tree)
    assert run(["show", str(folder)]) == 0
    text = capsys.readouterr().out
    file = folder / "seldon.yaml"
    for line in (
        f"name = {json.dumps(folder.name.replace('_', '-'))}  <- from the folder ({file}:2:1)",
        "graph = [{transform_input: scaler}, {split: [9.0, 1.0], to: [iris, remote], name: split}]  <- ",
        'components.scaler.service_type = "TRANSFORMER"  <- ',
        f"components.iris.parameters.threshold = 0.2  <- {file}:12:18 ({folder}/iris/seldon.yaml:4:25 said 0.1)",
        'components.iris.server.validate_requests = "reject"  <- default',
        'components.remote.url = "https://r"  <- ',
        'components.remote.token = {"from_env": "T"}  <- ',
    ):
        assert line in text
    assert "class_name = null" not in text
    assert run(["show", str(folder), "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["spec"]["graph"][0] == {"transform_input": "scaler"}
    assert shown["spec"]["components"]["iris"]["parameters"] == {"threshold": 0.2}
    assert shown["origins"]["components.iris.parameters.threshold"]["above"]["name"] == f"{folder}/iris/seldon.yaml"


def test_a_graph_in_an_entry_has_the_name_of_its_component(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nested = {"graph": "deep", "components": {"deep": ENTRIES["iris"]}}
    spec = _load(folder, {"graph": ["first", "second"], "components": {"first": nested, "second": nested}})
    assert (_of(spec, "first").name, _of(spec, "second").name) == ("first", "second")
    assert run(["show", str(folder)]) == 0
    assert 'components.second.name = "second"  <- from the key in components (' in capsys.readouterr().out


def test_show_hides_secrets_of_components(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner = {
        "graph": "deep",
        "components": {"deep": {"class_name": "parts.Any", "parameters": {"password": "hunter2"}}},
    }
    remote = {"url": "https://user:hunter2@r", "service_type": "MODEL", "token": "hunter2hunter2"}
    (folder / "parts.py").write_text(
        "class Any:\n    def __init__(self, **kwargs): ...\n    def predict(self, X): ...\n"
    )
    tree: dict[str, Any] = {
        "graph": ["token-model", "inner", "remote"],
        "components": {"token-model": "iris", "inner": inner},
    }
    with pytest.raises(SpecError, match="url"):  # a URL has no password
        _load(folder, {**tree, "components": {**tree["components"], "remote": remote}})
    _load(folder, {**tree, "components": {**tree["components"], "remote": {**remote, "url": "https://r"}}})
    for arguments in (["show", str(folder)], ["show", str(folder), "--format", "json"], ["validate", str(folder)]):
        assert run(arguments) == 0
        captured = capsys.readouterr()
        assert "hunter2" not in captured.out + captured.err
    assert "literal-secret" in captured.err


def test_a_broken_file_of_a_component_is_reported_with_the_problems_of_the_others(folder: Path) -> None:
    (folder / "iris" / "seldon.yaml").write_text("class_name: [")
    with pytest.raises(SpecError) as caught:
        _load(folder, {"graph": ["iris", "x", "y"], "components": {"y": {"class_name": "parts.Nothing"}}})
    assert [d.code for d in caught.value.diagnostics] == ["unknown-component", "no-such-class", "yaml-syntax"]


labels = st.sampled_from(["iris", "iris-2"])


def _branches(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[tuple[Step, ...]]:
    return st.lists(inner, min_size=2, max_size=3).map(tuple)


def _split(branches: tuple[Step, ...], weight: float, by: str | None) -> Step:
    return SplitStep("", tuple(weight + index for index in range(len(branches))), branches, by)


calls = st.builds(CallStep, labels) | st.builds(CallStep, st.just("scaler"), st.sampled_from([IN, OUT]))
steps: st.SearchStrategy[Step] = st.recursive(
    calls,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).map(lambda each: ChainStep(tuple(each)))
        | st.builds(lambda each: RouteStep("", "bandit", each), _branches(inner))
        | st.builds(_split, _branches(inner), st.sampled_from([0.5, 90.0]), st.sampled_from([None, "X-User"]))
        | st.builds(lambda name, each: CombineStep("", name, each), st.sampled_from([None, "mean"]), _branches(inner))
        | st.builds(lambda each, shadow: ShadowStep(each, shadow, 7), st.builds(CallStep, labels), inner)
    ),
    max_leaves=12,
)  # fmt: skip


def _numbered(step: Step) -> Any:
    """Return the YAML tree of steps with a name for each decision."""
    count = 0

    def visit(tree: Any) -> Any:
        nonlocal count
        if isinstance(tree, list):
            return [visit(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        if "name" in tree:
            count += 1
            tree = {**tree, "name": f"step-{count}"}
        return {key: visit(value) for key, value in tree.items()}

    return visit(describe_step(step))


@given(steps)
def test_a_tree_of_steps_written_as_yaml_compiles_to_the_same_steps(step: Step) -> None:
    """Chains directly inside chains are steps of their own; names are compared in the tree."""
    tree = yaml.safe_load(yaml.safe_dump(_numbered(step)))
    roles = {name: Role(ServiceType(kind)) for name, (_, kind) in TYPES.items()}
    compiler = GraphCompiler(tree, roles, lambda *_: DEFAULT_ORIGIN)
    compiled = compiler.compile()
    assert [p.code for p in compiler.problems if p.code != "graph-no-model"] == []
    assert compiled is not None
    assert describe_step(compiled) == tree
    kinds = [type(each) for each in walk_steps(step)]
    assert [type(each) for each in walk_steps(compiled)] == kinds
    assert list_components(compiled) == list_components(step)


trees = st.recursive(
    st.sampled_from(["iris", "bandit", "scaler", "nowhere", "A", "", 5, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["route", "to", "split", "by", "combine", "of", "average", "predict", "transform_input",
                         "shadow", "shadow_percent", "name", "other"]), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip
entries = st.dictionaries(
    st.sampled_from(["iris", "bandit", "scaler", "A", "x"]),
    st.sampled_from(["iris", ".", "http://x", 5, None, {}, {"class_name": "parts.Model"}, {"path": 5}, {"graph": "iris"},
                     {"url": "x"}, {"components": {"y": "z"}}, {"parameters": [{"name": "a"}], "token": "hunter2hunter2"}]),
    max_size=3,
)  # fmt: skip


@given(tree=trees, components=entries)
def test_any_graph_gives_a_spec_or_findings(
    tmp_path_factory: pytest.TempPathFactory, tree: Any, components: Any
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "parts.py").write_text(PARTS.read_text())
    spec = _spec_or_error(folder, {"graph": tree, "components": components})
    if isinstance(spec, SpecError):
        assert "hunter2" not in repr(spec.diagnostics)
        assert {d.origin.kind for d in spec.diagnostics} == {OriginKind.FILE}
    else:
        assert spec.graph is not None


TEXTS = [
    "", "[", "iris", "../iris", "https://iris", '["scaler", "iris"]', '{"predict": "nowhere"}', '{"iris": {"version": "2"}}',
    '{"password": {"from_env": "A"}}', '{"graph": "iris"}', "null", "5",
]  # fmt: skip
NAMES = ["GRAPH", "GRAPH__PREDICT", "COMPONENTS"] + [
    f"COMPONENTS__{each}"
    for each in (
        "IRIS",
        "IRIS__URL",
        "IRIS__GRAPH",
        "IRIS__TOKEN",
        "IRIS__PARAMETERS",
        "G__COMPONENTS__IRIS",
        "__URL",
        "A__",
    )
]


@given(
    environ=st.dictionaries(
        st.sampled_from([f"SELDON_SPEC__{name}" for name in NAMES]), st.sampled_from(TEXTS), max_size=3
    ),
    flags=st.dictionaries(
        st.sampled_from([split_path(name.lower().replace("__", ".")) for name in NAMES]),
        st.sampled_from(TEXTS),
        max_size=2,
    ),
)
def test_any_variables_and_flags_of_a_graph_give_a_spec_or_findings(
    tmp_path_factory: pytest.TempPathFactory, environ: Mapping[str, str], flags: Mapping[Any, str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "parts.py").write_text(PARTS.read_text())
    own = {"iris": ENTRIES["iris"]}
    inner = {"graph": "iris", "components": own}
    tree = {
        "graph": ["scaler", "iris", "g"],
        "components": {"g": inner, "scaler": ENTRIES["scaler"], **own},
    }
    spec = _spec_or_error(folder, tree, environ, flags)
    assert spec.diagnostics if isinstance(spec, SpecError) else spec.graph


@pytest.mark.parametrize(
    "tree",
    [
        {"graph": {"predict": "iris", "password": "hunter2"}},
        {"graph": {"predict": "iris", "api_key": {"x": "hunter2"}}},
        {"graph": "iris", "components": {"iris": {"environment": "http://u:hunter2@x"}}},
        {"graph": "iris", "components": {"iris": {"environment": "API_KEY=hunter2"}}},
        {"graph": "iris", "components": {"iris": {"token": ["hunter2"]}}},
        {"graph": "iris", "components": {"iris": {"token": {"value": "hunter2"}}}},
        {"graph": "iris", "components": {"iris": "http://u:hunter2@x"}},
        {"graph": ["http://u:hunter2@x"]},
        {"graph": "g", "components": {"g": {"graph": "iris", "components": {"iris": {"db_password": "hunter2"}}}}},
    ],
    ids=lambda tree: json.dumps(tree)[:60],
)
def test_a_wrong_graph_does_not_show_secrets(
    folder: Path, tree: Mapping[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "seldon.yaml").write_text(yaml.safe_dump(tree))
    assert run(["validate", str(folder)]) == 1
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err


def _spec_or_error(
    folder: Path,
    tree: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    flags: Mapping[Any, str] | None = None,
) -> Spec | SpecError:
    try:
        return _load(folder, tree, environ, flags)
    except SpecError as error:
        return error


def test_a_component_that_is_served_alone(tmp_path: Path) -> None:
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "Iris.py").write_text(
        "class Iris:\n    def __init__(self, threshold=0.1, digits=1):\n        pass\n\n    def predict(self, X, names):\n"
        "        return X\n"
    )
    (tmp_path / "iris" / "seldon.yaml").write_text('class_name: Iris\nversion: "2"\n')
    (tmp_path / "seldon.yaml").write_text("graph: [iris, other]\ncomponents: {other: {path: iris}}\n")
    parameters = [
        {"name": "threshold", "type": "FLOAT", "value": "0.5"},
        {"name": "digits", "type": "INT", "value": "3"},
    ]
    environ = {
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9001",
        "PREDICTIVE_UNIT_ID": "unit",
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters),
        "SELDON_SPEC__COMPONENTS__IRIS__PARAMETERS__DIGITS": "4",
        "SELDON_SPEC__SERVER__WORKERS": "2",
    }
    flags = {("ports", "grpc"): "5001", ("components", "iris", "ports", "metrics"): "6001"}
    graph = load(tmp_path, environ, flags, options=LoadOptions(component="iris"))
    spec, other = graph.components["iris"].spec, graph.components["other"].spec
    assert spec is not None
    assert spec.ports == PortsSpec(9001, 5001, 6001)
    assert spec.server.workers == 2
    assert spec.parameters == {"threshold": 0.5, "digits": 4}
    assert (spec.unit.id, spec.unit.image) == ("unit", "iris:2")
    assert str(spec.origin("ports", "http")) == "PREDICTIVE_UNIT_HTTP_SERVICE_PORT"
    assert other is not None
    assert (other.ports, other.parameters, graph.ports) == (PortsSpec(), {}, PortsSpec())


LIMITS: list[tuple[str, Any]] = [
    ("components", {"graph": {"average": [f"c{i}" for i in range(300)]}}),
    ("levels", {"graph": json.loads("[" * 40 + '"x", "x"' + "]" * 40)}),
    ("graphs", json.loads('{"graph": ["x"], "components": {"x": ' * 17 + '{"class_name": "parts.Model"}' + "}}" * 17)),
]


@pytest.mark.parametrize("tree", [each[1] for each in LIMITS], ids=[each[0] for each in LIMITS])
def test_a_graph_above_a_limit_is_reported_once(folder: Path, tree: Any) -> None:
    names = {use.name for use in find_uses(tree["graph"])}
    with pytest.raises(SpecError) as caught:
        _load(folder, {"components": dict.fromkeys(names, ENTRIES["iris"]), **tree})
    assert [d.code for d in caught.value.diagnostics if d.severity is Severity.ERROR] == ["graph-depth"]
