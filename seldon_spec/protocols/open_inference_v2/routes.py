"""The route table of the Open Inference Protocol over REST, with the routes of Seldon Core's executor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from seldon_spec.config.model import Spec
from seldon_spec.errors import PayloadError
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.inference.served_spec import FindSpec
from seldon_spec.protocols.component_codec import ComponentCodec
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.open_inference_v2.codec import ModelInfo
from seldon_spec.protocols.open_inference_v2.errors import describe, describe_http
from seldon_spec.protocols.open_inference_v2.head_codec import IGNORED_HEADERS, HeadCodec
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec, V2PassthroughCodec
from seldon_spec.protocols.open_inference_v2.model_info import make_model_info
from seldon_spec.protocols.open_inference_v2.pages import (
    is_model_ready,
    list_names,
    show_index,
    show_model,
    show_server,
    show_statistics,
)
from seldon_spec.protocols.route import Body, RequestInfo, RestProtocol, Route, StatePage

_MODEL = "/v2/models/{model}"
_VERSION = f"{_MODEL}/versions/{{version}}"
_OPERATIONS = {
    "infer": (Operation.PREDICT, "Infer."),
    "route": (Operation.ROUTE, "Choose the branch of a router."),
    "aggregate": (Operation.AGGREGATE, "Combine several responses into one."),
}

OPERATION_ROUTES = tuple(
    Route(f"v2-{name}", f"{path}/{name}", ("POST",), operation, summary=summary)
    for name, (operation, summary) in _OPERATIONS.items()
    for path in (_MODEL, _VERSION)
)
"""The routes that call the model; Seldon Core's executor uses ``route`` and ``aggregate``."""


def open_inference_v2(spec: Spec, find_spec: FindSpec | None = None) -> RestProtocol:
    """Return the Open Inference Protocol for the model of a spec.

    Args:
        spec: of the model.
        find_spec: see ``find_served_spec``.
    """
    model = make_model_info(spec, find_spec)
    codec_class = V2PassthroughCodec if spec.unit.is_passthrough else V2JsonCodec
    components = {name: ComponentCodec(V2JsonCodec(info), name) for name, info in model.components.items()}

    def bind_codec(codec: Codec, info: RequestInfo) -> Codec:
        name = info.parameters["model"]
        model.find(name, info.parameters.get("version", ""))
        component = model.find_component(name)
        if component is not None:
            codec = cast("Codec", components[component])
        return cast("Codec", HeadCodec(codec, info, spec.server.max_body_bytes))

    return RestProtocol(
        "Open Inference Protocol V2",
        (*OPERATION_ROUTES, *_make_pages(model)),
        JsonStyle(sort_keys=False),
        lambda _route: codec_class(model),
        describe,
        describe_http,
        prefix="/v2",
        bind_codec=bind_codec,
        ignored_headers=IGNORED_HEADERS,
        waits_for_model=False,
    )


def list_operation_paths(spec: Spec) -> list[str]:
    """Return the paths of the routes that call the model, with the names of the model that are known."""
    model = make_model_info(spec)
    names = {**model.components, **dict.fromkeys((model.name, *model.aliases), model)}
    return [
        route.path.format(model=name, version=info.version)
        for route in OPERATION_ROUTES
        for name, info in names.items()
    ]


def _make_pages(model: ModelInfo) -> tuple[Route, ...]:
    def show_live(_dispatcher: Dispatcher, _parameters: Mapping[str, str], _body: Body) -> tuple[int, Any]:
        return 200, {"live": True}

    def show_ready(dispatcher: Dispatcher, parameters: Mapping[str, str], _body: Body) -> tuple[int, Any]:
        name = parameters.get("model")
        is_ready = is_model_ready(model, dispatcher, name or "", parameters.get("version", ""))
        return 200 if is_ready else 503, {"ready": is_ready} if name is None else {"name": name, "ready": is_ready}

    def show_metadata(_dispatcher: Dispatcher, _parameters: Mapping[str, str], _body: Body) -> tuple[int, Any]:
        return 200, show_server()

    def list_models(_dispatcher: Dispatcher, _parameters: Mapping[str, str], _body: Body) -> tuple[int, Any]:
        return 200, {"models": list_names(model)}

    def show_one(dispatcher: Dispatcher, parameters: Mapping[str, str], _body: Body) -> tuple[int, Any]:
        return 200, show_model(model, dispatcher, parameters["model"], parameters.get("version", ""))

    def show_stats(dispatcher: Dispatcher, parameters: Mapping[str, str], _body: Body) -> tuple[int, Any]:
        return 200, show_statistics(model, dispatcher, parameters.get("model", ""), parameters.get("version", ""))

    def list_index(dispatcher: Dispatcher, _parameters: Mapping[str, str], body: Body) -> tuple[int, Any]:
        return 200, show_index(model, dispatcher, is_ready_only=_reads_ready(body))

    pages: dict[str, tuple[StatePage, str, tuple[str, ...]]] = {
        "v2-server": (show_metadata, "Return the metadata of the server.", ("/v2",)),
        "v2-models": (list_models, "List the models.", ("/v2/models",)),
        "v2-stats": (show_stats, "Return the statistics of the model.", (f"{_MODEL}/stats", f"{_VERSION}/stats")),
        "v2-model": (show_one, "Return the metadata of the model.", (_MODEL, _VERSION)),
        "v2-model-ready": (show_ready, "Return whether the model is ready.", (f"{_MODEL}/ready", f"{_VERSION}/ready")),
    }
    live, ready = "Return whether the server is running.", "Return whether the server is ready."
    return (
        Route("v2-live", "/v2/health/live", ("GET",), state_page=show_live, is_probe=True, summary=live),
        Route("v2-ready", "/v2/health/ready", ("GET",), state_page=show_ready, is_probe=True, summary=ready),
        Route("v2-server", "/v2/", ("GET",), state_page=show_metadata),
        Route("v2-stats", "/v2/models/stats", ("GET",), state_page=show_stats),
        *(
            Route(name, path, ("GET",), state_page=page, summary=summary)
            for name, (page, summary, paths) in pages.items()
            for path in paths
        ),
        Route("v2-index", "/v2/repository/index", ("POST",), state_page=list_index, summary="List the models' states."),
    )


def _reads_ready(body: Body) -> bool:
    """Return whether the request for the index is for models that are ready; its body may be empty.

    Raises:
        PayloadError: the body is not an object with a boolean ``ready``.
    """
    try:
        tree = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"the body is not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise PayloadError("the request is not a JSON object")
    is_ready = tree.get("ready", False)
    if not isinstance(is_ready, bool):
        raise PayloadError("ready is not a boolean")
    return is_ready
