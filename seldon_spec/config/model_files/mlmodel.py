"""What the folder of a model of MLflow says of itself, in its files ``MLmodel`` and ``requirements.txt``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seldon_spec.config.paths import Unreadable, decode_text, read_file
from seldon_spec.config.yaml.parser import MAX_BYTES, parse_document

MARKER = "MLmodel"
REQUIREMENTS = "requirements.txt"
PYTHON = "python"
"""The key of the version of Python among the recorded versions."""

_PYFUNC = "python_function"
_FLAVORS = {
    "catboost": ("catboost", "catboost_version"),
    "keras": ("keras", "keras_version"),
    "lightgbm": ("lightgbm", "lgb_version"),
    "onnx": ("onnxruntime", ""),
    "pmdarima": ("pmdarima", "pmdarima_version"),
    "prophet": ("prophet", "prophet_version"),
    "pytorch": ("torch", "pytorch_version"),
    "sentence_transformers": ("sentence_transformers", "sentence_transformers_version"),
    "sklearn": ("sklearn", "sklearn_version"),
    "spacy": ("spacy", "spacy_version"),
    "statsmodels": ("statsmodels", "statsmodels_version"),
    "tensorflow": ("tensorflow", ""),
    "transformers": ("transformers", "transformers_version"),
    "xgboost": ("xgboost", "xgb_version"),
}
"""The flavors with the module that loads each, and the key of its version; empty: it records none of that module."""

_MODULES = {"mlflow-skinny": "mlflow", "scikit-learn": "sklearn", "xgboost-cpu": "xgboost"}
"""The modules of packages that a rule or a flavor knows by another name."""

_PIN = re.compile(
    r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,99})(?:\[[^\]]{0,200}\])?\s*==\s*([0-9][0-9A-Za-z.+!-]{0,63})\s*(?:[;#]|$)"
)
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,63}")
_MAX_PINS = 500


@dataclass(frozen=True, slots=True)
class MlflowFacts:
    """What is known of a model of MLflow.

    Attributes:
        loader: the module that loads it as a function of Python; None: it cannot be loaded as one.
        modules: the top-level modules that loading it needs.
        versions: the recorded versions of libraries and of Python, by top-level module or package.
    """

    loader: str | None
    modules: frozenset[str]
    versions: Mapping[str, str]


def read_mlmodel(folder: Path) -> MlflowFacts | None:
    """Read the description of a model; None if it cannot be read or is none."""
    try:
        document = parse_document(read_file(folder / MARKER, MAX_BYTES), MARKER)
    except Unreadable:
        return None
    tree = _mapping(None if document.root is None else document.root.to_json())
    flavors = {name: _mapping(value) for name, value in _mapping(tree.get("flavors")).items()}
    if not flavors:
        return None
    pyfunc = flavors.get(_PYFUNC, {})
    loader = pyfunc.get("loader_module")
    loader = loader if isinstance(loader, str) else None
    known = {name: _FLAVORS[name] for name in flavors if name in _FLAVORS}
    modules = {module for module, _ in known.values()}
    if _is_skops(flavors):
        modules.add("skops")
    if _takes_table(_mapping(tree.get("signature"))):
        modules.add("pandas")
    recorded = {module: flavors[name].get(key) for name, (module, key) in known.items()}
    recorded |= {"mlflow": tree.get("mlflow_version")}
    if _is_bytecode(loader, flavors):
        recorded |= {PYTHON: pyfunc.get("python_version")}
    versions = dict(_read_pins(folder)) | {
        module: text for module, text in recorded.items() if isinstance(text, str) and _VERSION.fullmatch(text)
    }
    return MlflowFacts(loader, frozenset(modules), versions)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_skops(flavors: Mapping[str, Mapping[str, Any]]) -> bool:
    return flavors.get("sklearn", {}).get("serialization_format") == "skops"


def _is_bytecode(loader: str | None, flavors: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether the model may contain functions, which only one minor version of Python can load."""
    return loader == "mlflow.pyfunc.model" or flavors.get("sklearn", {}).get("serialization_format") == "cloudpickle"


def _takes_table(signature: Mapping[str, Any]) -> bool:
    """Return whether the model takes a DataFrame, as it does unless the signature has tensors."""
    inputs = signature.get("inputs")
    return not (isinstance(inputs, str) and '"tensor-spec"' in inputs)


def _read_pins(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the packages that were installed where the model was saved, with their versions."""
    try:
        text = decode_text(read_file(folder / REQUIREMENTS, MAX_BYTES), "replace")
    except Unreadable:
        return
    for line in text.splitlines()[:_MAX_PINS]:
        found = _PIN.match(line)
        if found is not None:
            name = re.sub(r"[-_.]+", "-", found[1]).lower()
            yield _MODULES.get(name, name), found[2]
