"""Rules of the options of models that are folders: the task of transformers, and the signature of TensorFlow.

The folder is read, and nothing of it is executed. A model at a URL is checked when it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seldon_spec.config.checks.context import RuleContext
from seldon_spec.config.checks.folder_files import MODEL_PATH, find_local_model
from seldon_spec.config.model_files.huggingface import IMAGE_TASK, TASKS, HuggingFaceFacts, read_huggingface
from seldon_spec.config.model_files.model_file import ModelFile
from seldon_spec.config.model_files.tensorflow import DEFAULT_SIGNATURE, find_saved_model, read_saved_model
from seldon_spec.config.schema.suggest import guess
from seldon_spec.errors import Diagnostic

_TASK = ("model", "options", "task")
_PARAMETERS = ("model", "options", "parameters")
_SIGNATURE = ("model", "options", "signature")
_LABELS = "candidate_labels"


def check_folder(context: RuleContext, found: ModelFile) -> Iterator[Diagnostic]:
    """Report options that do not fit the model of a folder, and files that it lacks."""
    path = find_local_model(context)
    if path is None or not found.is_folder:
        return
    if found.format == "huggingface":
        facts = read_huggingface(path)
        yield from () if facts is None else _check_huggingface(context, facts)
    elif found.format == "tensorflow":
        saved = find_saved_model(path)
        signatures = None if saved is None else read_saved_model(saved)
        yield from () if signatures is None else _check_signature(context, signatures.signatures)


def _check_huggingface(context: RuleContext, facts: HuggingFaceFacts) -> Iterator[Diagnostic]:
    given = context.values.get(_TASK)
    task = given or next(iter(facts.tasks), None)
    name = facts.architecture or "config.json has no architectures"
    if task is None:
        yield Diagnostic(
            "model-task",
            "model.options.task is missing: the architecture of the model does not determine the task",
            context.origin(*MODEL_PATH),
            path=MODEL_PATH,
            found=name,
            allowed=", ".join(TASKS),
            help="set model.options.task; for any other task, write a class that loads the model",
        )
        return
    if facts.tasks and task not in facts.tasks:
        yield Diagnostic(
            "model-task",
            f"model.options.task: the model is not for {task}",
            context.origin(*_TASK),
            path=_TASK,
            found=name,
            allowed=", ".join(facts.tasks),
            help="delete it" if len(facts.tasks) == 1 else "write one of these, or get a model for this task",
        )
        return
    if task == "zero-shot-classification" and not (context.values.get(_PARAMETERS) or {}).get(_LABELS):
        yield Diagnostic(
            "model-task",
            f"model.options.parameters: {task} needs {_LABELS}",
            context.origin(*_TASK),
            path=_TASK,
            help=f"write parameters: {{{_LABELS}: [LABEL, LABEL]}}",
        )
    yield from _check_processor(context, facts, task)


def _check_processor(context: RuleContext, facts: HuggingFaceFacts, task: str) -> Iterator[Diagnostic]:
    """Report a folder without what makes tensors of texts or images; it is often not saved with the model."""
    is_image = task == IMAGE_TASK
    if facts.has_processor if is_image else facts.has_tokenizer:
        return
    what, maker = ("processor of images", "AutoImageProcessor") if is_image else ("tokenizer", "AutoTokenizer")
    yield Diagnostic(
        "no-such-file",
        f"model.path: the folder has no {what}, which {task} needs",
        context.origin(*MODEL_PATH),
        path=MODEL_PATH,
        found=context.values.get(MODEL_PATH),
        help=f"save it into the same folder: {maker}.from_pretrained(NAME).save_pretrained(FOLDER)",
    )


def _check_signature(context: RuleContext, signatures: Mapping[str, Any]) -> Iterator[Diagnostic]:
    name = context.values.get(_SIGNATURE) or DEFAULT_SIGNATURE
    if name in signatures:
        return
    path = _SIGNATURE if context.is_set(*_SIGNATURE) else MODEL_PATH
    match = guess(name, signatures)
    yield Diagnostic(
        "model-option",
        f"model.options.signature: the SavedModel has no signature {name}",
        context.origin(*path),
        path=path,
        allowed=", ".join(signatures),
        help=f'did you mean "{match}"?' if match else "set model.options.signature to one of them",
    )
