"""Models of Hugging Face transformers: folders that ``save_pretrained`` wrote, called as pipelines.

Nothing is downloaded, and no code of the folder is executed.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seldon_spec import SeldonMicroserviceException
from seldon_spec.config.model_files.huggingface import IMAGE_TASK, TASKS, read_huggingface
from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.runtimes.estimators import ModelFileError
from seldon_spec.runtimes.huggingface_inputs import find_limit, open_images, read_texts
from seldon_spec.runtimes.huggingface_outputs import OUTPUTS, find_pooling, make_table

if TYPE_CHECKING:
    import PIL.Image

logger = logging.getLogger(__name__)

_MAX_MESSAGE = 500
_CUT = "; model.options.parameters: {truncation: true} cuts longer texts"
_UNUSED = ("pooler.", "position_ids")
"""Parts of weights that a model of features may lack: they do not change the states of the tokens."""


def load_model(path: Path, method: str, options: ModelOptions) -> TextModel | ImageModel:
    """Load a model; see the table of formats."""
    import torch
    import transformers
    from transformers.utils import logging as own_logging

    torch.set_num_threads(options.threads)
    own_logging.disable_progress_bar()
    facts = read_huggingface(path)
    task = options.task or next(iter(() if facts is None else facts.tasks), None)
    if task is None:
        raise ModelFileError(f"{path.name}: the architecture does not determine the task: set model.options.task")
    parameters = dict(options.parameters)
    reserved = sorted(parameters.keys() & inspect.signature(transformers.pipeline).parameters.keys())
    if reserved:
        raise ModelFileError(f"model.options.parameters: {', '.join(reserved)} cannot be set")
    try:
        pipeline = _make_pipeline(path, task, options.device, parameters)
    except (ModelFileError, ModuleNotFoundError):
        raise
    except Exception as error:  # of a damaged file, or of an argument that the pipeline does not know
        raise ModelFileError(f"{path.name} cannot be loaded: {str(error)[:_MAX_MESSAGE]}") from None
    if task == IMAGE_TASK:
        return ImageModel(pipeline)
    _try(pipeline, task)
    cuts = parameters.get("truncation") or (parameters.get("tokenizer_kwargs") or {}).get("truncation")
    limit = None if cuts else find_limit(pipeline, task)
    return TextModel(pipeline, task, find_pooling(path) if task == "feature-extraction" else None, limit, parameters)


def _try(pipeline: Any, task: str) -> None:
    """Call a pipeline once, which is how it finds arguments that it does not know.

    Raises:
        ModelFileError: it has such arguments.
    """
    text = pipeline.tokenizer.mask_token if task == "fill-mask" else "a"
    try:
        pipeline(text, **({"max_new_tokens": 1} if task == "text-generation" else {}))
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"model.options.parameters: {str(error)[:_MAX_MESSAGE]}") from None
    except Exception:  # of a tokenizer that does not know the text
        logger.warning("the pipeline cannot process a first text", exc_info=True)


def _make_pipeline(path: Path, task: str, device: str, parameters: Mapping[str, Any]) -> Any:
    """Return the pipeline of a task.

    Raises:
        ModelFileError: the weights lack a part of the model, which would be random.
    """
    import transformers

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    loader = getattr(transformers, TASKS[task])
    model, loading = loader.from_pretrained(path, output_loading_info=True, **local)
    missing = sorted(
        name
        for name in loading["missing_keys"]
        if task != "feature-extraction" or not any(part in name for part in _UNUSED)
    )
    if missing:
        raise ModelFileError(
            f"{path.name}: the weights are not those of a model for {task}: they lack {', '.join(missing)[:200]}"
        )
    if task == IMAGE_TASK:
        own = {"image_processor": transformers.AutoImageProcessor.from_pretrained(path, **local)}
    else:
        own = {"tokenizer": transformers.AutoTokenizer.from_pretrained(path, **local)}
    model.eval()
    return transformers.pipeline(task, model=model, device=device, **own, **parameters)


class TextModel:
    """A pipeline that takes a text for each row.

    Args:
        pipeline: of transformers.
        task: of the pipeline.
        pool: makes the features of a text from the states of its tokens; None: it is another task.
        limit: of the tokens of a text; None: the pipeline truncates texts, or there is none.
        parameters: of the pipeline.
    """

    def __init__(
        self,
        pipeline: Any,
        task: str,
        pool: Callable[[Any], Any] | None,
        limit: int | None,
        parameters: Mapping[str, Any],
    ) -> None:
        self._pipeline = pipeline
        self._task = task
        self._pool = pool
        self._limit = limit
        self._outputs = OUTPUTS[task](pipeline, parameters)

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return _to_seldon(self._run(X))

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return self._run(_find_only(inputs))

    def contract(self) -> dict[str, Any]:
        """Return its input and its outputs in the form of seldon.yaml."""
        text = {"name": "text", "datatype": "BYTES", "shape": [-1], "content_type": "str"}
        return {"inputs": [text], "outputs": [each.declare() for each in self._outputs]}

    def _run(self, X: Any) -> dict[str, Any]:
        texts = read_texts(X)
        self._check(texts)
        if self._pool is not None:
            vectors = [self._pool(self._pipeline(text, return_tensors=True)[0]) for text in texts]
            return {self._outputs[0].name: np.stack(vectors)} if texts else make_table([], self._outputs)
        rows = self._pipeline(texts) if texts else []
        is_alone = self._task == "fill-mask" and len(texts) == 1  # the pipeline returns its list without the outer one
        return make_table([rows] if is_alone else rows, self._outputs)

    def _check(self, texts: Sequence[str]) -> None:
        """Report a text that the model cannot process.

        Raises:
            SeldonMicroserviceException: it is too long, or has not exactly one mask.
        """
        tokenizer = self._pipeline.tokenizer
        for index, text in enumerate(texts):
            masks = text.count(tokenizer.mask_token) if self._task == "fill-mask" else 1
            if masks != 1:
                raise SeldonMicroserviceException(
                    f"text {index} has {masks} masks: it must have one, {tokenizer.mask_token}"
                )
            if self._limit is not None and len(text) >= self._limit - 2:  # a token has a character at least
                count = len(tokenizer(text, verbose=False)["input_ids"])
                if count > self._limit:
                    remedy = "" if self._task == "fill-mask" else _CUT
                    raise SeldonMicroserviceException(
                        f"text {index} has {count} tokens, and the model takes {self._limit}{remedy}"
                    )


class ImageModel:
    """A pipeline that takes an image for each row.

    Args:
        pipeline: of transformers.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._outputs = OUTPUTS[IMAGE_TASK](pipeline, {})

    def predict(self, X: list[PIL.Image.Image], names: Sequence[str] | None = None) -> Any:
        return _to_seldon(self._run(X))

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return self._run(open_images(_find_only(inputs)))

    def contract(self) -> dict[str, Any]:
        """Return its input and its outputs in the form of seldon.yaml."""
        image = {
            "name": "image", "datatype": "BYTES", "shape": [-1], "content_type": "image/jpeg",
            "description": "Image files, for example JPEG or PNG.",
        }  # fmt: skip
        return {"inputs": [image], "outputs": [each.declare() for each in self._outputs]}

    def _run(self, images: Sequence[Any]) -> dict[str, Any]:
        rows = self._pipeline([image.convert("RGB") for image in images]) if images else []
        return make_table(rows, self._outputs)


def _find_only(inputs: Mapping[str, Any]) -> Any:
    """Return the only input, under any name.

    Raises:
        SeldonMicroserviceException: there are several.
    """
    if len(inputs) != 1:
        raise SeldonMicroserviceException(f"the model has one input, and the request {len(inputs)}")
    return next(iter(inputs.values()))


def _to_seldon(table: dict[str, Any]) -> Any:
    """Return a result for Seldon's protocol: one array, a table with a row for each text, or an object of lists."""
    first, *others = table.values()
    if not others:
        return first
    if any(array.ndim > 1 for array in table.values()):
        return {name: array.tolist() for name, array in table.items()}
    rows = np.empty(len(first), [(name, array.dtype) for name, array in table.items()])
    for name, array in table.items():
        rows[name] = array
    return rows
