"""Folders of transformers and of TensorFlow: what they say of themselves, and which options fit them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.config.loader import FOR_IMAGE, load
from seldon_spec.config.model_files.huggingface import read_huggingface
from seldon_spec.config.model_files.inspect import inspect_model, list_model_files
from seldon_spec.config.model_files.protobuf import MAX_FIELDS
from seldon_spec.config.model_files.tensorflow import (
    Signature,
    SignatureTensor,
    find_saved_model,
    read_saved_model,
)
from seldon_spec.errors import Severity, SpecError
from tests.config.protobuf_fields import write_field

BERT = {"architectures": ["BertForSequenceClassification"], "transformers_version": "4.57.1", "model_type": "bert"}
TOKENIZER = {"tokenizer.json": "{}"}
SHARDS = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}


def _write(folder: Path, files: dict[str, Any]) -> Path:
    """Write files: text, bytes, or an object of JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, (str, bytes)) else json.dumps(content)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def _config(name: str | None, **more: Any) -> dict[str, Any]:
    return {"config.json": {"model_type": "x", "architectures": [name], **more}, "model.safetensors": ""}


FOLDERS: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "safe": ({"config.json": BERT, "model.safetensors": ""}, "huggingface", "BertForSequenceClassification"),
    "both": ({"config.json": BERT, "model.safetensors": "", "pytorch_model.bin": ""}, "huggingface", "Bert"),
    "pickle": ({"config.json": BERT, "pytorch_model.bin": ""}, "huggingface", "a model of transformers"),
    "shards": ({"config.json": BERT, "model.safetensors.index.json": SHARDS}, "huggingface", "transformers"),
    "no-architecture": ({"config.json": {"model_type": "bert"}, "model.safetensors": ""}, "huggingface", "transf"),
    "an-odd-name": (_config("\x1b[31m"), "huggingface", "a model of transformers"),
    "no-weights": ({"config.json": BERT}, None, "without weights"),
    "weights-elsewhere": (
        {"config.json": BERT, "model.safetensors.index.json": {"weight_map": {"a": "../secret"}}}, None,
        "without weights",
    ),
    "other-weights": ({"config.json": BERT, "tf_model.h5": ""}, None, "with weights of TensorFlow or Flax"),
    "another-config": ({"config.json": {"name": "app"}, "model.safetensors": ""}, None, "a folder without"),
    "not-json": ({"config.json": "{", "model.safetensors": ""}, None, "a folder without"),
    "deep": ({"config.json": "[" * 100_000, "model.safetensors": ""}, None, "a folder without"),
    "a-list": ({"config.json": [1], "model.safetensors": ""}, None, "a folder without"),
    "adapter": ({"adapter_config.json": {}}, None, "an adapter of PEFT"),
    "diffusers": ({"model_index.json": {}}, None, "a pipeline of diffusers"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "name", "kind"), FOLDERS.values(), ids=FOLDERS)
def test_the_files_of_a_folder_decide_whether_it_is_of_transformers(
    tmp_path: Path, files: dict[str, Any], name: str | None, kind: str
) -> None:
    found = inspect_model(_write(tmp_path / "model", files))
    assert found is not None
    assert (found.format, found.is_folder, found.is_certain) == (name, True, True)
    assert kind in found.kind
    assert found.kind.isprintable()
    assert (found.remedy is None) is (name is not None or "a folder without" in found.kind)


def test_a_folder_of_transformers_records_its_version_and_its_files(tmp_path: Path) -> None:
    found = inspect_model(_write(tmp_path / "bert", {"config.json": BERT, "model.safetensors.index.json": SHARDS}))
    assert found is not None
    assert dict(found.versions) == {"transformers": "4.57.1"}
    assert found.modules == set()
    assert list_model_files("models/bert", found) == [
        f"models/bert/model-0000{index}-of-00002.safetensors" for index in (1, 2)
    ]
    assert not found.is_pickle


PARTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "image": (_config("ViTForImageClassification"), {"PIL"}),
    "sentence-pieces": ({**_config("XForMaskedLM"), "spiece.model": ""}, {"sentencepiece"}),
    "fast-tokenizer": ({**_config("XForMaskedLM"), "spiece.model": "", **TOKENIZER}, set()),
}


@pytest.mark.parametrize(("files", "modules"), PARTS.values(), ids=PARTS)
def test_a_folder_of_transformers_needs_packages_besides_it(
    tmp_path: Path, files: dict[str, Any], modules: set[str]
) -> None:
    found = inspect_model(_write(tmp_path / "model", files))
    assert found is not None
    assert found.modules == modules


def test_a_changed_folder_is_inspected_again(tmp_path: Path) -> None:
    before = inspect_model(_write(tmp_path / "bert", {"config.json": BERT}))
    after = inspect_model(_write(tmp_path / "bert", {"model.safetensors": ""}))
    assert before is not None
    assert after is not None
    assert (before.format, after.format) == (None, "huggingface")


ARCHITECTURES = {
    "BertForSequenceClassification": ("text-classification", "zero-shot-classification", "feature-extraction"),
    "BertForTokenClassification": ("token-classification", "feature-extraction"),
    "RobertaForMaskedLM": ("fill-mask", "feature-extraction"),
    "LlamaForCausalLM": ("text-generation", "feature-extraction"),
    "GPT2LMHeadModel": ("text-generation", "feature-extraction"),
    "ViTForImageClassification": ("image-classification",),
    "MPNetModel": ("feature-extraction",),
    "T5ForConditionalGeneration": (),
    "BertForPreTraining": (),
    "Own": (),
}


@pytest.mark.parametrize(("name", "tasks"), ARCHITECTURES.items(), ids=ARCHITECTURES)
def test_the_architecture_determines_the_task(tmp_path: Path, name: str, tasks: tuple[str, ...]) -> None:
    facts = read_huggingface(_write(tmp_path, {**_config(name), **TOKENIZER}))
    assert facts is not None
    assert facts.tasks == tasks


OPTIONS: dict[str, tuple[dict[str, Any], str, list[str], str]] = {
    "default": (_config("XForMaskedLM"), "{}", [], ""),
    "given": (_config("XForConditionalGeneration"), "{task: text-generation}", [], ""),
    "features": (_config("XForMaskedLM"), "{task: feature-extraction}", [], ""),
    "unknown": (_config("XForConditionalGeneration"), "{}", ["model-task"], "does not determine the task"),
    "none": ({"config.json": {"model_type": "x"}, "model.safetensors": ""}, "{}", ["model-task"], "determine"),
    "another": (_config("XForMaskedLM"), "{task: text-generation}", ["model-task"], "not for text-generation"),
    "no-labels": (
        _config("XForSequenceClassification"), "{task: zero-shot-classification}", ["model-task"], "candidate_labels",
    ),
    "labels": (
        _config("XForSequenceClassification"),
        "{task: zero-shot-classification, parameters: {candidate_labels: [a, b]}}", [], "",
    ),
    "signature": (_config("XForMaskedLM"), "{signature: a}", ["model-option"], "no option of the format huggingface"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "options", "codes", "text"), OPTIONS.values(), ids=OPTIONS)
def test_the_task_must_fit_the_architecture(
    tmp_path: Path, files: dict[str, Any], options: str, codes: list[str], text: str
) -> None:
    _write(tmp_path / "net", {**files, **TOKENIZER})
    _check(tmp_path, options, codes, text)


def _check(folder: Path, options: str, codes: list[str], text: str) -> None:
    """Check the errors of a spec whose model is the folder ``net``."""
    _write(folder, {"seldon.yaml": f"model: {{path: net, options: {options}}}\n", "requirements.txt": REQUIREMENTS})
    try:
        found = load(folder, {}, options=FOR_IMAGE).diagnostics
    except SpecError as error:
        found = tuple(error.diagnostics)
    errors = [each for each in found if each.severity is Severity.ERROR]
    assert [each.code for each in errors] == codes
    assert text in " ".join(each.message for each in errors)


REQUIREMENTS = "transformers\ntorch\npillow\ntensorflow\n"


@pytest.mark.parametrize(("format_name", "needed"), [("huggingface", {"torch", "transformers"}), ("tensorflow", set())])
def test_a_folder_at_a_url_needs_the_packages_of_its_format(tmp_path: Path, format_name: str, needed: set[str]) -> None:
    _write(tmp_path, {"seldon.yaml": f"model: {{path: 's3://a/net', format: {format_name}}}\n"})
    _write(tmp_path, {"requirements.txt": "s3fs\ntensorflow-cpu\n"})
    found = load(tmp_path, {}, options=FOR_IMAGE).diagnostics
    missing = {each.message.split(",")[0] for each in found if each.code == "missing-requirement"}
    assert missing == {f"model.path needs {name}" for name in needed}


LACKING: dict[str, tuple[dict[str, Any], str]] = {
    "tokenizer": (_config("XForMaskedLM"), "the folder has no tokenizer, which fill-mask needs"),
    "processor": (_config("XForImageClassification"), "the folder has no processor of images"),
    "shard": (
        {"config.json": BERT, "model.safetensors.index.json": SHARDS, **TOKENIZER,
         "model-00001-of-00002.safetensors": ""},
        "a file with weights of net is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "text"), LACKING.values(), ids=LACKING)
def test_a_file_that_the_folder_lacks_is_an_error(tmp_path: Path, files: dict[str, Any], text: str) -> None:
    _write(tmp_path / "net", files)
    _check(tmp_path, "{}", ["no-such-file"], text)


def _tensor(name: bytes, dtype: int, shape: list[int] | None) -> bytes:
    """Return an entry for an input or an output of a signature."""
    sizes = b"" if shape is None else b"".join(write_field(2, write_field(1, size) if size else b"") for size in shape)
    sizes = write_field(3, 1) if shape is None else sizes
    return write_field(1, name) + write_field(
        2, write_field(1, name + b":0") + write_field(2, dtype) + write_field(3, sizes)
    )


SIGNATURE = (
    write_field(1, _tensor(b"x", 1, [-1, 4])) + write_field(1, _tensor(b"a", 7, [-1])) + write_field(2, _tensor(b"y", 9, None))
    + write_field(3, b"tensorflow/serving/predict")
)  # fmt: skip


def _graph(*signatures: bytes, tag: bytes = b"serve", version: bytes = b"2.16.1", value: bytes = SIGNATURE) -> bytes:
    entries = b"".join(write_field(5, write_field(1, name) + write_field(2, value)) for name in signatures)
    return write_field(
        2, write_field(1, write_field(4, tag) + write_field(5, version)) + write_field(2, b"\xff" * 50) + entries
    )


def _saved(*graphs: bytes) -> bytes:
    return write_field(1, 1) + b"".join(graphs)


DEFAULT = b"serving_default"
SAVED: dict[str, tuple[bytes, str | None, str, dict[str, str]]] = {
    "served": (_saved(_graph(DEFAULT)), "tensorflow", "a SavedModel of TensorFlow", {"tensorflow": "2.16.1"}),
    "two-graphs": (
        _saved(_graph(tag=b"train"), _graph(DEFAULT)), "tensorflow", "SavedModel", {"tensorflow": "2.16.1"},
    ),
    "no-version": (_saved(_graph(DEFAULT, version=b"unknown")), "tensorflow", "SavedModel", {}),
    "no-signature": (_saved(_graph(b"__saved_model_init_op")), None, "without signatures", {}),
    "to-train": (_saved(_graph(DEFAULT, tag=b"train")), None, "has nothing to serve", {}),
    "truncated": (_saved(_graph(DEFAULT))[:-9], None, "cannot be read", {}),
    "empty": (b"", None, "cannot be read", {}),
    "text": (b"a model", None, "cannot be read", {}),
    "an-odd-name": (_saved(_graph(b"a\x1b[31m")), None, "cannot be read", {}),
    "a-long-name": (_saved(_graph(b"x" * 5000)), None, "cannot be read", {}),
    "many-fields": (
        _saved(_graph(DEFAULT, value=b"\x18\x00" * (MAX_FIELDS + 1))), None, "cannot be read", {},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "name", "kind", "versions"), SAVED.values(), ids=SAVED)
def test_a_saved_model_is_known_by_its_signatures(
    tmp_path: Path, data: bytes, name: str | None, kind: str, versions: dict[str, str]
) -> None:
    found = inspect_model(_write(tmp_path / "net", {"saved_model.pb": data}))
    assert found is not None
    assert (found.format, dict(found.versions), found.is_folder) == (name, versions, True)
    assert kind in found.kind


def test_a_signature_has_its_tensors_by_name(tmp_path: Path) -> None:
    facts = read_saved_model(_write(tmp_path, {"saved_model.pb": _saved(_graph(DEFAULT, b"other"))}))
    assert facts is not None
    assert list(facts.signatures) == ["serving_default", "other"]
    assert facts.signatures["other"] == Signature(
        (SignatureTensor("a", "BYTES", (-1,)), SignatureTensor("x", "FP32", (-1, 4))),
        (SignatureTensor("y", "INT64", None),),
    )


def test_the_highest_version_of_a_folder_is_served(tmp_path: Path) -> None:
    for number in ("1", "9", "10", "v11"):
        _write(tmp_path / number, {"saved_model.pb": _saved(_graph(DEFAULT))})
    (tmp_path / "12").mkdir()
    assert find_saved_model(tmp_path) == tmp_path / "10"
    found = inspect_model(tmp_path)
    assert found is not None
    assert (found.format, found.kind) == ("tensorflow", "a SavedModel of TensorFlow, version 10")
    _write(tmp_path / "12", {"saved_model.pb": _saved(_graph(b"other"))})
    again = inspect_model(tmp_path)
    assert again is not None
    assert again.kind == "a SavedModel of TensorFlow, version 12"


SIGNATURES: dict[str, tuple[tuple[bytes, ...], str, list[str], str]] = {
    "default": ((DEFAULT, b"other"), "{}", [], ""),
    "given": ((b"other",), "{signature: other}", [], ""),
    "no-default": ((b"other",), "{}", ["model-option"], "the SavedModel has no signature serving_default"),
    "misspelt": ((DEFAULT,), "{signature: serving_defualt}", ["model-option"], "has no signature serving_defualt"),
    "task": ((DEFAULT,), "{task: fill-mask}", ["model-option"], "is no option of the format tensorflow"),
}


@pytest.mark.parametrize(("names", "options", "codes", "text"), SIGNATURES.values(), ids=SIGNATURES)
def test_the_signature_must_be_one_of_the_saved_model(
    tmp_path: Path, names: tuple[bytes, ...], options: str, codes: list[str], text: str
) -> None:
    _write(tmp_path / "net", {"saved_model.pb": _saved(_graph(*names))})
    _check(tmp_path, options, codes, text)


def _archive(tmp_path: Path) -> bytes:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    return path.read_bytes()


def test_a_file_of_keras_says_how_to_serve_it(tmp_path: Path) -> None:
    files = {"model.keras": _archive(tmp_path), "model.h5": b"\x89HDF\r\n\x1a\n" + b"\x00" * 8}
    for name, kind in (("model.keras", "a model of Keras"), ("model.h5", "a file of HDF5")):
        found = inspect_model(_write(tmp_path, files) / name)
        assert found is not None
        assert found.format is None
        assert kind in found.kind
        assert "export(FOLDER)" in str(found.remedy)


@pytest.mark.parametrize("name", ["saved_model.pb", "model.safetensors", "MLmodel"])
def test_the_file_of_a_folder_is_not_the_model(tmp_path: Path, name: str) -> None:
    found = inspect_model(_write(tmp_path, {name: "x"}) / name)
    assert found is not None
    assert found.format is None
    assert "the model is its folder" in found.kind
