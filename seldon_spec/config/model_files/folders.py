"""What the folder of a model says of itself: of MLflow, of TensorFlow or of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from seldon_spec.config.model_files.huggingface import CONFIG, IMAGE_TASK, HuggingFaceFacts, read_huggingface
from seldon_spec.config.model_files.mlmodel import MARKER as MLMODEL
from seldon_spec.config.model_files.mlmodel import REQUIREMENTS, read_mlmodel
from seldon_spec.config.model_files.model_file import ModelFile, is_name, make_versions
from seldon_spec.config.model_files.tensorflow import MARKER as SAVED_MODEL
from seldon_spec.config.model_files.tensorflow import find_saved_model, read_saved_model
from seldon_spec.config.paths import exists

_ADAPTER = "adapter_config.json"
_DIFFUSERS = "model_index.json"


def inspect_folder(path: Path) -> ModelFile:
    """Return what a folder says of itself."""
    if exists(path / MLMODEL):
        return _inspect_mlflow(path)
    saved = find_saved_model(path)
    if saved is not None:
        return _inspect_saved_model(path, saved)
    facts = read_huggingface(path)
    if facts is not None:
        return _inspect_huggingface(facts)
    if exists(path / _ADAPTER):
        remedy = "merge it into its model with merge_and_unload, and save that one with save_pretrained"
        return ModelFile(None, "an adapter of PEFT, without its model", is_folder=True, remedy=remedy)
    if exists(path / _DIFFUSERS):
        return ModelFile(None, "a pipeline of diffusers", is_folder=True, remedy="write a class that loads it")
    return ModelFile(None, f"a folder without a file {MLMODEL}, {SAVED_MODEL} or {CONFIG} of a model", is_folder=True)


def list_changed(path: Path) -> Iterator[tuple[int, int] | None]:
    """Yield what changes when a file is written that ``inspect_folder`` reads."""
    saved = find_saved_model(path)
    for file in (path, path / MLMODEL, path / REQUIREMENTS, path / CONFIG, (saved or path) / SAVED_MODEL):
        stat = file.stat() if exists(file) else None
        yield None if stat is None else (stat.st_mtime_ns, stat.st_size)


def _inspect_mlflow(path: Path) -> ModelFile:
    facts = read_mlmodel(path)
    if facts is None:
        return ModelFile(None, f"a folder with a file {MLMODEL} that describes no model", is_folder=True)
    if facts.loader is None:
        return ModelFile(None, "a model of MLflow without the flavor python_function", is_folder=True)
    return ModelFile(
        "mlflow",
        "a model of MLflow" + (f", loaded by {facts.loader}" if is_name(facts.loader) else ""),
        modules=facts.modules,
        versions=MappingProxyType(dict(facts.versions)),
        is_folder=True,
    )


def _inspect_saved_model(path: Path, saved: Path) -> ModelFile:
    facts = read_saved_model(saved)
    what = "a SavedModel of TensorFlow"
    if facts is None:
        return ModelFile(None, f"{what} that cannot be read, or has nothing to serve", is_folder=True)
    if not facts.signatures:
        remedy = "save it with signatures; a model of Keras has them after export(FOLDER)"
        return ModelFile(None, f"{what} without signatures", is_folder=True, remedy=remedy)
    return ModelFile(
        "tensorflow",
        what if saved == path else f"{what}, version {saved.name}",
        versions=make_versions("tensorflow", facts.version),
        is_folder=True,
    )


def _inspect_huggingface(facts: HuggingFaceFacts) -> ModelFile:
    what = "a model of transformers" + ("" if facts.architecture is None else f", {facts.architecture}")
    if not facts.weights:
        others = ", with weights of TensorFlow or Flax" if facts.has_other_weights else ", without weights"
        remedy = "save it with save_pretrained of PyTorch, which writes model.safetensors"
        return ModelFile(None, what + others, is_folder=True, remedy=remedy)
    modules = {"PIL"} if IMAGE_TASK in facts.tasks else {"sentencepiece"} if facts.needs_sentencepiece else set()
    return ModelFile(
        "huggingface",
        what,
        modules=frozenset(modules),
        versions=make_versions("transformers", facts.version),
        is_folder=True,
        is_pickle=facts.has_pickles,
        files=facts.weights,
    )
