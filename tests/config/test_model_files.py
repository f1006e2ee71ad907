"""What a model file says of itself, read without executing anything of it; and the table of formats."""

from __future__ import annotations

import importlib
import json
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from seldon_spec.config.checks.distributions import PROVIDERS
from seldon_spec.config.loader import FOR_IMAGE, load
from seldon_spec.config.model_files.formats import FORMATS, ModelFormat
from seldon_spec.config.model_files.huggingface import TASKS
from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.config.model_files.pickles import MAX_OPCODES
from seldon_spec.config.model_files.protobuf import MAX_FIELDS
from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.config.schema.lookup import field_schema
from seldon_spec.errors import Severity
from tests.config.protobuf_fields import write_field

ROWS = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS)
def test_each_format_has_a_runtime_and_its_options_and_methods_are_in_the_schema(row: ModelFormat) -> None:
    module, _, function = row.runtime.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert set(row.methods) < set((field_schema(("model", "method")) or {})["enum"])
    for option in row.options:
        description = (field_schema(("model", "options", option)) or {})["description"]
        assert row.name in description
    assert row.module == row.name or row.module in PROVIDERS


def test_the_schema_has_the_formats_of_the_table() -> None:
    schema = field_schema(("model", "format")) or {}
    assert schema["enum"] == [*FORMATS, None]
    assert set(schema["x-synonyms"].values()) <= set(FORMATS)
    options = field_schema(("model", "options")) or {}
    assert {option for row in FORMATS.values() for option in row.options} == set(options["properties"])
    assert {key: child["default"] for key, child in options["properties"].items()} == {
        "threads": ModelOptions().threads,
        "trusted": list(ModelOptions().trusted),
        "providers": list(ModelOptions().providers),
        "device": ModelOptions().device,
        "task": ModelOptions().task,
        "parameters": dict(ModelOptions().parameters),
        "signature": ModelOptions().signature,
    }
    tasks = field_schema(("model", "options", "task")) or {}
    assert tasks["enum"] == [*TASKS, None]


def _pipeline() -> Pipeline:
    return make_pipeline(StandardScaler()).fit(ROWS)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_tells_its_class_and_version(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(pickle.dumps(_pipeline(), protocol))
    _check(file, is_joblib=False)


@pytest.mark.parametrize("compress", [0, 1, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)], ids=str)
def test_a_file_of_joblib_tells_its_class_and_version(tmp_path: Path, compress: Any) -> None:
    file = tmp_path / "model.bin"
    joblib.dump(_pipeline(), file, compress=compress)
    _check(file, is_joblib=True)


def test_a_model_of_a_table_needs_pandas(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    model = StandardScaler().fit(pandas.DataFrame(ROWS, columns=["a", "b"]))
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    found = inspect_model(tmp_path / "model.pkl")
    assert found is not None
    assert "pandas" in found.modules


def test_arrays_of_objects_and_texts_are_skipped(tmp_path: Path) -> None:
    model = make_pipeline(OneHotEncoder()).fit([["a", 1, "x" * 100], ["b", 2.5, None]])
    joblib.dump(model, tmp_path / "model.bin")
    _check(tmp_path / "model.bin", is_joblib=True)


def _check(file: Path, *, is_joblib: bool) -> None:
    import sklearn

    found = inspect_model(file)
    assert found is not None
    assert (found.format, found.kind) == ("sklearn", "a pickle of sklearn.pipeline.Pipeline")
    assert (found.is_certain, found.is_pickle, found.is_joblib) == (True, True, is_joblib)
    assert found.versions["sklearn"] == sklearn.__version__
    assert {"numpy", "sklearn"} <= found.modules


class Hostile:
    """Unpickling an object of it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("compress", [0, 3])
def test_nothing_of_a_file_is_executed(tmp_path: Path, compress: int) -> None:
    target = tmp_path / "written"
    model = make_pipeline(FunctionTransformer(kw_args={"x": Hostile(target)}))
    joblib.dump(model, tmp_path / "iris.joblib", compress=compress)
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.joblib}\n")
    (tmp_path / "requirements.txt").write_text("scikit-learn\n")
    spec = load(tmp_path, {}, options=FOR_IMAGE)
    assert spec.model is not None
    assert spec.model.format == "sklearn"
    assert not target.exists()
    joblib.load(tmp_path / "iris.joblib")
    assert target.exists()


def _opcodes(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


HOSTILE = {
    "builtin": _opcodes(b"cbuiltins\neval\n", b"X\x04\x00\x00\x001/0\n", b"\x85R"),
    "extension": _opcodes(b"\x82\x01"),
    "persistent": _opcodes(b"Pid\n"),
    "a-long-frame": b"\x80\x04\x95" + b"\xff" * 8,
    "a-long-bytearray": b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f" + b"x",
    "a-long-line": b"\x80\x04c" + b"x" * (1 << 20),
    "an-empty-stack": _opcodes(b"R"),
    "many-opcodes": _opcodes(b"N0" * (MAX_OPCODES // 2 + 1), b"N"),
    "an-odd-name": _opcodes(b"c__main__\n\x1b[31m\n", b")R"),
    "truncated": pickle.dumps(_pipeline())[:-40],
    "not-compressed": b"\x78\x9c" + b"\x00" * 100,
    "many-arrays": _opcodes(b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n", b")\x81}b"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_damaged_or_hostile_file_is_described_as_far_as_possible(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "iris.pkl").write_bytes(data)
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.pkl, format: sklearn}\n")
    found = inspect_model(tmp_path / "iris.pkl")
    assert found is not None
    assert found.kind.isprintable()


def test_the_pickle_of_a_truncated_file_is_known(tmp_path: Path) -> None:
    (tmp_path / "iris.pkl").write_bytes(HOSTILE["truncated"])
    found = inspect_model(tmp_path / "iris.pkl")
    assert found is not None
    assert (found.format, found.is_pickle) == ("sklearn", True)


def test_the_examples_of_hostile_files_are_what_they_say() -> None:
    names = {opcode.name for opcode, _, _ in pickletools.genops(HOSTILE["builtin"])}
    assert {"GLOBAL", "REDUCE"} <= names


TEXTS = {
    "xgboost-json": (b'{"learner":{},"version":[3,2,0]}', "xgboost", {"xgboost": "3.2.0"}),
    "xgboost-json-indented": (b'{\n  "version": [2, 1, 4],\n  "learner": {}\n}', "xgboost", {"xgboost": "2.1.4"}),
    "lightgbm": (b"tree\nversion=v4\nnum_class=3\n", "lightgbm", {}),
    "catboost": (b"CBM1\x10\0Summary: CatBoost release 1.2.10. commit", "catboost", {"catboost": "1.2.10"}),
    "catboost-of-no-release": (b"CBM1\x10\0\0", "catboost", {}),
    "json": (b'{"weights": [1, 2]}', None, {}),
    "text": (b"tree of life\n", None, {}),
    "empty": (b"", None, {}),
}


@pytest.mark.parametrize(("data", "name", "versions"), TEXTS.values(), ids=TEXTS)
def test_the_contents_of_a_text_file_decide(
    tmp_path: Path, data: bytes, name: str | None, versions: dict[str, str]
) -> None:
    (tmp_path / "model").write_bytes(data)
    found = inspect_model(tmp_path / "model")
    assert found is not None
    assert (found.format, dict(found.versions), found.is_certain) == (name, versions, name is not None)


def test_the_name_decides_where_the_contents_do_not(tmp_path: Path) -> None:
    for suffix, name in ((".joblib", "sklearn"), (".ubj", "xgboost"), (".txt", "lightgbm"), (".h5", None)):
        (tmp_path / f"model{suffix}").write_bytes(b"unknown")
        found = inspect_model(tmp_path / f"model{suffix}")
        assert found is not None
        assert (found.format, found.is_certain) == (name, False)


def test_a_changed_file_is_inspected_again(tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(TEXTS["lightgbm"][0])
    before = inspect_model(file)
    file.write_bytes(TEXTS["xgboost-json"][0])
    after = inspect_model(file)
    assert before is not None
    assert after is not None
    assert (before.format, after.format) == ("lightgbm", "xgboost")


ARCHIVES = {
    "skops": ({"schema.json": json.dumps({"__class__": "SVC", "__module__": "sklearn.svm._classes"})}, "sklearn"),
    "another": ({"weights.npy": "x"}, None),
    "no-class": ({"schema.json": "[]"}, None),
    "not-json": ({"schema.json": "{"}, None),
}


@pytest.mark.parametrize(("members", "name"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_is_of_skops_if_it_has_its_schema(tmp_path: Path, members: dict[str, str], name: str | None) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    found = inspect_model(tmp_path / "model.zip")
    assert found is not None
    assert (found.format, found.is_skops) == (name, name is not None)


def test_there_is_nothing_to_inspect_in_a_missing_file(tmp_path: Path) -> None:
    assert inspect_model(tmp_path / "missing") is None


PYFUNC = "flavors: {python_function: {loader_module: mlflow.sklearn}}\n"
DEEP = "flavors: " + "[" * 100_000
FOLDERS: dict[str, tuple[str | None, str | None]] = {
    "a-model": (PYFUNC, "mlflow"),
    "no-file": (None, None),
    "empty": ("", None),
    "text": ("flavors", None),
    "no-function": ("flavors: {sklearn: {sklearn_version: 1.5.0}}\n", None),
    "an-odd-loader": ("flavors: {python_function: {loader_module: [1]}}\n", None),
    "a-control-character": ("flavors: {python_function: {loader_module: 'x\\e[31m'}}\n", "mlflow"),
    "deep": (DEEP, None),
    "large": (PYFUNC + "#" * (1 << 21), None),
    "an-object": ("flavors: !!python/object/apply:os.abort []\n", None),
}


@pytest.mark.parametrize(("text", "name"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_is_of_mlflow_if_it_can_be_loaded_as_a_function(
    tmp_path: Path, text: str | None, name: str | None
) -> None:
    if text is not None:
        (tmp_path / "MLmodel").write_text(text)
    found = inspect_model(tmp_path)
    assert found is not None
    assert (found.format, found.is_folder) == (name, True)
    assert found.kind.isprintable()


def test_the_file_of_a_model_of_mlflow_is_not_the_model(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(PYFUNC)
    found = inspect_model(tmp_path / "MLmodel")
    assert found is not None
    assert (found.format, found.kind) == (None, "the description of a model of MLflow; the model is its folder")


VERSIONS = {
    "flavor": ("", {"sklearn": "1.5.0", "mlflow": "2.20.1"}),
    "pins": (
        "mlflow==2.20.1\nscikit_learn==1.4.2  # comment\nScipy[all]==1.13.1 ; python_version > '3'\nnumpy>=1\n-e .\n",
        {"sklearn": "1.5.0", "mlflow": "2.20.1", "scipy": "1.13.1"},
    ),
    "pins-of-nothing": ("==\nnumpy==\nnumpy==1.*.\x1b\n", {"sklearn": "1.5.0", "mlflow": "2.20.1"}),
}


@pytest.mark.parametrize(("requirements", "versions"), VERSIONS.values(), ids=VERSIONS)
def test_a_model_of_mlflow_records_versions(tmp_path: Path, requirements: str, versions: dict[str, str]) -> None:
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  python_function: {loader_module: mlflow.sklearn, python_version: 3.11.7}\n"
        "  sklearn: {sklearn_version: 1.5.0, serialization_format: skops}\nmlflow_version: 2.20.1\n"
    )
    (tmp_path / "requirements.txt").write_text(requirements)
    found = inspect_model(tmp_path)
    assert found is not None
    assert dict(found.versions) == versions
    assert found.modules == {"sklearn", "skops", "pandas"}


TABLES = {
    "columns": ('inputs: \'[{"type": "double", "name": "a"}]\'', True),
    "tensors": ('inputs: \'[{"type": "tensor", "tensor-spec": {}}]\'', False),
}


@pytest.mark.parametrize(("text", "takes_table"), TABLES.values(), ids=TABLES)
def test_a_model_of_columns_needs_pandas(tmp_path: Path, text: str, *, takes_table: bool) -> None:
    (tmp_path / "MLmodel").write_text(f"{PYFUNC}signature:\n  {text}\n")
    found = inspect_model(tmp_path)
    assert found is not None
    assert ("pandas" in found.modules) is takes_table


def test_a_function_needs_the_version_of_python_that_saved_it(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(
        "flavors: {python_function: {loader_module: mlflow.pyfunc.model, python_version: 3.9.18}}\n"
    )
    (tmp_path / "seldon.yaml").write_text("model: {path: ./}\n")
    found = inspect_model(tmp_path)
    assert found is not None
    assert found.versions["python"] == "3.9.18"


INSTALLED = [("1.0.2", 1), ("", 0)]


@pytest.mark.parametrize(("recorded", "count"), INSTALLED, ids=["another", "this"])
def test_a_command_that_loads_the_model_compares_the_installed_version(
    tmp_path: Path, recorded: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sklearn

    model = _pipeline()
    with monkeypatch.context() as patch:
        if recorded:
            patch.setattr("sklearn.base.__version__", recorded)
        (tmp_path / "iris.pkl").write_bytes(pickle.dumps(model))
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.pkl, method: transform}\n")
    warnings = [each for each in load(tmp_path, {}).diagnostics if each.severity is Severity.WARNING]
    assert [each.code for each in warnings] == ["model-version"] * count
    assert all(f"{sklearn.__version__} is installed here" == each.found for each in warnings)


PINS = [
    ("scikit-learn==0.24.2", 1), ("scikit-learn<1", 1), ("scikit-learn>=1", 0), ("scikit-learn", 0),
]  # fmt: skip


@pytest.mark.parametrize(("line", "count"), PINS, ids=[line for line, _ in PINS])
def test_validate_compares_the_requirements(tmp_path: Path, line: str, count: int) -> None:
    (tmp_path / "iris.pkl").write_bytes(pickle.dumps(_pipeline()))
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.pkl, method: transform}\n")
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    found = [each.code for each in load(tmp_path, {}, options=FOR_IMAGE).diagnostics]
    assert found.count("model-version") == count


def _onnx(ir_version: int = 8, opset: int = 17, graph: bytes = b"") -> bytes:
    return (
        write_field(1, ir_version)
        + write_field(2, b"tests")
        + write_field(7, graph)
        + write_field(8, write_field(1, b"") + write_field(2, opset))
    )


def _weights(file: bytes) -> bytes:
    """Return an initializer of a graph with its contents in another file."""
    return write_field(
        5,
        write_field(13, write_field(1, b"location") + write_field(2, file))
        + write_field(13, write_field(1, b"offset")),
    )


ONNX_FILES: dict[str, tuple[bytes, str | None, dict[str, str], tuple[str, ...]]] = {
    "old": (_onnx(), "onnx", {}, ()),
    "operators": (_onnx(opset=21), "onnx", {"onnxruntime": "1.18"}, ()),
    "file-format": (_onnx(ir_version=13), "onnx", {"onnxruntime": "1.24"}, ()),
    "newer-than-known": (_onnx(opset=999), "onnx", {}, ()),
    "weights": (_onnx(graph=_weights(b"a.bin") + _weights(b"b/c") + _weights(b"a.bin")), "onnx", {}, ("a.bin", "b/c")),
    "a-long-name": (_onnx(graph=_weights(b"x" * 5000)), None, {}, ()),
    "an-odd-name": (_onnx(graph=_weights(b"a\nRUN x")), None, {}, ()),
    "tensorflow": (write_field(1, 1) + write_field(2, b"graph"), None, {}, ()),
    "no-graph": (write_field(1, 8) + write_field(2, b"tests"), None, {}, ()),
    "truncated": (_onnx(graph=b"\x00" * 99)[:50], None, {}, ()),
    "a-group": (write_field(1, 8) + b"\x0b\x0c", None, {}, ()),
    "a-long-integer": (b"\x08" + b"\xff" * 20, None, {}, ()),
    "many-fields": (_onnx(graph=b"\x08\x00" * (MAX_FIELDS + 1)), None, {}, ()),
}


@pytest.mark.parametrize(("data", "name", "versions", "files"), ONNX_FILES.values(), ids=ONNX_FILES)
def test_a_file_of_onnx_tells_what_it_needs(
    tmp_path: Path, data: bytes, name: str | None, versions: dict[str, str], files: tuple[str, ...]
) -> None:
    (tmp_path / "model").write_bytes(data)
    found = inspect_model(tmp_path / "model")
    assert found is not None
    assert (found.format, dict(found.versions), found.files) == (name, versions, files)


PROGRAM = '{"schema_version": {"major": 8}, "torch_version": "2.9.1+cpu"}'
TORCH_FILES: dict[str, tuple[dict[str, str], str | None, str, dict[str, str]]] = {
    "script": ({"net/constants.pkl": "", "net/code/__torch__.py": ""}, "torch", "TorchScript", {}),
    "export": ({"net/archive_format": "pt2", "net/models/model.json": PROGRAM}, "torch", "export", {"torch": "2.9.1"}),
    "old-export": ({"serialized_exported_program.json": "{}", "version": "1"}, "torch", "torch.export", {}),
    "weights": ({"net/data.pkl": "", "net/version": "3"}, None, "weights or a pickled module", {}),
    "compiled": ({"net/archive_format": "pt2", "net/data/aotinductor/model/a.so": ""}, None, "AOTInductor", {}),
    "another": ({"net/code/__torch__.py": ""}, None, "a file of an unknown kind", {}),
}


@pytest.mark.parametrize(("members", "name", "kind", "versions"), TORCH_FILES.values(), ids=TORCH_FILES)
def test_an_archive_of_pytorch_is_known_by_its_members(
    tmp_path: Path, members: dict[str, str], name: str | None, kind: str, versions: dict[str, str]
) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    found = inspect_model(tmp_path / "model.zip")
    assert found is not None
    assert (found.format, found.is_program, dict(found.versions)) == (name, name is not None, versions)
    assert kind in found.kind


NEWER = [
    ("onnxruntime==1.20.1", 1), ("onnxruntime<1.22", 1), ("onnxruntime~=1.20.0", 1), ("onnxruntime==1.20.*", 1),
    ("onnxruntime>=1.24", 0), ("onnxruntime>=1.20", 0), ("onnxruntime==1.25.0", 0), ("onnxruntime>1.23,<2", 0),
]  # fmt: skip


@pytest.mark.parametrize(("line", "count"), NEWER, ids=[line for line, _ in NEWER])
def test_a_requirement_may_be_newer_than_what_a_file_needs(tmp_path: Path, line: str, count: int) -> None:
    (tmp_path / "model.onnx").write_bytes(_onnx(opset=23))
    (tmp_path / "seldon.yaml").write_text("model: {path: model.onnx}\n")
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    found = [each.code for each in load(tmp_path, {}, options=FOR_IMAGE).diagnostics]
    assert found.count("model-version") == count
