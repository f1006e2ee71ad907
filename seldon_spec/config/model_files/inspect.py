"""What a model file says of itself: its format, its class, and the versions that it records. Nothing is executed."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePath
from types import MappingProxyType

from seldon_spec.config.model_files.folders import inspect_folder, list_changed
from seldon_spec.config.model_files.formats import BY_MODULE, FORMATS
from seldon_spec.config.model_files.huggingface import WEIGHTS
from seldon_spec.config.model_files.mlmodel import MARKER as MLMODEL
from seldon_spec.config.model_files.model_file import ModelFile, is_name, make_versions
from seldon_spec.config.model_files.onnx import scan_onnx
from seldon_spec.config.model_files.tensorflow import MARKER as SAVED_MODEL
from seldon_spec.config.model_files.ubjson import find_ubj_version
from seldon_spec.config.model_files.urls import is_url, name_of

_EDGE_BYTES = 1 << 14
"""The start and the end of a file, which are enough to recognise it."""

_ARCHIVES = (b"PK\x03\x04", b"\x89HDF")
_MAX_SCHEMA_BYTES = 64 << 20
_SKOPS_SCHEMA = "schema.json"
_UBJ = b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner"
_CBM = b"CBM1"
_CBM_VERSION = re.compile(rb"\bCatBoost release (\d{1,4}\.\d{1,4}(?:\.\d{1,4})?)\b")
_COLUMN_NAMES = '"feature_names_in_"'
_SKOPS = ".skops"
_PICKLED = frozenset({".joblib", ".pkl", ".pickle"})
_JSON = re.compile(rb'\s*\{\s*"(learner|version)"\s*:')
_JSON_VERSION = re.compile(rb'"version"\s*:\s*\[\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*\]')
_SKOPS_VERSION = re.compile(r'"_sklearn_version":\s*\{[^{}]*"content":\s*"\\"([0-9][0-9A-Za-z.+!-]{0,63})\\""')
_SKOPS_MODULE = re.compile(r'"__module__":\s*"([A-Za-z_][A-Za-z0-9_]*)')


def inspect_model(path: Path) -> ModelFile | None:
    """Inspect a model file or folder; None if there is none, or it cannot be read.

    A file that has not changed since it was last inspected is not read again.
    """
    try:
        if path.is_dir():
            return _inspect_folder(path.resolve(), *list_changed(path))
        if not path.is_file():
            return None
        stat = path.stat()
        return _inspect(path.resolve(), stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError):
        return None


def list_model_files(path: str, found: ModelFile) -> list[str]:
    """Return the paths of the further files that belong to a model file.

    Args:
        path: of the model file; the paths are relative to the same folder.
        found: what the file says of itself.
    """
    folder = path if found.is_folder else posixpath.dirname(path)
    return [posixpath.normpath(posixpath.join(folder, file)) for file in found.files]


def find_model(local: Path, path: str) -> ModelFile | None:
    """Return what a model file says of itself; of a URL whose file is not here, what its name says.

    Args:
        local: where the file is without a download.
        path: of the file in the folder, or a URL.
    """
    found = inspect_model(local)
    if found is not None or not is_url(path):
        return found
    name = name_of(path)
    modules = frozenset({"skops"} if name.lower().endswith(_SKOPS) else ())
    return replace(_guess(name), kind="a file at a URL, whose name does not determine the format", modules=modules)


@lru_cache(maxsize=64)
def _inspect_folder(path: Path, *_changed: tuple[int, int] | None) -> ModelFile:
    return inspect_folder(path)


@lru_cache(maxsize=64)
def _inspect(path: Path, _changed_at: int, size: int) -> ModelFile:
    with path.open("rb") as stream:
        head = stream.read(_EDGE_BYTES)
        stream.seek(max(0, size - _EDGE_BYTES))
        tail = stream.read(_EDGE_BYTES)
    found = _inspect_archive(path, head) if head.startswith(_ARCHIVES) else None
    found = found or _inspect_native(head, tail) or _inspect_onnx(path, head, size) or _inspect_pickle(path, head)
    if found is not None:
        return found
    return _PARTS.get(path.name) or _guess(path.name)


_PARTS = {
    MLMODEL: ModelFile(None, "the description of a model of MLflow; the model is its folder"),
    SAVED_MODEL: ModelFile(None, "a part of a SavedModel of TensorFlow; the model is its folder"),
    WEIGHTS: ModelFile(None, "the weights of a model of transformers; the model is its folder"),
}
"""Files that belong to a folder, by name."""


def _guess(name: str) -> ModelFile:
    """Return what the name of a file says of it."""
    suffix = PurePath(name).suffix.lower()
    found = next((each.name for each in FORMATS.values() if suffix in each.suffixes), None)
    return ModelFile(
        found,
        "a file of an unknown kind",
        is_certain=False,
        is_pickle=suffix in _PICKLED,
        is_program=suffix in FORMATS["torch"].suffixes,
    )


def _inspect_native(head: bytes, tail: bytes) -> ModelFile | None:
    """Recognise a file of a library's own format."""
    if head.startswith(_UBJ):
        version = find_ubj_version(tail)
        return ModelFile("xgboost", "a model of XGBoost in UBJSON", versions=make_versions("xgboost", version))
    if _JSON.match(head) and b'"learner"' in head + tail:
        found = _JSON_VERSION.search(tail) or _JSON_VERSION.search(head)
        version = None if found is None else ".".join(part.decode() for part in found.groups())
        return ModelFile("xgboost", "a model of XGBoost in JSON", versions=make_versions("xgboost", version))
    if head.startswith((b"tree\nversion=", b"tree\r\nversion=")):
        return ModelFile("lightgbm", "a model of LightGBM in text")
    if head.startswith(_CBM):
        release = _CBM_VERSION.search(tail) or _CBM_VERSION.search(head)
        version = None if release is None else release[1].decode()
        return ModelFile("catboost", "a model of CatBoost", versions=make_versions("catboost", version))
    return None


def _inspect_pickle(path: Path, head: bytes) -> ModelFile | None:
    from seldon_spec.config.model_files.pickles import may_be_pickle, scan_pickle  # decompressors, which few files need

    facts = scan_pickle(path, head) if may_be_pickle(head) else None
    if facts is None:
        return None
    module, name = facts.root
    top = module.partition(".")[0]
    found = BY_MODULE.get(top)
    return ModelFile(
        None if found is None or found.is_folder else found.name,
        f"a pickle of {_show_class(module, name)}",
        is_pickle=True,
        is_joblib=facts.is_joblib,
        modules=frozenset(facts.modules),
        versions=MappingProxyType(facts.versions),
    )


def _show_class(module: str, name: str) -> str:
    shown = name if module == "builtins" else f"{module}.{name}"
    return shown if is_name(shown) else "a class without a proper name"


def _inspect_onnx(path: Path, head: bytes, size: int) -> ModelFile | None:
    facts = scan_onnx(path, size) if head.startswith(b"\x08") else None
    if facts is None:
        return None
    kind = f"a model of ONNX with the operators of version {facts.opset}"
    return ModelFile("onnx", kind, versions=make_versions("onnxruntime", facts.runtime), files=tuple(facts.files))


def _inspect_archive(path: Path, head: bytes) -> ModelFile | None:
    from seldon_spec.config.model_files.keras import recognise_keras  # imports zipfile, which few files need

    return _inspect_skops(path) or _inspect_torch(path) or recognise_keras(path, head)


def _inspect_torch(path: Path) -> ModelFile | None:
    from seldon_spec.config.model_files.torch import read_archive

    found = read_archive(path)
    if found is None:
        return None
    if not found.is_program:
        remedy = "save the model with torch.export.save or torch.jit.save"
        return ModelFile(None, found.contents.value, remedy=remedy)
    return ModelFile("torch", found.contents.value, is_program=True, versions=make_versions("torch", found.version))


def _inspect_skops(path: Path) -> ModelFile | None:
    import zipfile  # few files need it

    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_SKOPS_SCHEMA).file_size > _MAX_SCHEMA_BYTES:
                return None
            text = archive.read(_SKOPS_SCHEMA).decode()
        root = json.loads(text)
        module, name = root["__module__"], root["__class__"]
        top = module.partition(".")[0]
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError, zipfile.BadZipFile):
        return None
    found, version = BY_MODULE.get(top), _SKOPS_VERSION.search(text)
    return ModelFile(
        None if found is None else found.name,
        f"a skops file of {_show_class(module, name)}",
        is_skops=True,
        modules=frozenset({"skops", *_SKOPS_MODULE.findall(text), *(["pandas"] if _COLUMN_NAMES in text else [])}),
        versions=make_versions("sklearn", None if version is None else version[1]),
    )
