"""Replacement for ``seldon_core.seldon_client``: the client of a gateway of Seldon Core, or of one server."""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seldon_spec.calls.errors import CallFailed
from seldon_spec.calls.gateway import gateway_metadata, gateway_path
from seldon_spec.calls.open_target import Connection, open_server
from seldon_spec.calls.target import Outgoing
from seldon_spec.client import parse_url
from seldon_spec.compat import prediction_pb2
from seldon_spec.compat.conversion import (
    array_to_grpc_datadef,
    array_to_rest_datadef,
    json_to_seldon_message,
    seldon_message_to_json,
)
from seldon_spec.inference.message import Operation
from seldon_spec.remote.failures import limit_seconds

__all__ = ["SeldonClient", "SeldonClientException", "SeldonClientFeedback", "SeldonClientPrediction"]

_DEFAULTS: Mapping[str, Any] = {
    "gateway": "ambassador",
    "transport": "rest",
    "namespace": None,
    "deployment_name": None,
    "payload_type": "tensor",
    "gateway_endpoint": "localhost:8003",
    "microservice_endpoint": "localhost:5000",
    "gateway_prefix": None,
    "headers": None,
    "ssl": False,
    "client_return_type": "dict",
    "method": "predict",
    "shape": (1, 1),
    "names": None,
    "data": None,
    "str_data": None,
    "bin_data": None,
    "json_data": None,
    "raw_data": None,
    "meta": None,
}
_WITHOUT_EFFECT = frozenset({"debug", "grpc_max_send_message_length", "grpc_max_receive_message_length"})
_OPERATIONS = {
    "predict": Operation.PREDICT,
    "transform-input": Operation.TRANSFORM_INPUT,
    "transform-output": Operation.TRANSFORM_OUTPUT,
    "route": Operation.ROUTE,
}
_TIMEOUT_SECONDS = 300


class SeldonClientException(Exception):
    """An argument of the client is not what it accepts."""

    status_code = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass
class SeldonClientPrediction:
    """The result of a call.

    Attributes:
        request: as a dict, or as a SeldonMessage for ``client_return_type="proto"``.
        response: likewise; None: the call failed.
        success: whether there is a response.
        msg: the error.
    """

    request: Any
    response: Any
    success: bool = True
    msg: str = ""

    def __repr__(self) -> str:
        return f"Success:{self.success} message:{self.msg}\nRequest:\n{self.request}\nResponse:\n{self.response}"


class SeldonClientFeedback(SeldonClientPrediction):
    """The result of feedback."""


class SeldonClient:
    """Calls a deployment through a gateway (``predict``, ``feedback``), or one server (``microservice``).

    Args:
        options: the defaults of all calls, by the names of the original: ``gateway`` (``ambassador`` or ``istio``),
            ``gateway_endpoint``, ``gateway_prefix``, ``namespace``, ``deployment_name``, ``microservice_endpoint``,
            ``transport`` (``rest`` or ``grpc``), ``payload_type`` (``tensor``, ``ndarray`` or ``tftensor``),
            ``headers``, ``ssl``, ``client_return_type`` (``dict`` or ``proto``), and those of ``predict``.

    Raises:
        SeldonClientException: there is no such option, or it has another value.
    """

    def __init__(self, **options: Any) -> None:
        self._options = _merge(_DEFAULTS, options)

    def predict(self, **options: Any) -> SeldonClientPrediction:
        """Call a deployment through its gateway.

        Args:
            options: ``data`` (an array; random numbers of ``shape`` without it) with ``names``, or ``str_data``,
                ``bin_data``, ``json_data``, or the whole message as ``raw_data``; ``meta``; and those of the client.

        Raises:
            SeldonClientException: there is no such option, or it has another value.
        """
        chosen = _merge(self._options, options)
        return _call(_open_gateway, Operation.PREDICT, _make_message(chosen), chosen)

    def microservice(self, **options: Any) -> SeldonClientPrediction:
        """Call the server at ``microservice_endpoint``.

        Args:
            options: ``method`` (``predict``, ``transform-input``, ``transform-output`` or ``route``), and those of
                ``predict``.

        Raises:
            SeldonClientException: there is no such option or method, or it has another value.
        """
        chosen = _merge(self._options, options)
        operation = _OPERATIONS.get(chosen["method"])
        if operation is None:
            raise SeldonClientException(f"Unknown method {chosen['method']}; it is one of {', '.join(_OPERATIONS)}")
        return _call(_open_microservice, operation, _make_message(chosen), chosen)

    def feedback(
        self, prediction_request: Any = None, prediction_response: Any = None, reward: float = 0, **options: Any
    ) -> SeldonClientFeedback:
        """Send the reward of a response through the gateway.

        Args:
            prediction_request, prediction_response: of the earlier call: dicts or SeldonMessages.
            reward: of the response.
            options: those of the client.
        """
        chosen = _merge(self._options, options)
        return _send_feedback(_open_gateway, prediction_request, prediction_response, reward, chosen)

    def microservice_feedback(
        self, prediction_request: Any = None, prediction_response: Any = None, reward: float = 0, **options: Any
    ) -> SeldonClientFeedback:
        """Send the reward of a response to the server at ``microservice_endpoint``; see ``feedback``."""
        chosen = _merge(self._options, options)
        return _send_feedback(_open_microservice, prediction_request, prediction_response, reward, chosen)


def _merge(options: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    ignored = sorted(_WITHOUT_EFFECT & more.keys())
    if ignored:
        warnings.warn(f"{', '.join(ignored)}: no effect in the client of seldon-spec", stacklevel=3)
    unknown = sorted(more.keys() - _DEFAULTS.keys() - _WITHOUT_EFFECT)
    if unknown:
        raise SeldonClientException(f"{', '.join(unknown)}: the client of seldon-spec has no such option")
    given = {name: value for name, value in more.items() if value is not None and name not in _WITHOUT_EFFECT}
    merged = {**options, **given}
    if merged["transport"] not in ("rest", "grpc"):
        raise SeldonClientException(f"Unknown transport {merged['transport']}")
    if merged["gateway"] not in ("ambassador", "istio"):
        raise SeldonClientException(f"Unknown gateway {merged['gateway']}; it is ambassador or istio")
    return merged


def _make_message(options: Mapping[str, Any]) -> Any:
    """Return the request as JSON, or as a SeldonMessage for gRPC."""
    raw = options["raw_data"]
    tree: dict[str, Any] = {} if options["meta"] is None else {"meta": options["meta"]}
    if raw is not None:
        tree = dict(raw)
    elif options["bin_data"] is not None:
        message = prediction_pb2.SeldonMessage(binData=options["bin_data"])
        tree = {**tree, **seldon_message_to_json(message)}
    elif options["str_data"] is not None:
        tree["strData"] = options["str_data"]
    elif options["json_data"] is not None:
        tree["jsonData"] = options["json_data"]
    else:
        data = options["data"]
        array = np.random.default_rng().random(options["shape"]) if data is None else np.asarray(data)
        if options["transport"] == "rest":
            return {**tree, "data": array_to_rest_datadef(options["payload_type"], array, options["names"])}
        message = json_to_seldon_message(tree)
        message.data.CopyFrom(array_to_grpc_datadef(options["payload_type"], array, options["names"]))
        return message
    return tree if options["transport"] == "rest" else json_to_seldon_message(tree)


_Open = Callable[[Mapping[str, Any]], Any]


def _open_microservice(options: Mapping[str, Any]) -> Any:
    return _open(options, options["microservice_endpoint"], "", {})


def _open_gateway(options: Mapping[str, Any]) -> Any:
    name, namespace = options["deployment_name"], options["namespace"]
    if name is None:
        raise SeldonClientException("deployment_name is required")
    if options["transport"] == "grpc":
        return _open(options, options["gateway_endpoint"], "", gateway_metadata(namespace, name))
    prefix = options["gateway_prefix"]
    if prefix is None:
        prefix = gateway_path(namespace, name)
    return _open(options, options["gateway_endpoint"], prefix, {})


def _open(options: Mapping[str, Any], endpoint: str, prefix: str, headers: Mapping[str, str]) -> Any:
    scheme = {"rest": "http", "grpc": "grpc"}[options["transport"]] + ("s" if options["ssl"] else "")
    url = parse_url(f"{scheme}://{endpoint}{prefix}")
    return open_server(url, Connection(headers={**headers, **(options["headers"] or {})}))


def _exchange(open_target: _Open, operation: Operation, request: Any, options: Mapping[str, Any]) -> Any:
    """Return the response to a request, as JSON or as a SeldonMessage like the request.

    Raises:
        CallFailed: there is none.
    """
    is_json = isinstance(request, dict)
    body = json.dumps(request, default=np.ndarray.tolist).encode() if is_json else request.SerializeToString()
    target = open_target(options)
    try:
        limit = limit_seconds(_TIMEOUT_SECONDS, f"no response within {_TIMEOUT_SECONDS} seconds")
        response = target.send(Outgoing(operation, body, uuid.uuid4().hex), limit).body
    finally:
        target.close()
    return json.loads(response) if is_json else prediction_pb2.SeldonMessage.FromString(response)


def _call(open_target: _Open, operation: Operation, request: Any, options: Mapping[str, Any]) -> SeldonClientPrediction:
    show = _as_proto if options["client_return_type"] == "proto" else _as_tree
    try:
        response = _exchange(open_target, operation, request, options)
    except CallFailed as error:
        return SeldonClientPrediction(show(request), None, success=False, msg=str(error))
    return SeldonClientPrediction(show(request), show(response))


def _send_feedback(
    open_target: _Open, request: Any, response: Any, reward: float, options: Mapping[str, Any]
) -> SeldonClientFeedback:
    if options["transport"] == "rest":
        feedback: Any = {"request": _as_tree(request), "response": _as_tree(response), "reward": reward}
    else:
        feedback = prediction_pb2.Feedback(request=_as_proto(request), response=_as_proto(response), reward=reward)
    found = _call(open_target, Operation.FEEDBACK, feedback, {**options, "client_return_type": "dict"})
    shown = found.response
    if shown is not None and options["client_return_type"] == "proto":
        shown = _as_proto(shown)
    return SeldonClientFeedback(found.request, shown, found.success, found.msg)


def _as_tree(message: Any) -> dict[str, Any]:
    return message if isinstance(message, dict) else seldon_message_to_json(_as_proto(message))


def _as_proto(message: Any) -> Any:
    return json_to_seldon_message(message) if message is None or isinstance(message, dict) else message
