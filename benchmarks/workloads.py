"""The models, and one row for each workload. Independent of servers and wire formats."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

SEED = 20


class Transport(Enum):
    """How a request travels."""

    REST = "rest"
    GRPC = "grpc"


class Form(Enum):
    """How a request carries an array.

    The first two are payload types of the Seldon protocol; a server that does not speak it gets its own protocol
    instead. The others are of the Open Inference Protocol (V2): JSON or its binary extension over REST, typed or raw
    contents over gRPC.
    """

    NDARRAY = "ndarray"
    TENSOR = "tensor"
    JSON = "V2 JSON"
    BINARY = "V2 binary"
    TYPED = "V2 typed"
    RAW = "V2 raw"

    @property
    def is_v2(self) -> bool:
        """Return True for those of the Open Inference Protocol."""
        return self not in (Form.NDARRAY, Form.TENSOR)


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request.

    Args:
        name: what ``--workload`` calls it.
        shape: rows and columns of the array.
        is_serial: a load of one request after the other, for bodies of megabytes; else many at once.
    """

    name: str
    transport: Transport
    form: Form
    shape: tuple[int, int]
    is_serial: bool = False

    def make_array(self) -> Array:
        """Doubles of full precision, about 17 digits each, the same in every run."""
        return np.random.default_rng(SEED).standard_normal(self.shape)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("rest-small", Transport.REST, Form.NDARRAY, (1, 4)),
        Workload("rest-medium", Transport.REST, Form.NDARRAY, (100, 100)),
        Workload("rest-large", Transport.REST, Form.TENSOR, (1000, 1000), is_serial=True),
        Workload("grpc-small", Transport.GRPC, Form.TENSOR, (1, 4)),
        Workload("grpc-medium", Transport.GRPC, Form.TENSOR, (100, 100)),
        Workload("grpc-large", Transport.GRPC, Form.TENSOR, (1000, 1000), is_serial=True),
        Workload("grpc-ndarray", Transport.GRPC, Form.NDARRAY, (100, 100)),
        Workload("v2-rest-small", Transport.REST, Form.JSON, (1, 4)),
        Workload("v2-rest-medium", Transport.REST, Form.JSON, (100, 100)),
        Workload("v2-rest-binary-medium", Transport.REST, Form.BINARY, (100, 100)),
        Workload("v2-rest-binary-large", Transport.REST, Form.BINARY, (1000, 1000), is_serial=True),
        Workload("v2-grpc-small", Transport.GRPC, Form.TYPED, (1, 4)),
        Workload("v2-grpc-medium", Transport.GRPC, Form.RAW, (100, 100)),
        Workload("v2-grpc-large", Transport.GRPC, Form.RAW, (1000, 1000), is_serial=True),
    )
}

NOT_MEASURED = (
    "TLS, compression and other machines than this one: client and servers share its cores, over loopback",
    "models that wait for others or compute for seconds, and batching of requests with more than one row each",
    "strings, integers, jsonData, binData and tftensor; feedback, routers, transformers and combiners",
    "streaming calls, gRPC over many connections that come and go, and clients that are slow or broken",
    "graphics cards, and other processors than that of the table",
)


@dataclass(frozen=True, slots=True)
class Model:
    """A class of benchmarks/models which every server serves.

    Args:
        name: what ``--model`` calls it: the class.
        module: the file it is in.
        relative_tolerance: the allowed relative difference of a response from the local result.
        columns: the only width of rows that it takes; None: it takes any.
        requires: the modules that it imports beside numpy.
        file: the name of the model file that its ``save`` writes, for servers of model files; None: it has none.
    """

    name: str
    module: str
    relative_tolerance: float
    columns: int | None = None
    requires: tuple[str, ...] = ()
    file: str | None = None

    @property
    def class_name(self) -> str:
        """As a seldon.yaml names it."""
        return f"{self.module}.{self.name}"

    @property
    def source(self) -> str:
        """The text of its file."""
        return (Path(__file__).parent / "models" / f"{self.module}.py").read_text(encoding="utf-8")

    def takes(self, workload: Workload) -> bool:
        """Whether it can be asked that."""
        return self.columns in (None, workload.shape[1])

    def write_file(self) -> dict[str, bytes]:
        """Return the model file by its name; none if it has none."""
        return {} if self.file is None else {self.file: _make(self).save()}

    def predict(self, array: Array) -> Array:
        """Return the correct result."""
        return np.asarray(_make(self).predict(array, []), dtype=np.float64)


@cache
def _make(model: Model) -> Any:
    """An object of the class; it may take long to train."""
    return getattr(import_module(f"benchmarks.models.{model.module}"), model.name)()


MODELS = {
    model.name: model
    for model in (
        Model("Identity", "identity", 0.0),  # an echo is exact
        # A product of matrices differs in its last bits between builds of BLAS, and with the number of its rows.
        Model("SmallOp", "small_op", 1e-9),
        # And so do all the steps of a fit.
        Model("Logistic", "trained", 1e-6, columns=4, requires=("sklearn",), file="model.joblib"),
        Model("Forest", "trained", 1e-9, columns=4, requires=("sklearn",), file="model.joblib"),
        Model("Boosted", "boosted", 1e-5, columns=4, requires=("xgboost",), file="model.json"),
        Model("Exported", "exported", 1e-6, columns=4, requires=("onnxruntime", "skl2onnx"), file="model.onnx"),
    )
}
