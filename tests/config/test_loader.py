"""File, environment, flags and defaults meet in one Spec, and each value knows its origin."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from seldon_spec.cli.main import run
from seldon_spec.config.build_spec import default_name, plain
from seldon_spec.config.checks.tls import require_tls
from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.layers.variables import TABLE, field_variables
from seldon_spec.config.loader import load
from seldon_spec.config.model import LogLevel, SecretRef, ServiceType, Spec
from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.config.schema.lookup import (
    field_schema,
    fields,
    groups_keys,
    load_schema,
    resolve,
    takes_any_key,
    types_of,
)
from seldon_spec.config.secrets import prepare_to_load
from seldon_spec.errors import OriginKind, SpecError

MODEL = "class MyModel:\n    def __init__(self, **kwargs): ...\n    def predict(self, X, names): ...\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\n")
    return tmp_path


def _write(folder: Path, text: str) -> Path:
    (folder / "seldon.yaml").write_text(text)
    return folder


def _at(spec: Spec, path: tuple[str, ...]) -> Any:
    value: Any = spec
    for step in path:
        value = value[step] if hasattr(value, "keys") else getattr(value, step)
    return value


def test_five_lines_are_enough(folder: Path) -> None:
    spec = load(_write(folder, "class_name: MyModel\nparameters: {a: [1, {b: null}]}\n"), {})
    assert spec == Spec("MyModel", folder, "my-model", parameters={"a": [1, {"b": None}]})


def test_the_precedence_is_flag_environment_file_default(folder: Path) -> None:
    _write(folder, "class_name: MyModel\nserver: {workers: 2, threads: 2, log: {level: DEBUG}}\n")
    environ = {"GUNICORN_WORKERS": "3", "GUNICORN_THREADS": "3"}
    spec = load(folder, environ, {("server", "workers"): "4"})
    assert (spec.server.workers, spec.server.threads, spec.server.log.level.value) == (4, 3, "DEBUG")
    flag = spec.origin("server", "workers")
    assert (flag.kind, flag.name, flag.replaced) == (OriginKind.FLAG, "--set server.workers", 3)
    assert flag.below is not None
    assert (flag.below.kind, flag.below.name, flag.below.replaced) == (OriginKind.ENVIRONMENT, "GUNICORN_WORKERS", 2)
    assert flag.below.below is not None
    assert str(flag.below.below) == f"{folder}/seldon.yaml:2:19"
    assert spec.origin("server", "max_body_bytes").kind is OriginKind.DEFAULT


def test_a_path_may_be_the_file_itself(folder: Path) -> None:
    (folder / "other.yaml").write_text("class_name: MyModel\nname: other\n")
    spec = load(folder / "other.yaml", {})
    assert (spec.name, spec.file, spec.folder) == ("other", "other.yaml", folder)


def test_a_spec_is_frozen(folder: Path) -> None:
    spec = load(_write(folder, "class_name: MyModel\nimage: {labels: {a: b}}\n"), {})
    with pytest.raises(AttributeError):
        spec.name = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        spec.image.labels["c"] = "d"  # type: ignore[index]


NAMES = [
    ("MyModel", "my-model"),
    ("pkg.module.IrisClassifier", "iris-classifier"),
    ("HTTPModel", "http-model"),
    ("Model2D", "model2-d"),
    ("snake_case_model", "snake-case-model"),
    ("_Hidden", "hidden"),
    ("__", "model"),
    ("A" * 80, "a" * 63),
]


@pytest.mark.parametrize(("class_name", "name"), NAMES, ids=[name for name, _ in NAMES])
def test_the_default_name_is_the_class_in_kebab_case(class_name: str, name: str) -> None:
    assert default_name(class_name) == name
    Draft202012Validator(load_schema()["properties"]["name"]).validate(name)


SAMPLES = {
    "class_name": ("MyModel", "MyModel"),
    "service_type": ("TRANSFORMER", ServiceType.TRANSFORMER),
    "parameters": ('{"a": 1}', {"a": 1}),
    "environment": ('{"A": "b"}', {"A": "b"}),
    "requirements": ("requirements.txt", "requirements.txt"),
    "seldon_spec": ("seldon-spec>=0.1", "seldon-spec>=0.1"),
    "index_url": ("https://pypi.example.com/simple", "https://pypi.example.com/simple"),
    "workdir": ("/app", "/app"),
    "labels": ('{"a": "b"}', {"a": "b"}),
    "inputs": ('["a", "b"]', (TensorSpec("input-0", "FP64", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b"))),)),
    "outputs": ('[{"name": "y", "datatype": "INT8", "shape": [-1, 3.0]}]', (TensorSpec("y", "INT8", (-1, 3)),)),
    "name": ("iris", "iris"),
    "python": ("3.11", "3.11"),
    "APPLICATION_ROOT": ("/x", "/x"),
    "SESSION_COOKIE_PATH": ("/x", "/x"),
    "JSONIFY_MIMETYPE": ("text/json", "text/json"),
    "TRUSTED_HOSTS": ('["a"]', ("a",)),
    "SECRET_KEY_FALLBACKS": ('["a", {"from_env": "B"}]', ("a", SecretRef("B"))),
    "SECRET_KEY": ('{"from_env": "KEY"}', SecretRef("KEY")),
    "tokens": ('{"from_env": "KEY"}', (SecretRef("KEY"),)),
    "certificate": ("/nowhere/tls.crt", "/nowhere/tls.crt"),
    "key": ("/nowhere/tls.key", "/nowhere/tls.key"),
    "client_ca": ("/nowhere/ca.crt", "/nowhere/ca.crt"),
    "delay_seconds": ("7", 7),
    "cpu": ("500m", "500m"),
    "memory": ("1.5Gi", "1.5Gi"),
    "path": ("other.joblib", "other.joblib"),
    "trusted": ('["features.Ratio"]', ("features.Ratio",)),
    "providers": ('["CPUExecutionProvider"]', ("CPUExecutionProvider",)),
    "device": ("cuda:1", "cuda:1"),
    "secrets": ('{"A": "b/c"}', {"A": "b/c"}),
    "annotations": ('{"a": "b"}', {"a": "b"}),
    "pod": ('{"nodeSelector": {"a": "b"}}', {"nodeSelector": {"a": "b"}}),
}


OF_GRAPHS = ("graph", "components")
FIELDS = [(path, schema) for path, schema in fields() if path[0] not in OF_GRAPHS]


def _sample(path: tuple[str, ...], schema: Any) -> tuple[str, Any]:
    """A text and the expected value, by the field's schema."""
    if path == ("image", "environment"):
        return '{"A": "b"}', {"A": "b"}
    if path == ("deployment", "resources", "gpu"):
        return "2", 2
    if path == ("model", "sha256"):
        return schema["examples"][0], schema["examples"][0]  # of the empty file
    if path[-1] in SAMPLES:
        return SAMPLES[path[-1]]
    types = types_of(schema)
    if path[0] == "image" and types == ("array",):
        return json.dumps(schema["examples"][0]), tuple(schema["examples"][0])
    if "enum" in schema:
        return str(schema["enum"][1]), schema["enum"][1]
    if "boolean" in types:
        return "On", True
    if "integer" in types or "number" in types:
        number = max(77, schema.get("minimum", 0))
        return f" {number} ", number
    return "text", "text"


def _find_format(path: tuple[str, ...]) -> str:
    """The first format that has an option."""
    options = path[2] if path[:2] == ("model", "options") and len(path) > 2 else "threads"
    return next(name for name, row in FORMATS.items() if options in row.options)


def _write_model(folder: Path, path: tuple[str, ...] = ()) -> None:
    """Write a spec of a model file with an option, and two files whose contents do not say what they are."""
    _write(folder, f"model: {{path: iris.joblib, format: {_find_format(path)}}}\n")
    for name in ("iris.joblib", "other.joblib"):
        (folder / name).touch()


@pytest.mark.parametrize(("path", "schema"), FIELDS, ids=[".".join(path) for path, _ in FIELDS])
def test_every_field_has_its_generic_variable(folder: Path, path: tuple[str, ...], schema: Any) -> None:
    (folder / "requirements.txt").touch()
    text, value = _sample(path, schema)
    if path[:2] == ("server", "tls"):
        _write(folder, "class_name: MyModel\nserver: {tls: {certificate: /nowhere/a.crt, key: /nowhere/a.key}}\n")
    if path[:2] == ("server", "batching"):
        _write(folder, "class_name: MyModel\nserver: {batching: {max_rows: 2}}\n")
    if path[:1] == ("model",):
        _write_model(folder, path)
    spec = load(folder, {generic_variable(path): text})
    assert _at(spec, path) == value
    leaf = next(p for p in spec.origins if p[: len(path)] == path and spec.origins[p].kind is OriginKind.ENVIRONMENT)
    assert spec.origins[leaf].name == generic_variable(path)


NAMED = field_variables()


@pytest.mark.parametrize(("name", "path"), NAMED.items(), ids=NAMED)
def test_the_names_of_seldon_images_set_their_field(folder: Path, name: str, path: tuple[str, ...]) -> None:
    schema = dict(fields())[path]
    text, value = _sample(path, schema)
    spec = load(folder, {name: text})
    assert _at(spec, path) == value
    assert spec.origin(*path).name == name


SINGLE = [("1", 1), ("0", 4), ("true", 1), ("no", 4), ("2", 1)]


@pytest.mark.parametrize(("text", "threads"), SINGLE, ids=[text for text, _ in SINGLE])
def test_single_threaded_forces_one_thread(folder: Path, text: str, threads: int) -> None:
    spec = load(folder, {"GUNICORN_THREADS": "4", "FLASK_SINGLE_THREADED": text})
    assert spec.server.threads == threads


BOOLEANS = [*((word, True) for word in "1 true t yes y on TRUE Yes".split()),
            *((word, False) for word in "0 false f no n off OFF".split())]  # fmt: skip


@pytest.mark.parametrize(("word", "value"), BOOLEANS, ids=[word for word, _ in BOOLEANS])
def test_booleans_have_twelve_words(folder: Path, word: str, *, value: bool) -> None:
    assert load(folder, {"FLASK_TESTING": word}).flask.TESTING is value


ENTRIES = [
    ("STRING", "x", "x"), ("STRING", 5, "5"), ("STRING", "", ""), ("STRING", True, "true"),
    ("INT", " 5 ", 5), ("INT", "1_000", 1000), ("INT", 7, 7), ("INT", 7.0, 7),
    ("FLOAT", "0.5", 0.5), ("DOUBLE", "1e3", 1000.0), ("DOUBLE", "inf", float("inf")), ("FLOAT", 2, 2.0),
    ("BOOL", "Yes", True), ("BOOL", "off", False), ("BOOL", True, True), ("BOOL", "0", False),
]  # fmt: skip
BAD_ENTRIES = [("INT", "5.5"), ("INT", 5.5), ("INT", True), ("INT", ""), ("FLOAT", "x"), ("DOUBLE", False),
               ("BOOL", "maybe"), ("BOOL", "2")]  # fmt: skip


def _ids(entry: tuple[Any, ...]) -> str:
    return "-".join(map(repr, entry[:2]))


@pytest.mark.parametrize("source", ["file", "environment"])
@pytest.mark.parametrize(("kind", "text", "value"), ENTRIES, ids=[_ids(entry) for entry in ENTRIES])
def test_seldon_s_parameters_are_converted(folder: Path, source: str, kind: str, text: object, value: object) -> None:
    entries = [{"name": "p", "type": kind, "value": text}]
    if source == "file":
        _write(folder, yaml.safe_dump({"class_name": "MyModel", "parameters": entries}))
        spec = load(folder, {})
    else:
        spec = load(folder, {"PREDICTIVE_UNIT_PARAMETERS": json.dumps(entries)})
    assert spec.parameters["p"] == value
    assert type(spec.parameters["p"]) is type(value)


@pytest.mark.parametrize("source", ["file", "environment"])
@pytest.mark.parametrize(("kind", "text"), BAD_ENTRIES, ids=[_ids(entry) for entry in BAD_ENTRIES])
def test_a_parameter_that_is_not_of_its_type_is_reported(folder: Path, source: str, kind: str, text: object) -> None:
    entries = [{"name": "q", "type": "INT", "value": "1"}, {"name": "p", "type": kind, "value": text}]
    if source == "file":
        _write(folder, yaml.safe_dump({"class_name": "MyModel", "parameters": entries}))
    environ = {} if source == "file" else {"PREDICTIVE_UNIT_PARAMETERS": json.dumps(entries)}
    with pytest.raises(SpecError) as caught:
        load(folder, environ)
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.path) == ("parameter-type", ("parameters", "1", "value"))
    if source == "file":
        assert finding.origin.position is not None
        assert finding.origin.position.line == 8


def test_the_operator_s_parameters_merge_by_name_and_the_last_counts(folder: Path) -> None:
    _write(folder, "class_name: MyModel\nparameters: {a: 1, b: 2}\n")
    entries = [{"name": "b", "type": "INT", "value": text} for text in ("3", "4")]
    spec = load(folder, {"PREDICTIVE_UNIT_PARAMETERS": json.dumps(entries)})
    assert spec.parameters == {"a": 1, "b": 4}
    assert spec.origin("parameters", "b").name == "PREDICTIVE_UNIT_PARAMETERS"
    assert spec.origin("parameters", "a").kind is OriginKind.FILE


PARAMETER_TEXTS = [
    ("untyped", "0.5", 0.5), ("untyped", "[1, 2]", [1, 2]), ("untyped", "plain", "plain"), ("untyped", '"q"', "q"),
    ("text", "5", "5"), ("optional", "5", "5"), ("number", "5", 5), ("infile", "5", "5"), ("UPPER", "5", 5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "value"), PARAMETER_TEXTS, ids=[_ids(entry) for entry in PARAMETER_TEXTS])
def test_a_parameter_s_text_is_json_unless_the_argument_is_text(
    folder: Path, name: str, text: str, value: object
) -> None:
    """The name matches, whatever its case, the file's key, then an argument of ``__init__``."""
    arguments = "untyped=0, text: str = '', optional: 'str | None' = None, number: int = 0, infile=None, UPPER=0"
    (folder / "MyModel.py").write_text(
        f"class MyModel:\n    def __init__(self, {arguments}): ...\n    predict = None\n"
    )
    _write(folder, "class_name: MyModel\nparameters: {infile: text}\n")
    spec = load(folder, {f"SELDON_SPEC__PARAMETERS__{name.upper()}": text})
    assert spec.parameters[name] == value


def test_references_are_kept_as_names(folder: Path) -> None:
    _write(
        folder,
        "class_name: MyModel\nparameters: {a: {from_env: A}, b: [{from_file: f}]}\n"
        "environment: {C: {from_env: D}}\nflask: {SECRET_KEY: {from_file: k}}\n",
    )
    spec = load(folder, {"A": "hunter2", "D": "hunter2"})
    assert spec.parameters == {"a": SecretRef("A"), "b": [SecretRef(None, "f")]}
    assert spec.environment == {"C": SecretRef("D")}
    assert SecretRef(None, "k") == spec.flask.SECRET_KEY
    assert "hunter2" not in repr((spec.parameters, spec.environment, spec.flask))


def test_the_loader_reads_no_variable_of_the_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUNICORN_WORKERS", "7")
    assert load(folder, {}).server.workers == 1


TENSORS = """\
class_name: MyModel
inputs:
  - {name: image, datatype: UINT8, shape: [-1, 28, 28], description: A digit.}
  - {name: query, datatype: BYTES, shape: [], content_type: str, optional: true}
outputs: [{name: score, datatype: FP32, shape: [-1]}]
platform: seldon_python
"""


def test_inputs_and_outputs_are_tensors_of_the_spec(folder: Path) -> None:
    (folder / "MyModel.py").write_text("class MyModel:\n    def infer(self, inputs): ...\n")
    spec = load(_write(folder, TENSORS), {})
    assert spec.inputs == (
        TensorSpec("image", "UINT8", (-1, 28, 28), description="A digit."),
        TensorSpec("query", "BYTES", (), "str", optional=True),
    )
    assert spec.outputs == (TensorSpec("score", "FP32", (-1,)),)
    assert spec.platform == "seldon_python"


def test_a_variable_replaces_the_whole_list_of_inputs(folder: Path) -> None:
    environ = {"SELDON_SPEC__INPUTS": '[{"name": "x", "datatype": "FP32", "shape": [-1, 2], "columns": ["a", "b"]}]'}
    spec = load(_write(folder, "class_name: MyModel\ninputs: [a, b, c]\n"), environ)
    assert spec.inputs == (TensorSpec("x", "FP32", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b"))),)


def test_the_example_file_is_right_and_shows_every_key(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "seldon.yaml.example"
    (tmp_path / "seldon.yaml").write_bytes(example.read_bytes())
    shown = yaml.safe_load(example.read_bytes())
    others = {*OF_GRAPHS, "model"}  # shown in comments: a file has a class, a model file or a graph
    wanted = set(load_schema()["properties"]) - others
    assert set(shown) == wanted
    for section in ("flask", "ports", "server", "image"):
        assert set(shown[section]) == set(load_schema()["properties"][section]["properties"]), section
    with pytest.raises(SpecError) as caught:
        load(tmp_path, {})
    assert {d.code for d in caught.value.diagnostics if d.severity.value == "error"} <= {
        "no-such-module", "no-such-file",
    }  # fmt: skip


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from([key for path, _ in fields() for key in path]) | st.text(max_size=5)
trees = st.dictionaries(keys, st.dictionaries(keys, json_values, max_size=4) | json_values, max_size=5)

WORDS = [
    "yes",
    "no",
    "on",
    "OFF",
    "null",
    "~",
    "1e3",
    "0123",
    "1:30",
    "*a",
    "&a 1",
    "!!int x",
    "<<",
    "²",
    "٣",
    "0",
    "hunter2",
]
words = st.sampled_from([*WORDS, *(path[-1] for path, _ in fields()), "name", "value", "type", "INT", "BOOL"])
plain_documents = st.recursive(
    words,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(words, inner), max_size=4).map(
            lambda items: f"{{{', '.join(f'{key}: {value}' for key, value in items)}}}"
        )
    ),
    max_leaves=8,
)
"""YAML as people write it, without quotes: YAML chooses the types."""


def _load_text(folder: Path, data: bytes, environ: dict[str, str]) -> Spec | SpecError:
    (folder / "seldon.yaml").write_bytes(data)
    (folder / "MyModel.py").write_text(MODEL)
    try:
        return load(folder, environ)
    except SpecError as error:
        return error


@given(
    data=st.binary()
    | st.text().map(str.encode)
    | trees.map(lambda tree: yaml.safe_dump(tree, allow_unicode=True).encode())
    | plain_documents.map(lambda text: text.encode())
)
def test_any_file_gives_a_spec_or_findings(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    _load_text(tmp_path_factory.mktemp("any"), data, {})


variables = st.sampled_from(
    [
        *NAMED,
        *(row.name for row in TABLE),
        *(generic_variable(path) for path, _ in fields()),
        "SELDON_SPEC__SERVER",
        "SELDON_SPEC__PARAMETERS__A",
        "SELDON_SPEC__",
        "SELDON_SPEC____",
        "SELDON_SPEC__IMAGE__LABELS__A__B",
        "SELDON_SPEC__X",
    ]
)
texts = st.text() | json_values.map(json.dumps) | st.integers().map(str)


@given(environ=st.dictionaries(variables, texts, max_size=6))
def test_any_environment_gives_a_spec_or_findings(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]
) -> None:
    _load_text(tmp_path_factory.mktemp("any"), b"class_name: MyModel\n", environ)


class_trees = trees.map(lambda tree: {**tree, "class_name": "MyModel"})


@given(tree=class_trees)
def test_what_the_schema_refuses_is_told_and_what_it_accepts_passes_the_schema_s_part(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    given = {
        key: value for key, value in tree.items() if value is not None or not groups_keys((key,))
    }  # empty sections
    is_accepted = Draft202012Validator(load_schema()).is_valid(given)
    data = json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")
    outcome = _load_text(tmp_path_factory.mktemp("any"), data, {})
    if not is_accepted:
        assert isinstance(outcome, SpecError)
    elif isinstance(outcome, SpecError):
        of_the_schema = {"type", "enum", "form", "unknown-key", "missing-key", "key-form", "reference"}
        assert not of_the_schema & {d.code for d in outcome.diagnostics}
    else:
        assert plain(outcome.server)["host"] == given.get("server", {}).get("host", "0.0.0.0")


CRASHED = [
    ("a boolean alone", b"yes\n", {"type"}),
    ("off alone", b"off\n", {"type"}),
    ("a boolean in a list", b"- on\n", {"type"}),
    ("null", b"~\n", {"graph-or-class"}),
    ("a superscript as a name", "class_name: M\nparameters: [{name: ², type: INT, value: 1}]\n".encode(), {"unknown-argument"}),
    ("an Arabic digit as a name", "class_name: M\nparameters: {٣: 1}\n".encode(), {"unknown-argument"}),
    ("a name of 5,000 digits", b"class_name: M\nparameters: [{name: '" + b"9" * 5000 + b"', type: INT, value: 1}]\n",
     {"unknown-argument"}),
    ("a boolean for parameters", b"class_name: M\nparameters: yes\n", {"type"}),
]  # fmt: skip


@pytest.mark.parametrize(("data", "codes"), [row[1:] for row in CRASHED], ids=[row[0] for row in CRASHED])
def test_unusual_documents_give_findings(tmp_path: Path, data: bytes, codes: set[str]) -> None:
    (tmp_path / "M.py").write_text("class M:\n    predict = None\n")
    (tmp_path / "seldon.yaml").write_bytes(data)
    with pytest.raises(SpecError) as caught:
        load(tmp_path, {})
    assert {d.code for d in caught.value.diagnostics if d.severity.value == "error"} == codes


def test_a_parameter_whose_name_is_a_digit_is_not_taken_for_an_index(tmp_path: Path) -> None:
    (tmp_path / "M.py").write_text("class M:\n    predict = None\n    def __init__(self, a): ...\n")
    text = "class_name: M\nparameters:\n- {name: a, type: INT, value: 1}\n- {name: '0', type: INT, value: 2}\n"
    (tmp_path / "seldon.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load(tmp_path, {})
    assert [str(d.origin).removeprefix(str(tmp_path)) for d in caught.value.diagnostics] == ["/seldon.yaml:4:33"]


@pytest.mark.parametrize("name", ["0", "²", "9" * 30])
def test_a_digit_may_name_a_parameter(folder: Path, name: str) -> None:
    assert load(folder, {f"SELDON_SPEC__PARAMETERS__{name}": "5"}).parameters == {name: 5}


NESTED = [path for path, _ in fields() if len(path) > 1]
OTHERS: Mapping[tuple[str, ...], Any] = {("deployment", "secrets"): "other/key", ("deployment", "pod"): {"a": "b"}}
"""Values of free keys that may not be any text."""
FILES = ("model.joblib", "requirements/serve.txt", "wheels/seldon_spec-0.1.0-py3-none-any.whl")


@pytest.mark.parametrize("path", NESTED, ids=[".".join(path) for path in NESTED])
def test_every_nested_key_has_its_place_in_the_file_and_keeps_it_when_overridden(
    folder: Path, path: tuple[str, ...]
) -> None:
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "requirements.txt").touch()
    section = field_schema(path[:-1]) or {}
    values: Any = {
        key: resolve(section["properties"][key])["examples"][0] for key in [*section.get("required", ()), path[-1]]
    }
    if "certificate" in values:
        values = {key: f"/nowhere{value}" for key, value in values.items()}
    at = path
    if isinstance(values[path[-1]], dict) and takes_any_key(section["properties"][path[-1]]):
        at = (*path, *values[path[-1]])
    for step in reversed(path[:-1]):
        values = {step: values}
    _write_model(folder)
    own: dict[str, Any] = {"class_name": "MyModel"}
    if path[0] == "model":
        own = {}
        values["model"].setdefault("path", "iris.joblib")
        if path[1] == "options":
            values["model"]["format"] = _find_format(path)
    _write(folder, yaml.safe_dump({**own, **values}))
    origin = load(folder, {}).origin(*at)
    assert str(origin).startswith(f"{folder}/seldon.yaml:")
    text = json.dumps({at[-1]: OTHERS.get(path, "other")}) if at != path else _sample(path, field_schema(path))[0]
    over = load(folder, {generic_variable(path): text}).origin(*at)
    assert (over.name, over.below) == (generic_variable(path), origin)
    assert over.replaced is not None or path == ("ports", "grpc")


EMPTY = [
    ("FLASK_DEBUG", ("flask", "DEBUG"), False), ("SELDON_DEBUG", ("flask", "DEBUG"), True),
    ("GUNICORN_ACCESS_LOG", ("server", "log", "access"), False), ("FLASK_PROPAGATE_EXCEPTIONS", ("flask", "PROPAGATE_EXCEPTIONS"), False),
    ("GUNICORN_WORKERS", ("server", "workers"), 3), ("SELDON_LOG_LEVEL", ("server", "log", "level"), LogLevel.ERROR),
    ("GUNICORN_MAX_REQUESTS", ("server", "max_requests"), 9), ("MODEL_NAME", ("class_name",), "MyModel"),
    ("SERVICE_TYPE", ("service_type",), ServiceType.MODEL), ("FLASK_SERVER_NAME", ("flask", "SERVER_NAME"), "a.b"),
    ("FLASK_TRUSTED_HOSTS", ("flask", "TRUSTED_HOSTS"), ("a",)), ("PREDICTIVE_UNIT_PARAMETERS", ("parameters",), {"a": "b"}),
    ("FLASK_SINGLE_THREADED", ("server", "threads"), 2), ("TRACING", ("server", "tracing"), False),
    ("GRPC_WORKERS", ("ports", "grpc"), 5000), ("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", ("ports", "http"), 9000),
    ("PREDICTIVE_UNIT_METRICS_ENDPOINT", ("unit", "metrics_path"), "/metrics"), ("PREDICTOR_LABELS", ("unit", "predictor_version"), None),
    ("PAYLOAD_PASSTHROUGH", ("unit", "is_passthrough"), False), ("SELDON_EXECUTOR_ENABLED", ("unit", "has_executor"), False),
    ("INCLUDE_METRICS_IN_CLIENT_RESPONSE", ("unit", "has_metrics_in_response"), False),
    ("MODEL_METADATA", ("unit", "metadata"), None), ("PREDICTIVE_UNIT_ID", ("unit", "id"), None),
    ("SELDON_SPEC__SERVER__WORKERS", ("server", "workers"), 3), ("SELDON_SPEC__FLASK__DEBUG", ("flask", "DEBUG"), False),
    ("SELDON_SPEC__SERVER", ("server", "workers"), 3), ("SELDON_SPEC__PARAMETERS__A", ("parameters", "a"), ""),
    ("SELDON_SPEC__ENVIRONMENT__A", ("environment", "A"), ""),
]  # fmt: skip
"""A variable, and what the field is where it is empty: false where a boolean is read, else as without it."""


@pytest.mark.parametrize("text", ["", "  "], ids=["empty", "blank"])
@pytest.mark.parametrize(("name", "path", "value"), EMPTY, ids=[row[0] for row in EMPTY])
def test_an_empty_variable_is_not_set_and_of_a_boolean_false(
    folder: Path, name: str, path: tuple[str, ...], value: object, text: str
) -> None:
    _write(
        folder,
        "class_name: MyModel\nparameters: {a: b}\nserver: {workers: 3, threads: 2, max_requests: 9, log: {level: ERROR, access: true}}\n"
        "flask: {DEBUG: true, PROPAGATE_EXCEPTIONS: true, SERVER_NAME: a.b, TRUSTED_HOSTS: [a]}\n",
    )
    spec = load(folder, {name: text})
    assert _at(spec, path) == (text if value == "" else value)
    assert not spec.diagnostics


def _make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))


def _make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def _make_large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(5 * 1024 * 1024)


SPECIAL = {
    "pipe": (os.mkfifo, "it is not a regular file"),
    "device": (_make_device, "it is not a regular file"),
    "socket": (_make_socket, "it is not a regular file"),
    "directory": (Path.mkdir, "it is a directory"),
    "loop": (_make_loop, "Too many levels of symbolic links"),
    "large": (_make_large, "it has more than"),
}
COMMANDS = [["validate"], ["show"], ["dockerfile"], ["build"], ["serve"], ["predict", "[[1]]"], ["health"]]


@pytest.mark.parametrize(("make", "reason"), SPECIAL.values(), ids=SPECIAL)
def test_a_file_that_is_no_regular_file_is_refused_at_once(
    folder: Path,
    make: Callable[[Path], None],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    (folder / "seldon.yaml").unlink()
    make(folder / "seldon.yaml")
    for command in COMMANDS:
        assert run(command) == 1
        assert f"seldon.yaml cannot be read: {reason}" in capsys.readouterr().err


BESIDE = {
    "secret": ("environment: {A: {from_file: FILE}}", "the secret cannot be read: FILE cannot be read"),
    "certificate": ("server: {tls: {certificate: FILE, key: FILE}}", "server.tls.certificate: FILE cannot be read"),
}


@pytest.mark.parametrize("make", [make for make, _ in SPECIAL.values()], ids=SPECIAL)
@pytest.mark.parametrize(("text", "message"), BESIDE.values(), ids=BESIDE)
def test_a_file_beside_the_spec_that_is_no_regular_file_is_refused_at_once(
    folder: Path,
    make: Callable[[Path], None],
    text: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    make(folder / "FILE")
    _write(folder, f"class_name: MyModel\n{text}\n")
    with pytest.raises(SpecError) as caught:
        require_tls(prepare_to_load(load(folder, {}), {}))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["MyModel.py", ".dockerignore"])
def test_other_special_files_do_not_block(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    _write(folder, "class_name: MyModel\nserver: {tls: {certificate: a, key: b}}\n")
    with pytest.raises(SpecError):
        load(folder, {})
