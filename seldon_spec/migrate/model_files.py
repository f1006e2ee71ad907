"""Model files that servers of others load: the key ``model`` that serves the same file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from seldon_spec.config.checks.distributions import package_of
from seldon_spec.config.model_files.formats import FORMATS
from seldon_spec.config.model_files.urls import SCHEMES, find_problem, is_url, scheme_of
from seldon_spec.config.paths import is_file, is_inside
from seldon_spec.config.schema.check import check
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.schema.lookup import field_schema
from seldon_spec.errors import FieldPath, Origin, OriginKind, Position
from seldon_spec.migrate.candidates import Gathered, Rank

_SUFFIX = re.compile(r"\.(bin|bst|cbm|joblib|json|pickle|pkl|skops|txt|ubj|xgb)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A server of model files.

    Attributes:
        format: that its models have here.
        files: the names that it looks for in a folder; empty: the folder is the model.
        method: that it calls.
        options: the names of its parameters that are options here, with the names of the options.
    """

    format: str
    files: tuple[str, ...] = ()
    method: str = "predict"
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)


_HUGGINGFACE = ModelServer("huggingface", options=MappingProxyType({"task": "task"}))


SELDON_SERVERS: Mapping[str, ModelServer] = MappingProxyType(
    {
        "SKLEARN_SERVER": ModelServer("sklearn", ("model.joblib",), "predict_proba"),
        "XGBOOST_SERVER": ModelServer("xgboost", ("model.bst",)),
        "MLFLOW_SERVER": ModelServer("mlflow"),
        "TENSORFLOW_SERVER": ModelServer("tensorflow", options=MappingProxyType({"signature_name": "signature"})),
        "HUGGINGFACE_SERVER": _HUGGINGFACE,
    }
)
"""The servers of Seldon by ``implementation``."""

OTHER_SERVERS: Mapping[str, str] = MappingProxyType(
    {
        "TRITON_SERVER": "NVIDIA Triton, which loads a repository of models with its own configuration: keep it in the"
        " SeldonDeployment; a graph calls it as a component with its url",
        "TEMPO_SERVER": "a server for models of Tempo: write a class that calls the model",
    }
)
"""Why other servers of Seldon are not migrated."""

FROM_HUB = (
    "it names a model that is downloaded from a hub: save it into a folder with save_pretrained, and write model: "
    "{path: FOLDER}"
)
"""Why a model of transformers without files is not migrated."""

MLSERVER_RUNTIMES: Mapping[str, ModelServer] = MappingProxyType(
    {
        "mlserver_sklearn.SKLearnModel": ModelServer("sklearn", ("model.joblib", "model.pickle", "model.pkl")),
        "mlserver_xgboost.XGBoostModel": ModelServer("xgboost", ("model.bst", "model.json", "model.ubj")),
        "mlserver_lightgbm.LightGBMModel": ModelServer("lightgbm", ("model.bst",)),
        "mlserver_catboost.CatboostModel": ModelServer("catboost", ("model.cbm", "model.bin")),
        "mlserver_mlflow.MLflowRuntime": ModelServer("mlflow"),
        "mlserver_huggingface.HuggingFaceRuntime": _HUGGINGFACE,
    }
)
"""The runtimes of MLServer by ``implementation``, without the modules inside their packages."""


def add_model(
    folder: Path, server: ModelServer, uri: str, position: Position, label: str, gathered: Gathered, method: str | None
) -> bool:
    """Add the key ``model``, and the package of its format; return whether the file can be served.

    Args:
        folder: of seldon.yaml; a path in it is relative to it.
        server: that loads the file now.
        uri: of the file, or of a folder that holds it.
        position: of the URI.
        label: its name.
        gathered: receives the settings.
        method: that is called; None: the default of the server.
    """
    path = _find_path(folder, server, uri, position, label, gathered)
    if path is None:
        return False
    method = method or server.method
    gathered.add(("model", "format"), server.format, position, label, Rank.DEPLOYMENT)
    gathered.add(("model", "path"), path, position, label, Rank.DEPLOYMENT)
    row = FORMATS[server.format]
    if method != row.methods[0]:
        gathered.add(("model", "method"), method, position, f"{label}, which calls {method}", Rank.DEPLOYMENT)
    modules = [row.module, *row.needs, SCHEMES.get(scheme_of(path)) if is_url(path) else None]
    gathered.packages += [(package_of(module), position) for module in modules if module is not None]
    return True


def add_option(server: ModelServer, name: str, value: str, position: Position, gathered: Gathered) -> bool:
    """Add an option for a parameter of a server, or report its value; return whether the parameter is an option.

    Args:
        server: that reads the parameter.
        name: of the parameter.
        value: of the parameter.
        position: of the parameter.
        gathered: receives the setting.
    """
    option = server.options.get(name)
    if option is None:
        return False
    path: FieldPath = ("model", "options", option)
    schema = field_schema(path) or {}
    value = schema.get("x-synonyms", {}).get(value, value)
    if check(value, path, SourceLocations.single(Origin(OriginKind.FILE, position.file, position))):
        allowed = ", ".join(filter(None, schema.get("enum", [])))
        why = f"model.options.{option} does not accept this value" + (f"; it is one of {allowed}" if allowed else "")
        gathered.leave_out(position, f"parameter {name}", why)
    else:
        gathered.add(path, value, position, f"parameter {name}", Rank.DEPLOYMENT)
    return True


def _find_path(
    folder: Path, server: ModelServer, uri: str, position: Position, label: str, gathered: Gathered
) -> str | None:
    if is_url(uri):
        is_whole = not server.files or bool(_SUFFIX.search(uri))
        url = uri if is_whole else f"{uri.rstrip('/')}/{server.files[0]}"
        problem = "it has a query, which may be a token" if "?" in uri else find_problem(url)
        if problem is None:
            return url
        allowed = ", ".join(SCHEMES)
        why = f"{problem}: copy the model into the folder, or to a place with a URL of {allowed}"
        gathered.leave_out(position, label, why)
        return None
    if not uri or not is_inside(folder, uri):
        gathered.leave_out(
            position, label, "it names no place in the folder: copy the model into it, and set model.path"
        )
        return None
    path = posixpath.normpath(uri)
    if not server.files or is_file(folder / path) or _SUFFIX.search(path):
        return path
    names = [posixpath.normpath(posixpath.join(path, name)) for name in server.files]
    return next((name for name in names if is_file(folder / name)), names[0])
