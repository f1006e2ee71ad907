"""Models of transformers: results are those of their pipelines, and nothing is downloaded.

No model of a hub is needed: the tests write tiny ones with random weights.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seldon_spec.app import load
from seldon_spec.calls.client import Client
from seldon_spec.cli.main import run
from seldon_spec.errors import ComponentFailed
from tests.conftest import Serve
from tests.runtimes.conftest import ServeModel

pytestmark = [
    pytest.mark.runtimes,
    pytest.mark.filterwarnings("default"),  # of transformers and of what it imports
]

transformers: Any = pytest.importorskip("transformers")
torch: Any = pytest.importorskip("torch")

TEXTS = ["the film is good", "a bad day"]
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] good bad day the is a . this example film book".split()
SIZES = {
    "vocab_size": len(WORDS), "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 16,
}  # fmt: skip


def _save(model: Any, folder: Path) -> Path:
    model.eval().save_pretrained(folder)
    return folder


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordPiece({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def _make_bert(name: str, labels: list[str] | None = None, **more: Any) -> Any:
    torch.manual_seed(0)
    named: dict[str, Any] = {} if labels is None else {"id2label": dict(enumerate(labels))}
    named |= {} if labels is None else {"label2id": {label: index for index, label in enumerate(labels)}}
    return getattr(transformers, name)(transformers.BertConfig(**SIZES, **named, **more))


def _save_bert(folder: Path, name: str, labels: list[str] | None = None, **more: Any) -> Path:
    _save(_make_bert(name, labels, **more), folder)
    _save_tokenizer(folder)
    return folder


def _save_gpt(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=32, n_embd=8, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=None
    )
    _save(transformers.GPT2LMHeadModel(config), folder)
    _save_tokenizer(folder)
    return folder


def _save_vit(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4,
        id2label=dict(enumerate(["cat", "dog", "cow"])),
    )  # fmt: skip
    _save(transformers.ViTForImageClassification(config), folder)
    processor = {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 8, "width": 8},
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture
def connections() -> Iterator[list[Any]]:
    """What the code of the test connects to, or looks up, except for this machine."""
    found: list[Any] = []
    is_open = True

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if is_open and event in ("socket.connect", "socket.getaddrinfo") and "127.0.0.1" not in str(arguments):
            found.append((event, arguments))

    sys.addaudithook(audit)
    yield found
    is_open = False


def _post_texts(served: Any, texts: list[str]) -> dict[str, Any]:
    """Return the outputs of the Open Inference Protocol by name, as arrays."""
    tensor = {"name": "args", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    outputs = served.post(f"/v2/models/{served.spec.name}/infer", {"inputs": [tensor]})["outputs"]
    return {each["name"]: np.reshape(each["data"], each["shape"]) for each in outputs}


def test_a_classifier_is_served_by_both_protocols(
    tmp_path: Path, serve_model: ServeModel, connections: list[Any]
) -> None:
    folder = _save_bert(tmp_path / "moods", "BertForSequenceClassification", ["bad", "good"])
    expected = transformers.pipeline("text-classification", model=str(folder))(TEXTS)
    served = serve_model("moods", options={"threads": 2})
    found = served.predict(TEXTS)["data"]
    assert found["names"] == ["label", "score"]
    assert [row[0] for row in found["ndarray"]] == [each["label"] for each in expected]
    assert [row[1] for row in found["ndarray"]] == pytest.approx([each["score"] for each in expected])
    assert served.predict([[text] for text in TEXTS])["data"] == found
    assert served.post("/predict", {"strData": TEXTS[0]})["data"]["ndarray"] == found["ndarray"][:1]
    outputs = _post_texts(served, TEXTS)
    assert outputs["label"].tolist() == [each["label"] for each in expected]
    assert outputs["score"] == pytest.approx([each["score"] for each in expected])
    assert torch.get_num_threads() == 2
    assert connections == []


def test_a_classifier_describes_its_contract(tmp_path: Path, serve_model: ServeModel) -> None:
    _save_bert(tmp_path / "moods", "BertForSequenceClassification", ["bad", "good"])
    served = serve_model("moods")
    metadata = served.metadata()
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert [(each["name"], each["datatype"], each["shape"]) for each in metadata["outputs"]] == [
        ("label", "BYTES", [-1]), ("score", "FP32", [-1]),
    ]  # fmt: skip
    problem = served.predict([1.5], status=400)["status"]["info"]
    assert "input text: element [0]: 1.5 is not text" in problem


def test_several_labels_for_each_text(tmp_path: Path, serve_model: ServeModel) -> None:
    folder = _save_bert(tmp_path / "moods", "BertForSequenceClassification", ["bad", "good"])
    expected = transformers.pipeline("text-classification", model=str(folder), top_k=None)(TEXTS)
    served = serve_model("moods", options={"parameters": {"top_k": None}})
    outputs = _post_texts(served, TEXTS)
    assert outputs["label"].tolist() == [[each["label"] for each in row] for row in expected]
    assert served.predict(TEXTS, status=200)["jsonData"]["label"] == outputs["label"].tolist()


TASKS: dict[str, tuple[Callable[[Path], Path], dict[str, Any], list[str]]] = {
    "zero-shot-classification": (
        lambda path: _save_bert(path, "BertForSequenceClassification", ["contradiction", "entailment"]),
        {"candidate_labels": ["film", "day"], "hypothesis_template": "this is {}"}, ["labels", "scores"],
    ),
    "fill-mask": (
        lambda path: _save_bert(path, "BertForMaskedLM"), {"top_k": 2}, ["token_str", "score", "token", "sequence"],
    ),
    "text-generation": (_save_gpt, {"max_new_tokens": 3, "do_sample": False}, ["generated_text"]),
}  # fmt: skip


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("task", "case"), TASKS.items(), ids=TASKS)
def test_the_outputs_have_the_keys_of_the_pipeline(
    tmp_path: Path, serve_model: ServeModel, task: str, case: tuple[Any, dict[str, Any], list[str]], count: int
) -> None:
    save, parameters, names = case
    folder = save(tmp_path / "net")
    texts = (["the [MASK] is good", "a [MASK] day"] if task == "fill-mask" else TEXTS)[:count]
    pipeline = transformers.pipeline(task, model=str(folder), **parameters)
    served = serve_model("net", options={"task": task, "parameters": parameters})
    outputs = _post_texts(served, texts)
    assert list(outputs) == names
    for row, text in enumerate(texts):
        (expected,) = pipeline([text]) if task != "fill-mask" else [pipeline(text)]
        entries = expected if isinstance(expected, list) else [expected]
        for name in names:
            wanted = [value for entry in entries for value in np.ravel(entry[name]).tolist()]
            found = outputs[name][row].ravel().tolist() if outputs[name].ndim > 1 else [outputs[name][row]]
            assert found == (wanted if isinstance(wanted[0], str) else pytest.approx(wanted))


def test_a_text_without_exactly_one_mask_is_refused(tmp_path: Path, serve_model: ServeModel) -> None:
    _save_bert(tmp_path / "net", "BertForMaskedLM")
    served = serve_model("net")
    for text, count in (("a day", 0), ("[MASK] [MASK]", 2)):
        problem = served.predict(["the [MASK]", text], status=400)["status"]["info"]
        assert f"text 1 has {count} masks: it must have one, [MASK]" in problem


def test_the_entities_of_a_text_are_json(tmp_path: Path, serve_model: ServeModel) -> None:
    folder = _save_bert(tmp_path / "net", "BertForTokenClassification", ["O", "B-X"])
    expected = transformers.pipeline("token-classification", model=str(folder))(TEXTS)
    served = serve_model("net")
    found = [json.loads(text) for text in _post_texts(served, TEXTS)["entities"].tolist()]
    assert any(found)
    assert found == [[{**each, "score": pytest.approx(float(each["score"]))} for each in row] for row in expected]
    assert [json.loads(text) for text in served.predict(TEXTS)["data"]["ndarray"]] == found


POOLING: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "mean": ({}, False, False),
    "first-token": ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, True, False),
    "normalised": ({"pooling_mode": "mean"}, False, True),
}


@pytest.mark.parametrize(("config", "takes_first", "is_normalised"), POOLING.values(), ids=POOLING)
def test_features_are_the_mean_of_the_tokens_or_what_sentence_transformers_says(
    tmp_path: Path, serve_model: ServeModel, config: dict[str, Any], *, takes_first: bool, is_normalised: bool
) -> None:
    folder = _save_bert(tmp_path / "net", "BertModel")
    states = [np.array(each) for each in transformers.pipeline("feature-extraction", model=str(folder))(TEXTS)]
    if config:
        kinds = ["Transformer", "Pooling", *(["Normalize"] if is_normalised else [])]
        modules = [{"path": "" if kind == "Transformer" else kind, "type": f"models.{kind}"} for kind in kinds]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "Pooling").mkdir()
        (folder / "Pooling" / "config.json").write_text(json.dumps(config))
    expected = np.stack([each[0, 0] if takes_first else each[0].mean(axis=0) for each in states])
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True) if is_normalised else expected
    served = serve_model("net")
    assert _post_texts(served, TEXTS)["embedding"] == pytest.approx(expected, abs=1e-5)
    assert np.array(served.predict(TEXTS)["data"]["ndarray"]) == pytest.approx(expected, abs=1e-5)
    assert served.predict([])["data"]["ndarray"] == []
    assert served.metadata()["outputs"] == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 8]}]


def _draw(color: tuple[int, int, int]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (9, 7), color).save(file, "PNG")
    return file.getvalue()


def test_images_are_classified(tmp_path: Path, serve_model: ServeModel) -> None:
    from PIL import Image

    folder = _save_vit(tmp_path / "net")
    files = [_draw((200, 10, 10)), _draw((10, 10, 200))]
    expected = transformers.pipeline("image-classification", model=str(folder))(
        [Image.open(io.BytesIO(file)) for file in files]
    )
    served = serve_model("net")
    texts = [base64.b64encode(file).decode() for file in files]
    outputs = _post_texts(served, texts)
    assert outputs["label"].tolist() == [[each["label"] for each in row] for row in expected]
    assert outputs["score"] == pytest.approx(np.array([[each["score"] for each in row] for row in expected]))
    found = served.post("/predict", {"binData": texts[0]})["jsonData"]
    assert found["label"] == outputs["label"].tolist()[:1]
    damaged = base64.b64encode(files[0][:40]).decode()
    assert "is not an image" in served.post("/predict", {"binData": damaged}, 400)["status"]["info"]
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [damaged]}
    problem = served.post("/v2/models/iris/infer", {"inputs": [tensor]}, 400)["error"]
    assert "element 0 is not an image" in problem


def test_a_text_that_is_too_long_is_refused_unless_it_is_cut(tmp_path: Path, serve_model: ServeModel) -> None:
    _save_bert(tmp_path / "net", "BertForSequenceClassification", ["bad", "good"])
    problem = serve_model("net").predict(["good " * 20], status=400)["status"]["info"]
    assert "text 0 has 22 tokens, and the model takes 16" in problem
    assert "{truncation: true}" in problem
    options = {"parameters": {"truncation": True, "max_length": 16}}
    assert serve_model("net", options=options).predict(["good " * 20])["data"]["names"] == ["label", "score"]


def _fail(folder: Path, options: str = "{}") -> str:
    (folder / "seldon.yaml").write_text(f"model: {{path: net, options: {options}}}\n")
    with pytest.raises(ComponentFailed) as failure:
        Client(load(folder, {}))
    return str(failure.value)


REFUSED = {
    "unknown": ("{parameters: {nonsense: 1}}", "model.options.parameters: "),
    "reserved": ("{parameters: {trust_remote_code: true}}", "model.options.parameters: trust_remote_code cannot be"),
    "device": ("{device: 'cuda:7'}", "net cannot be loaded: "),
}


@pytest.mark.parametrize(("options", "text"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_option_is_found_at_the_start(tmp_path: Path, options: str, text: str) -> None:
    _save_gpt(tmp_path / "net")
    assert _fail(tmp_path, options).startswith(text)


def test_weights_that_lack_the_head_of_the_task_are_refused(tmp_path: Path) -> None:
    folder = _save_bert(tmp_path / "net", "BertModel")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertForSequenceClassification"]}))
    assert "the weights are not those of a model for text-classification: they lack classifier" in _fail(tmp_path)


def test_code_of_the_folder_is_not_executed(tmp_path: Path) -> None:
    folder = _save_bert(tmp_path / "net", "BertForSequenceClassification", ["bad", "good"])
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {name: f"own.{name}" for name in ("AutoConfig", "AutoModel")}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'written')!r}, 'w')\n")
    assert _fail(tmp_path).startswith("net cannot be loaded: ")
    assert not (tmp_path / "written").exists()


def test_a_damaged_file_cannot_be_loaded(tmp_path: Path) -> None:
    folder = _save_bert(tmp_path / "net", "BertForSequenceClassification", ["bad", "good"])
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert _fail(tmp_path).startswith("net cannot be loaded: ")


CONTRACTS = {
    "text-classification": (lambda path: _save_bert(path, "BertForSequenceClassification"), "{truncation: true}"),
    "several": (lambda path: _save_bert(path, "BertForSequenceClassification"), "{truncation: true, top_k: 2}"),
    "token-classification": (lambda path: _save_bert(path, "BertForTokenClassification"), "{}"),
    "feature-extraction": (lambda path: _save_bert(path, "BertModel"), "{truncation: true}"),
}


@pytest.mark.parametrize(("save", "parameters"), CONTRACTS.values(), ids=CONTRACTS)
def test_a_model_passes_its_contract_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], save: Callable[[Path], Path], parameters: str
) -> None:
    save(tmp_path / "net")
    (tmp_path / "seldon.yaml").write_text(f"model: {{path: net, options: {{parameters: {parameters}}}}}\n")
    assert run(["test", str(tmp_path), "--requests", "5"]) == 0, capsys.readouterr()


def test_requests_of_texts_share_a_call(tmp_path: Path) -> None:
    from seldon_spec.inference.assembly import dispatcher_for

    _save_bert(tmp_path / "net", "BertForSequenceClassification", ["bad", "good"])
    (tmp_path / "seldon.yaml").write_text("model: {path: net}\n")
    dispatcher = dispatcher_for(load(tmp_path, {}))
    component = dispatcher.start().result(60)
    dispatcher.stop()
    assert component.batchable


def test_a_server_responds_over_both_transports(tmp_path: Path, serve_folder: Serve) -> None:
    folder = _save_bert(tmp_path / "net", "BertForSequenceClassification", ["bad", "good"])
    expected = transformers.pipeline("text-classification", model=str(folder))(TEXTS)
    (tmp_path / "seldon.yaml").write_text("model: {path: net}\n")
    with serve_folder(tmp_path) as server:
        for target in (f"http://127.0.0.1:{server.http}", f"grpc://127.0.0.1:{server.grpc}"):
            with Client(target) as client:
                outputs = client.infer({"text": np.array(TEXTS, np.object_)})
                rows = client.predict(TEXTS)
            assert outputs["label"].tolist() == [each["label"] for each in expected]
            assert outputs["score"] == pytest.approx([each["score"] for each in expected])
            assert [row[0] for row in np.asarray(rows).tolist()] == [each["label"] for each in expected]
