"""Raw messages, which ``*_raw`` hooks take and return: protobuf messages, or what JSON can encode.

Only their member ``meta.metrics`` is read (contract section 3.4).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from seldon_spec.errors import UnwritableResult

_USERS_MODULE = "seldon_core.proto.prediction_pb2"


def is_proto(raw: object) -> bool:
    """Return whether a value is a protobuf message, of any descriptor pool."""
    return hasattr(raw, "SerializeToString") and hasattr(raw, "DESCRIPTOR")


def to_users_type(message: Any) -> Any:
    """Return a message as the class of the generated module, if the user's code has imported that module."""
    theirs = getattr(sys.modules.get(_USERS_MODULE), type(message).__name__, None)
    return message if theirs in (None, type(message)) else theirs.FromString(message.SerializeToString())


def to_tree(message: Any) -> Any:
    """Return a protobuf message as a JSON value.

    Raises:
        UnwritableResult: it has no form in JSON.
    """
    from seldon_spec.protocols.seldon_v1.proto import (
        json_form,
    )  # not at the top: most responses on REST need no protobuf

    try:
        return json_form.message_to_tree(message)
    except json_form.ERRORS as error:
        raise UnwritableResult(f"the result has no form in JSON: {error}") from error


def split_metrics(raw: Any) -> tuple[list[Any], Any]:
    """Return the metrics in a raw response's ``meta``, and a response without them; the original is not changed."""
    if is_proto(raw):
        return _split_proto(raw)
    meta = raw.get("meta") if isinstance(raw, dict) else None
    metrics = meta.get("metrics") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not metrics:
        return [], raw
    if not isinstance(metrics, list):
        return [metrics], raw
    rest = {key: value for key, value in meta.items() if key != "metrics"}
    return [_with_type(metric) for metric in metrics], {**raw, "meta": rest}


def add_method_tag(raw: Any, method: str) -> Any:
    """Return a raw response with the method among the tags of each metric that has tags; the original is not changed.

    Args:
        raw: its metrics are valid.
        method: the value of the tag.
    """
    if is_proto(raw):
        if not any(metric.tags for metric in getattr(getattr(raw, "meta", None), "metrics", ())):
            return raw
        named = type(raw)()
        named.CopyFrom(raw)
        for metric in named.meta.metrics:
            if metric.tags:
                metric.tags["method"] = method
        return named
    meta = raw.get("meta") if isinstance(raw, dict) else None
    metrics = meta.get("metrics") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(metrics, list) or not any(metric.get("tags") for metric in metrics):
        return raw
    shown = [
        {**metric, "tags": {**metric["tags"], "method": method}} if metric.get("tags") else metric for metric in metrics
    ]
    return {**raw, "meta": {**meta, "metrics": shown}}


def _with_type(metric: Any) -> Any:
    return {"type": "COUNTER", **metric} if isinstance(metric, dict) else metric


def _split_proto(raw: Any) -> tuple[list[Any], Any]:
    if not getattr(getattr(raw, "meta", None), "metrics", None):
        return [], raw
    metrics = [read_metric(metric) for metric in raw.meta.metrics]
    rest = type(raw)()
    rest.CopyFrom(raw)
    rest.meta.ClearField("metrics")
    return metrics, rest


def read_metric(metric: Any) -> dict[str, Any]:
    """Return a Metric as JSON has it."""
    types = metric.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number
    metric_type = types[metric.type].name if metric.type in types else metric.type
    tree = {"key": metric.key, "type": metric_type, "value": metric.value}
    if metric.tags:
        tree["tags"] = dict(metric.tags)
    return tree


def add_routing(raw: Any, routing: Mapping[str, int], request_path: Mapping[str, str]) -> Any:
    """Return a raw response with the branches and the components of its request in ``meta``; it is not changed.

    Args:
        raw: the response; without an object ``meta`` it is returned as it is.
        routing: the branch by step.
        request_path: the image by component.
    """
    if is_proto(raw):
        if not hasattr(raw, "meta"):
            return raw
        routed = type(raw)()
        routed.CopyFrom(raw)
        routed.meta.routing.update(routing)
        path = routed.meta.requestPath
        path.update({name: image for name, image in request_path.items() if name not in path})
        return routed
    meta = (raw.get("meta") or {}) if isinstance(raw, dict) else None
    if not isinstance(meta, dict):
        return raw
    path, branches = meta.get("requestPath") or {}, meta.get("routing") or {}
    if not isinstance(path, dict) or not isinstance(branches, dict):
        return raw
    return {
        **raw,
        "meta": {**meta, "requestPath": {**request_path, **path}, "routing": {**branches, **routing}},
    }
