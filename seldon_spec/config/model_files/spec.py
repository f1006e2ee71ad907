"""The key ``model`` as frozen dataclasses. Field names equal the YAML keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Options of the runtime that loads a model file; the table of formats says which of them a format has.

    Attributes:
        threads: of the library, for one call.
        trusted: the full names of further types that a file of skops may load.
        providers: the execution providers of ONNX Runtime, the preferred one first; empty: the CPU.
        device: of PyTorch or TensorFlow.
        task: of transformers; None: the architecture determines it.
        parameters: keyword arguments of the pipeline of transformers.
        signature: of a SavedModel of TensorFlow.
    """

    threads: int = 1
    trusted: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    device: str = "cpu"
    task: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    signature: str = "serving_default"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model file that is served without a class.

    Attributes:
        path: of the file, relative to the folder; or a URL.
        format: a name in the table of formats; the loader sets that of the file if it is not given. None: unknown.
        method: of the model; the loader sets the default. None: there is no format.
        options: of the runtime.
        sha256: the checksum of the file; None: it is not checked.
        download: when the file of a URL is downloaded.
    """

    path: str
    format: str | None = None
    method: str | None = None
    options: ModelOptions = ModelOptions()
    sha256: str | None = None
    download: Literal["start", "image"] = "start"
