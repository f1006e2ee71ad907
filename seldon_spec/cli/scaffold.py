"""The files of a new project: spec, class, requirements and a test, for each service type."""

from __future__ import annotations

import json
import keyword
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import yaml

from seldon_spec import __version__
from seldon_spec.config.build_spec import default_name
from seldon_spec.config.model import SPEC_FILE, ServiceType, Spec
from seldon_spec.config.schema.lookup import schema_text
from seldon_spec.deploy.dockerfile.dockerignore import render_dockerignore
from seldon_spec.errors import SeldonSpecError

if TYPE_CHECKING:
    from seldon_spec.cli.estimator import Estimator
from seldon_spec.runtimes.estimators import Entry

SCHEMA_FILE = "seldon.schema.json"

DEFAULT_NAMES = {
    ServiceType.MODEL: "MyModel",
    ServiceType.ROUTER: "MyRouter",
    ServiceType.TRANSFORMER: "MyTransformer",
    ServiceType.COMBINER: "MyCombiner",
    ServiceType.OUTLIER_DETECTOR: "MyDetector",
}

_TEMPLATES = Path(__file__).parent / "templates"

_MAX_LINE = 120


class FilesExist(SeldonSpecError):
    """Files of the new project exist already, or the folder cannot be written."""


def is_class_name(text: str) -> bool:
    """Return whether a text is a valid name of a class and of its module."""
    return bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text)) and not keyword.iskeyword(text)


def class_name_of(model_file: Path) -> str:
    """Return a class name for a file of a model, e.g. ``ChurnModel`` for ``churn-model.joblib``."""
    words = re.findall(r"[A-Za-z0-9]+", model_file.stem)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if is_class_name(name) else DEFAULT_NAMES[ServiceType.MODEL]


def make_files(service_type: ServiceType, class_name: str, *, has_infer: bool = False) -> dict[str, str]:
    """Return the texts of the files, by name; with ``has_infer``, of a MODEL with named tensors."""
    values = _values(service_type, class_name)
    kind = "infer" if has_infer else service_type.value
    return {
        SPEC_FILE: fill("seldon.yaml.txt", values) + fill(f"{kind}.yaml.txt", values),
        f"{class_name}.py": fill(f"{kind}.py.txt", values),
        f"test_{class_name}.py": fill("test.txt", values) + fill(f"{kind}.test.txt", values),
        "requirements.txt": fill("requirements.txt.txt", values),
        **shared_files(class_name, values["name"]),
    }


def make_model_files(class_name: str, model_file: str, estimator: Estimator) -> dict[str, str]:
    """Return the texts of the files that serve an estimator, by name; ``model_file`` is relative to the folder."""
    is_frame, has_probabilities = estimator.takes_frame, estimator.method == "predict_proba"
    pandas = "import pandas as pd" if is_frame else ""
    values = _values(ServiceType.MODEL, class_name) | {
        "model_file": model_file,
        "estimator": estimator.name,
        "imports": pandas and ("\n" if estimator.loader == "joblib" else "\n\n") + pandas,
        "annotation": ": pd.DataFrame" if is_frame else "",
        "method": estimator.method,
        "shape": ".reshape(-1, 1)" if estimator.is_flat else "",
        "result": "the probability of each class" if has_probabilities else "one prediction",
        "names": _literal(estimator.names),
        "row": _literal(estimator.row),
    }
    image = {"python": f"{sys.version_info.major}.{sys.version_info.minor}", "model_files": [model_file]}
    settings = [("parameters", {"model_file": model_file}), ("image", image)]
    return {
        SPEC_FILE: fill("seldon.yaml.txt", values)
        + "".join(f"{key}: {flow(value)}\n" for key, value in settings)
        + _render_tensors("inputs", estimator.inputs)
        + _render_tensors("outputs", estimator.outputs),
        f"{class_name}.py": fill(f"model.{estimator.loader}.py.txt", values),
        f"test_{class_name}.py": fill("test.txt", values) + fill("model.test.txt", values),
        "requirements.txt": "".join(f"{name}=={version}\n" for name, version in estimator.packages.items()),
        **shared_files(class_name, values["name"]),
    }


def _values(service_type: ServiceType, class_name: str) -> dict[str, str]:
    return {"class_name": class_name, "service_type": service_type.value, "name": default_name(class_name)}


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the text of a template."""
    return Template((_TEMPLATES / template).read_text("utf-8")).substitute(values)


def _literal(values: Sequence[Any]) -> str:
    """Return a list as Python source, with its texts in double quotes."""
    items = (json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value) for value in values)
    return f"[{', '.join(items)}]"


def shared_files(class_name: str | None, name: str) -> dict[str, str]:
    """Return the texts of the files that every folder gets, by name."""
    return {
        ".dockerignore": render_dockerignore(Spec(class_name, Path(), name), __version__),
        SCHEMA_FILE: schema_text(),
    }


def flow(value: Any) -> str:
    """Return a value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=sys.maxsize)
    return text.removesuffix("...\n").strip()


def _render_tensors(key: str, tensors: list[Entry]) -> str:
    """Return the lines of ``inputs`` or ``outputs``: a list of names for plain columns, else a line for each part."""
    columns = tensors[0].get("columns", ())
    if key == "outputs" or not columns:
        return f"{key}:\n" + "".join(f"  - {flow(tensor)}\n" for tensor in tensors)
    names = [column["name"] for column in columns]
    if tensors[0]["datatype"] == "FP64" and all(len(column) == 1 for column in columns):
        text = f"{key}: {flow(names)}\n"
        return text if len(text) <= _MAX_LINE else f"{key}:\n" + "".join(f"  - {flow(name)}\n" for name in names)
    (first, value), *others = ((part, value) for part, value in tensors[0].items() if part != "columns")
    lines = [f"  - {first}: {flow(value)}", *(f"    {part}: {flow(value)}" for part, value in others), "    columns:"]
    return "\n".join([f"{key}:", *lines, *(f"      - {flow(column)}" for column in columns), ""])


def write_files(folder: Path, files: Mapping[str, str], copies: Mapping[str, Path] | None = None) -> None:
    """Write all of the files, or none.

    Args:
        folder: the folder; created if it does not exist.
        files: the texts by path.
        copies: the files to copy, by name.

    Raises:
        FilesExist: one of them exists, or the folder cannot be written; nothing is changed.
    """
    copies = copies or {}
    names = {*files, *copies}
    existing = sorted(name for name in names if (folder / name).exists() or (folder / name).is_symlink())
    if existing:
        raise FilesExist(f"{folder} already contains {', '.join(existing)}; nothing was written")
    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("x", encoding="utf-8") as stream:
                stream.write(text)
        for name, source in copies.items():
            if source.is_dir():
                shutil.copytree(source, folder / name)
            else:
                shutil.copyfile(source, folder / name)
    except OSError as error:
        raise FilesExist(f"{folder} cannot be written: {error.strerror or error}") from error
