"""What the protocol's calls without inference return: JSON values, whose members are those of the protobuf messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seldon_spec import __version__
from seldon_spec.errors import NotServing, UnsupportedOperation, UnwritableResult
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.inference.metrics_sink import Total
from seldon_spec.protocols.graph_state import find_component, read_component_metadata
from seldon_spec.protocols.open_inference_v2.codec import ModelInfo

EXTENSIONS = ("binary_tensor_data", "parameters", "statistics")

_ARRAY_TYPES = frozenset({"tensor", "ndarray", "tftensor"})
_INFERENCE = frozenset(
    operation.value
    for operation in (
        Operation.PREDICT,
        Operation.TRANSFORM_INPUT,
        Operation.TRANSFORM_OUTPUT,
        Operation.ROUTE,
        Operation.AGGREGATE,
    )
)
"""The values of the metric label ``method`` that statistics count."""


def show_server() -> dict[str, Any]:
    """Return the metadata of the server."""
    return {"name": "seldon-spec", "version": __version__, "extensions": list(EXTENSIONS)}


def is_model_ready(model: ModelInfo, dispatcher: Dispatcher, name: str, version: str) -> bool:
    """Return whether the model, or a component of a graph, accepts requests.

    Raises:
        UnknownModel: there is no such model or version.
    """
    model.find(name, version)
    component = model.find_component(name)
    return dispatcher.is_ready if component is None else _is_component_ready(dispatcher, component)


def _is_component_ready(dispatcher: Dispatcher, name: str) -> bool:
    return dispatcher.component is not None and find_component(dispatcher, name).is_ready


def list_names(model: ModelInfo) -> list[str]:
    """Return the names of the model and of the components of a graph."""
    return [model.name, *(name for name in model.components if model.find_component(name))]


def show_model(model: ModelInfo, dispatcher: Dispatcher, name: str, version: str = "") -> dict[str, Any]:
    """Return the metadata of the model, or of a component of a graph.

    Raises:
        UnknownModel: there is no such model or version.
        NotServing: it is not loaded yet.
        BadMetadata, UnwritableResult: its metadata are not valid.
    """
    found, component_name = model.find(name, version), model.find_component(name)
    component = dispatcher.component
    if component is None:
        raise NotServing(dispatcher.describe_state())
    metadata = component.metadata if component_name is None else read_component_metadata(dispatcher, component_name)
    if metadata is None:
        raise UnwritableResult("the model's metadata are invalid; the server has logged the reason")
    return {
        "name": name or model.name,
        **({} if found.version is None else {"versions": [found.version]}),
        "platform": metadata.get("platform", ""),  # that of a server over gRPC has no empty members
        "inputs": _show_tensors(metadata.get("inputs", ()), "input"),
        "outputs": _show_tensors(metadata.get("outputs", ()), "output"),
    }


def _show_tensors(entries: Sequence[Mapping[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the tensors among the inputs or outputs of the metadata of Seldon's protocol.

    An array is a tensor of type FP64; other kinds of messages are none.
    """
    tensors = []
    for index, entry in enumerate(entries):
        default = {"name": f"{kind}-{index}", "datatype": "FP64", "shape": [-1]}
        if "datatype" in entry:
            tensors.append({**default, **entry})
        elif entry.get("messagetype") in _ARRAY_TYPES:
            tensors.append({**default, "shape": entry.get("schema", {}).get("shape", [-1])})
    return tensors


def show_index(model: ModelInfo, dispatcher: Dispatcher, *, is_ready_only: bool) -> list[dict[str, Any]]:
    """Return the index of the repository: the model, and the components of a graph.

    Args:
        model: the model.
        dispatcher: its state.
        is_ready_only: whether to omit what is not ready.
    """
    entries = []
    for name in list_names(model):
        found, is_ready = model.find(name), is_model_ready(model, dispatcher, name, "")
        if is_ready_only and not is_ready:
            continue
        entry = {"name": name}
        if found.version is not None:
            entry["version"] = found.version
        if is_ready:
            entries.append({**entry, "state": "READY"})
        else:
            state = _find_state(model, dispatcher, name)
            entries.append({**entry, "state": state, "reason": dispatcher.describe_state()})
    return entries


def _find_state(model: ModelInfo, dispatcher: Dispatcher, name: str) -> str:
    """Return the state of a model that is not ready."""
    component = dispatcher.component
    if component is None:
        return "LOADING"
    if model.find_component(name) is not None:
        component = find_component(dispatcher, name)
    return "UNLOADING" if component.is_ready else "UNAVAILABLE"


def show_statistics(model: ModelInfo, dispatcher: Dispatcher, name: str = "", version: str = "") -> dict[str, Any]:
    """Return the statistics of the model, of all protocols and processes, from its metrics.

    Raises:
        UnknownModel: there is no such model or version.
        UnsupportedOperation: it is a component of a graph.
    """
    if model.find_component(name) is not None:
        raise UnsupportedOperation(f"components have no statistics; those of the graph are at model {model.name!r}")
    model.check(name, version)
    totals = dispatcher.metrics.read_totals(_INFERENCE)
    unbatched = totals.call.count - int(totals.batched.sum)
    statistics = {
        "success": _show_total(totals.success),
        "fail": _show_total(totals.error),
        "queue": _show_total(totals.queue),
        "compute_input": _show_total(totals.decode),
        "compute_infer": _show_total(totals.call),
        "compute_output": _show_total(totals.encode),
    }
    entry = {
        "name": name or model.name,
        **({} if model.version is None else {"version": model.version}),
        "inference_count": int(totals.rows.sum),
        "execution_count": unbatched + totals.batched.count,
        "inference_stats": statistics,
        "batch_stats": [],
    }
    return {"model_stats": [entry]}


def _show_total(total: Total) -> dict[str, int]:
    return {"count": total.count, "ns": int(total.sum * 1e9)}
