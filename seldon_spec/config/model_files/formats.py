"""The formats of model files, one row each. The schema, the checks, the runtimes and the tests follow this table.

A new format is a row here, a module in ``seldon_spec/runtimes`` and its name in the schema; ``inspect.py`` recognises
its files. Imports none of the libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class VersionRule(Enum):
    """Which versions of a library may load a file that another one wrote."""

    SAME = "the same version"
    NOT_OLDER = "that version or a later one"
    NEEDED = "the version that the contents need, or a later one; the file does not record which one wrote it"


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """A format of model files.

    Attributes:
        name: in ``model.format``.
        module: the top-level module of the library; its distribution is in the table of ``distributions``.
        suffixes: of file names whose contents do not decide, e.g. of a file that is compressed in an unusual way.
        runtime: the module and the function that makes the object for a file, e.g. ``pkg.module:function``.
        methods: the methods that a model may have; the first one is the default.
        options: the keys of ``model.options`` that the runtime takes.
        without_code: what to write instead of a pickle, whose loading executes code.
        version_rule: for the version that a file records.
        system_packages: of Debian, without which the library cannot be imported.
        needs: further top-level modules without which no model can be loaded.
        code: why serving any model executes code, for a diagnostic; empty: the file decides.
        is_folder: a model is a folder, so a file of its library is none.
        is_rowwise: a model processes rows, whether it describes its inputs or not. Requests of any other model share a
            call only if all inputs and outputs have any number of rows.
    """

    name: str
    module: str
    suffixes: tuple[str, ...]
    runtime: str
    methods: tuple[str, ...]
    options: tuple[str, ...]
    without_code: str
    version_rule: VersionRule = VersionRule.SAME
    system_packages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    code: str = ""
    is_folder: bool = False
    is_rowwise: bool = True


_ALL = (
    ModelFormat(
        "sklearn",
        "sklearn",
        (".joblib", ".pkl", ".pickle", ".skops"),
        "seldon_spec.runtimes.sklearn:load_model",
        ("predict", "predict_proba", "transform", "decision_function", "apply"),
        ("threads", "trusted"),
        "save it with skops, or export it to ONNX",
    ),
    ModelFormat(
        "xgboost",
        "xgboost",
        (".json", ".ubj", ".xgb"),
        "seldon_spec.runtimes.xgboost:load_model",
        ("predict", "predict_proba", "apply"),
        ("threads",),
        "save it with save_model, as JSON or UBJSON",
        VersionRule.NOT_OLDER,
    ),
    ModelFormat(
        "lightgbm",
        "lightgbm",
        (".txt", ".lgb"),
        "seldon_spec.runtimes.lightgbm:load_model",
        ("predict", "predict_proba"),
        ("threads",),
        "save its booster with save_model, as text",
        VersionRule.NOT_OLDER,
        system_packages=("libgomp1",),
    ),
    ModelFormat(
        "onnx",
        "onnxruntime",
        (".onnx",),
        "seldon_spec.runtimes.onnx:load_model",
        ("predict", "predict_proba", "transform"),
        ("threads", "providers"),
        "",  # it has none
        VersionRule.NEEDED,
        is_rowwise=False,
    ),
    ModelFormat(
        "torch",
        "torch",
        (".pt", ".pth", ".pt2"),
        "seldon_spec.runtimes.torch:load_model",
        ("predict",),
        ("threads", "device"),
        "export it to ONNX",
        VersionRule.NOT_OLDER,
        is_rowwise=False,
    ),
    ModelFormat(
        "catboost",
        "catboost",
        (".cbm",),
        "seldon_spec.runtimes.catboost:load_model",
        ("predict", "predict_proba"),
        ("threads",),
        "save it with save_model, as cbm",
        VersionRule.NOT_OLDER,
    ),
    ModelFormat(
        "mlflow",
        "mlflow",
        (),
        "seldon_spec.runtimes.mlflow:load_model",
        ("predict",),
        ("threads",),
        "serve the file of its library itself, or export it to ONNX",
        VersionRule.NOT_OLDER,
        code="loading a model of mlflow executes code of its folder, such as pickles",
        is_folder=True,
    ),
    ModelFormat(
        "huggingface",
        "transformers",
        (),
        "seldon_spec.runtimes.huggingface:load_model",
        ("predict",),
        ("threads", "device", "task", "parameters"),
        "save it with save_pretrained, as safetensors",
        VersionRule.NOT_OLDER,
        needs=("torch",),
        is_folder=True,
    ),
    ModelFormat(
        "tensorflow",
        "tensorflow",
        (),
        "seldon_spec.runtimes.tensorflow:load_model",
        ("predict",),
        ("threads", "device", "signature"),
        "export it to ONNX",
        VersionRule.NOT_OLDER,
        code="a SavedModel is a program: serving it executes code that it contains",
        is_folder=True,
        is_rowwise=False,
    ),
)

FORMATS: Mapping[str, ModelFormat] = MappingProxyType({each.name: each for each in _ALL})
"""The formats by name."""

BY_MODULE: Mapping[str, ModelFormat] = MappingProxyType({each.module: each for each in _ALL})
"""The formats by the top-level module that defines the class of a pickled model."""
