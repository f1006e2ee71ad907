"""The key ``model`` as frozen dataclasses. Field names equal the YAML keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Options of the runtime that loads a model file; the table of formats says which of them a format has.

    Attributes:
        threads: of the library, for one call.
        trusted: the full names of further types that a file of skops may load.
        providers: the execution providers of ONNX Runtime, the preferred one first; empty: the CPU.
        device: of PyTorch.
    """

    threads: int = 1
    trusted: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    device: str = "cpu"


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
