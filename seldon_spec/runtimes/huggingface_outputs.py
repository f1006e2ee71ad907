"""The outputs of the pipelines of transformers: a name and a datatype for each key of their results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from seldon_spec.config.paths import Unreadable, read_file
from seldon_spec.runtimes.estimators import MAX_COLUMNS, Entry, ModelFileError

_ENTITIES = "entities"
_EMBEDDING = "embedding"
_MAX_CONFIG_BYTES = 1 << 20
_DTYPES = {"BYTES": np.object_, "FP32": np.float32, "INT64": np.int64}


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a pipeline.

    Attributes:
        name: the key in its results.
        datatype: of the elements.
        shape: -1 for any size.
        choices: the only values; empty: any.
        is_share: the numbers are from 0 to 1.
    """

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1,)
    choices: tuple[str, ...] = ()
    is_share: bool = False

    def declare(self) -> Entry:
        """Return it in the form of seldon.yaml."""
        entry: Entry = {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}
        entry |= {"content_type": "str"} if self.datatype == "BYTES" else {}
        entry |= {"minimum": 0, "maximum": 1} if self.is_share else {}
        return entry | ({"choices": list(self.choices)} if self.choices else {})


def _classify(pipeline: Any, parameters: Mapping[str, Any]) -> list[Output]:
    labels = _list_labels(pipeline)
    is_regression = getattr(pipeline.model.config, "problem_type", None) == "regression" or len(labels) == 1
    is_share = parameters.get("function_to_apply") in (None, "softmax", "sigmoid") and not is_regression
    shape = (-1, -1) if "top_k" in parameters else (-1,)
    return [Output("label", "BYTES", shape, labels), Output("score", "FP32", shape, is_share=is_share)]


def _classify_images(pipeline: Any, parameters: Mapping[str, Any]) -> list[Output]:
    return _classify(pipeline, {**parameters, "top_k": parameters.get("top_k")})


def _choose(pipeline: Any, parameters: Mapping[str, Any]) -> list[Output]:
    return [Output("labels", "BYTES", (-1, -1)), Output("scores", "FP32", (-1, -1), is_share=True)]


def _find_entities(pipeline: Any, parameters: Mapping[str, Any]) -> list[Output]:
    return [Output(_ENTITIES, "BYTES")]


def _fill(pipeline: Any, parameters: Mapping[str, Any]) -> list[Output]:
    shape = (-1, -1)
    texts = [Output(name, "BYTES", shape) for name in ("token_str", "sequence")]
    return [texts[0], Output("score", "FP32", shape, is_share=True), Output("token", "INT64", shape), texts[1]]


def _generate(pipeline: Any, parameters: Mapping[str, Any]) -> list[Output]:
    return [Output("generated_text", "BYTES", (-1, -1) if "num_return_sequences" in parameters else (-1,))]


def _embed(pipeline: Any, parameters: Mapping[str, Any]) -> list[Output]:
    size = getattr(pipeline.model.config, "hidden_size", None)
    return [Output(_EMBEDDING, "FP32", (-1, size if isinstance(size, int) else -1))]


OUTPUTS: Mapping[str, Callable[[Any, Mapping[str, Any]], list[Output]]] = MappingProxyType(
    {
        "text-classification": _classify,
        "zero-shot-classification": _choose,
        "token-classification": _find_entities,
        "fill-mask": _fill,
        "text-generation": _generate,
        "feature-extraction": _embed,
        "image-classification": _classify_images,
    }
)
"""For each task, what returns its outputs from the pipeline and its parameters."""


def _list_labels(pipeline: Any) -> tuple[str, ...]:
    labels = getattr(pipeline.model.config, "id2label", None) or {}
    names = tuple(dict.fromkeys(map(str, labels.values())))
    return names if len(names) <= MAX_COLUMNS else ()


def make_table(rows: Sequence[Any], outputs: Sequence[Output]) -> dict[str, Any]:
    """Return the results of a pipeline as arrays by the names of outputs.

    Args:
        rows: for each row a dictionary, or a list of dictionaries: of one length, or of any length for entities, which
            are a text of JSON for each row.
        outputs: of the pipeline.
    """
    if outputs[0].name == _ENTITIES:
        texts = [json.dumps(row, ensure_ascii=False, default=_to_number) for row in rows]
        return {_ENTITIES: np.array(texts, np.object_)}
    return {output.name: _make_array(rows, output) for output in outputs}


def _make_array(rows: Sequence[Any], output: Output) -> Any:
    dtype = _DTYPES[output.datatype]
    if not rows:
        return np.empty([max(size, 0) for size in output.shape], dtype)
    return np.array([_read_row(row, output) for row in rows], dtype)


def _read_row(row: Any, output: Output) -> Any:
    """Return the value of an output for a row, or a list of them if the output has several for each row."""
    values = [entry[output.name] for entry in (row if isinstance(row, list) else [row])]
    return values if len(output.shape) > 1 and isinstance(row, list) else values[0]


def _to_number(value: Any) -> Any:
    """Return a number of numpy as one of Python."""
    return value.item()


def find_pooling(path: Path) -> Callable[[Any], Any]:
    """Return the function that makes an array of the features of a text from the states of its tokens.

    It is the mean over the tokens, or what a folder of sentence-transformers says.

    Raises:
        ModelFileError: the folder has a module that is not supported.
    """
    modules = [each for each in _read_json(path / "modules.json", []) if isinstance(each, dict)]
    kinds = [str(each.get("type", "")).rpartition(".")[2] for each in modules]
    unknown = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if unknown:
        raise ModelFileError(f"{path.name}: modules.json has {unknown[0][:100]}, which is not supported: write a class")
    takes_first = False
    for each, kind in zip(modules, kinds, strict=True):
        if kind == "Pooling":
            takes_first = _takes_first(path, _read_json(path / str(each.get("path", "")) / "config.json", {}))

    def pool(states: Any) -> Any:
        vector = (states[0] if takes_first else states.mean(dim=0)).float().cpu().numpy()
        return vector / max(float(np.linalg.norm(vector)), 1e-12) if "Normalize" in kinds else vector

    return pool


def _takes_first(path: Path, config: Mapping[str, Any]) -> bool:
    """Return whether the features of a text are the state of its first token.

    Raises:
        ModelFileError: they are neither this nor the mean.
    """
    prefix = "pooling_mode_"
    modes = [name.removeprefix(prefix) for name, value in config.items() if name.startswith(prefix) and value is True]
    modes = modes or [str(config.get("pooling_mode", "mean"))]
    if modes not in (["mean_tokens"], ["mean"], ["cls_token"], ["cls"]):
        raise ModelFileError(f"{path.name}: the pooling {', '.join(modes)[:100]} is not supported: write a class")
    return modes[0].startswith("cls")


def _read_json(path: Path, default: Any) -> Any:
    """Return the contents of a file of JSON; the default if it cannot be read or has another type."""
    try:
        tree = json.loads(read_file(path, _MAX_CONFIG_BYTES))
    except (Unreadable, ValueError, RecursionError):
        return default
    return tree if isinstance(tree, type(default)) else default
