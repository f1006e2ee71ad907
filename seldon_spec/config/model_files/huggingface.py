"""What the folder of a model of Hugging Face transformers says of itself. Nothing of it is executed or loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from seldon_spec.config.paths import Unreadable, exists, read_file

CONFIG = "config.json"

TASKS: Mapping[str, str] = MappingProxyType(
    {
        "text-classification": "AutoModelForSequenceClassification",
        "zero-shot-classification": "AutoModelForSequenceClassification",
        "token-classification": "AutoModelForTokenClassification",
        "fill-mask": "AutoModelForMaskedLM",
        "text-generation": "AutoModelForCausalLM",
        "feature-extraction": "AutoModel",
        "image-classification": "AutoModelForImageClassification",
    }
)
"""The tasks that are served, each with the class of transformers that loads its models."""

IMAGE_TASK = "image-classification"
_FEATURES = "feature-extraction"

_HEADS = (
    ("ForSequenceClassification", ("text-classification", "zero-shot-classification", _FEATURES)),
    ("ForTokenClassification", ("token-classification", _FEATURES)),
    ("ForMaskedLM", ("fill-mask", _FEATURES)),
    ("ForCausalLM", ("text-generation", _FEATURES)),
    ("LMHeadModel", ("text-generation", _FEATURES)),
    ("ForImageClassification", (IMAGE_TASK,)),
)
"""The ends of the names of architectures with the tasks that they can serve, the default one first."""

WEIGHTS = "model.safetensors"
_PICKLE = "pytorch_model.bin"
_OTHERS = ("tf_model.h5", "flax_model.msgpack")
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json")
_SENTENCE_PIECES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")

_MAX_CONFIG_BYTES = 16 << 20
_MAX_INDEX_BYTES = 64 << 20
_MAX_FILES = 10_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,63}")


@dataclass(frozen=True, slots=True)
class HuggingFaceFacts:
    """What is known of a folder of transformers.

    Attributes:
        architecture: the class of the model; None: it is not recorded.
        version: of transformers, which wrote it; None: it is not recorded.
        weights: the names of the files with weights, also of those that are missing; empty: there are none.
        has_pickles: the weights are pickles.
        has_other_weights: there are weights that PyTorch does not load.
        has_tokenizer: the folder has the files of a tokenizer.
        has_processor: the folder has the file of a processor of images.
        needs_sentencepiece: the tokenizer is a file of SentencePiece alone.
    """

    architecture: str | None
    version: str | None
    weights: tuple[str, ...]
    has_pickles: bool
    has_other_weights: bool
    has_tokenizer: bool
    has_processor: bool
    needs_sentencepiece: bool

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the architecture can serve, the default one first; empty: it does not determine them."""
        name = self.architecture or ""
        found = next((tasks for end, tasks in _HEADS if name.endswith(end)), ())
        is_base = name.endswith("Model") and "For" not in name and (self.has_tokenizer or not self.has_processor)
        return found or ((_FEATURES,) if is_base else ())


def read_huggingface(folder: Path) -> HuggingFaceFacts | None:
    """Read the configuration of a model and the names of its files; None if it is no folder of transformers."""
    config = _read_json(folder / CONFIG, _MAX_CONFIG_BYTES)
    if not {"architectures", "model_type", "transformers_version"} & config.keys():
        return None
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names else None
    weights, has_pickles = _list_weights(folder)
    has_pieces = any(exists(folder / name) for name in _SENTENCE_PIECES)
    return HuggingFaceFacts(
        _match(_NAME, first),
        _match(_VERSION, config.get("transformers_version")),
        weights,
        has_pickles,
        any(exists(folder / name) for name in _OTHERS),
        has_pieces or any(exists(folder / name) for name in _TOKENIZERS),
        any(exists(folder / name) for name in _PROCESSORS),
        has_pieces and not exists(folder / _TOKENIZERS[0]),
    )


def _match(pattern: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _list_weights(folder: Path) -> tuple[tuple[str, ...], bool]:
    """Return the files with the weights that transformers loads, and whether they are pickles."""
    for name in (WEIGHTS, _PICKLE):
        if exists(folder / name):
            return (name,), name == _PICKLE
        parts = _read_json(folder / f"{name}.index.json", _MAX_INDEX_BYTES).get("weight_map")
        if isinstance(parts, dict):
            files = dict.fromkeys(_match(_FILE, part) for part in parts.values())
            if None not in files and len(files) <= _MAX_FILES:
                return tuple(map(str, files)), name == _PICKLE
    return (), False


def _read_json(path: Path, limit: int) -> dict[str, Any]:
    """Return the object of a file of JSON; an empty one if it cannot be read or is none."""
    try:
        tree = json.loads(read_file(path, limit))
    except (Unreadable, ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}
