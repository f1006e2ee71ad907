"""The files of the working folder of each server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import proto_bodies
from benchmarks.dialects import Dialect
from benchmarks.workloads import WORKLOADS, Model

MAX_MESSAGE_BYTES = 200_000_000
PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs: its ports on loopback, and what it is to serve."""

    http: int
    grpc: int
    metrics: int
    workers: int
    model: Model


Files = Mapping[str, str | bytes]


def write_own(**server: Any) -> Callable[[Place], Files]:
    """A seldon.yaml, with more keys of its ``server`` as given, beside the class."""

    def write(place: Place) -> Files:
        settings = {"host": "127.0.0.1", "workers": place.workers, "max_message_bytes": MAX_MESSAGE_BYTES, **server}
        keys = {
            "class_name": place.model.class_name,
            "ports": {"http": place.http, "grpc": place.grpc, "metrics": place.metrics},
            "server": settings,
            "name": proto_bodies.V2_MODEL,
        }
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
        return {"seldon.yaml": text, **_class(place)}

    return write


_FILE_METHODS = {"model.joblib": "predict_proba", "model.json": "predict", "model.onnx": "predict"}
"""The method of the model files of benchmarks/models, which every server of such files calls."""
_MLSERVER_RUNTIMES: Mapping[str, tuple[str, str | None]] = {
    "model.joblib": ("mlserver_sklearn.SKLearnModel", None),
    "model.json": ("mlserver_xgboost.XGBoostModel", None),
    "model.onnx": ("mlserver_onnx.Runtime", "mlserver_onnx.py"),
}
"""The runtime of each model file, and the file of benchmarks/peers that has it."""


def write_own_file(**server: Any) -> Callable[[Place], Files]:
    """A seldon.yaml with a model file and no class; more keys of its ``server`` as given."""

    def write(place: Place) -> Files:
        settings = {"host": "127.0.0.1", "workers": place.workers, "max_message_bytes": MAX_MESSAGE_BYTES, **server}
        keys = {
            "name": proto_bodies.V2_MODEL,
            "model": {"path": place.model.file, "method": _FILE_METHODS.get(place.model.file or "")},
            "ports": {"http": place.http, "grpc": place.grpc, "metrics": place.metrics},
            "server": settings,
        }
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
        return {"seldon.yaml": text, **place.model.write_file()}

    return write


def write_mlserver_file(*, has_pool: bool = False, **model: Any) -> Callable[[Place], Files]:
    """Settings of MLServer for a model file, by its runtime for the format, or ours if it has none."""

    def write(place: Place) -> Files:
        file = str(place.model.file)
        runtime, peer = _MLSERVER_RUNTIMES.get(file, (None, None))
        parameters = {"uri": f"./{file}", "extra": {"predict_fn": _FILE_METHODS.get(file)}}
        settings = {
            "name": proto_bodies.V2_MODEL,
            "implementation": runtime,
            "parameters": parameters,
            **model,
        }
        files = {
            "settings.json": _write_mlserver_settings(place, has_pool=has_pool),
            **({} if peer is None else _peer(peer)),
        }
        return {**files, "model-settings.json": json.dumps(settings), **place.model.write_file()}

    return write


def _class(place: Place) -> Files:
    return {f"{place.model.module}.py": place.model.source}


def _peer(file: str) -> Files:
    return {file: (PEERS / file).read_text(encoding="utf-8")}


def write_seldon_core(place: Place) -> Files:
    """The class beside the launcher, and the limit of gRPC messages."""
    annotation = f'seldon.io/grpc-max-message-size="{MAX_MESSAGE_BYTES}"\n'
    return {"annotations": annotation, **_peer("seldon_core_launcher.py"), **_class(place)}


def write_mlserver(*, has_pool: bool) -> Callable[[Place], Files]:
    """Settings of MLServer; its pool of processes for inference is its default."""

    def write(place: Place) -> Files:
        model = {
            "name": proto_bodies.V2_MODEL,
            "implementation": "mlserver_runtime.Runtime",
            "parameters": {"extra": {"class_name": place.model.class_name}},
        }
        files = {"settings.json": _write_mlserver_settings(place, has_pool=has_pool)}
        files["model-settings.json"] = json.dumps(model)
        return {**files, **_peer("mlserver_runtime.py"), **_class(place)}

    return write


def _write_mlserver_settings(place: Place, *, has_pool: bool) -> str:
    settings = {
        "host": "127.0.0.1",
        "http_port": place.http,
        "grpc_port": place.grpc,
        "metrics_port": place.metrics,
        "grpc_max_message_length": MAX_MESSAGE_BYTES,
        "parallel_workers": place.workers if has_pool else 0,
        "debug": False,
    }
    return json.dumps(settings)


def write_litserve(place: Place) -> Files:
    """The class beside its LitAPI."""
    return {**_peer("litserve_app.py"), **_class(place)}


def write_bentoml(place: Place) -> Files:
    """The class beside its service, and the settings of the latter."""
    settings = {"class_name": place.model.class_name, "workers": place.workers}
    return {"settings.json": json.dumps(settings), **_peer("bentoml_app.py"), **_class(place)}


def write_kserve(place: Place) -> Files:
    """The class beside its model of the SDK."""
    return {**_peer("kserve_app.py"), **_class(place)}


_TRITON_MODEL = """\
backend: "python"
max_batch_size: 0
input [{{ name: "x" data_type: TYPE_FP64 dims: [-1, -1] }}]
output [{{ name: "y" data_type: TYPE_FP64 dims: [-1, -1] }}]
instance_group [{{ kind: KIND_CPU count: {workers} }}]
parameters {{ key: "class_name" value: {{ string_value: "{class_name}" }} }}
"""


def write_triton(place: Place) -> Files:
    """The class beside its model of the Python backend, and the configuration of the latter."""
    model = _TRITON_MODEL.format(workers=place.workers, class_name=place.model.class_name)
    return {"config.pbtxt": model, **_peer("triton_launcher.py"), **_peer("triton_model.py"), **_class(place)}


def write_fixed(file: str, dialect: Dialect) -> Callable[[Place], Files]:
    """Return a correct response to each workload of the dialect, to be sent for any request."""

    def write(place: Place) -> Files:
        responses = {
            f"{workload.name}.response": dialect.encode(workload.form, place.model.predict(workload.make_array()))
            for workload in WORKLOADS.values()
            if workload.transport is dialect.transport and not workload.form.is_v2 and place.model.takes(workload)
        }
        return {**_peer(file), **responses}

    return write
