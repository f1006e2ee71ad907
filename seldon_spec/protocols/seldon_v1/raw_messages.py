"""Whole messages that the user's code takes and makes itself: of protobuf, or what JSON can write.

Their only member that is looked at is ``meta.metrics`` (contract section 3.4).
"""

from __future__ import annotations

import sys
from typing import Any

from seldon_spec.errors import UnwritableResult

_USERS_MODULE = "seldon_core.proto.prediction_pb2"


def is_proto(answer: object) -> bool:
    """Whether a value is a message of protobuf, of whichever descriptor pool."""
    return hasattr(answer, "SerializeToString") and hasattr(answer, "DESCRIPTOR")


def to_users_type(message: Any) -> Any:
    """A message of ours as the user's code knows it: of the generated module, where it has imported that."""
    theirs = getattr(sys.modules.get(_USERS_MODULE), type(message).__name__, None)
    return message if theirs in (None, type(message)) else theirs.FromString(message.SerializeToString())


def to_tree(message: Any) -> Any:
    """A message of protobuf as a JSON value.

    Raises:
        UnwritableResult: it holds what JSON has no form for.
    """
    from seldon_spec.protocols.seldon_v1.proto import json_form  # not at the top: most answers on REST need no protobuf

    try:
        return json_form.message_to_tree(message)
    except json_form.ERRORS as error:
        raise UnwritableResult(f"the result has no form in JSON: {error}") from error


def split_metrics(answer: Any) -> tuple[list[Any], Any]:
    """The metrics in an answer's ``meta``, and the answer without them; neither changes the answer itself."""
    if is_proto(answer):
        return _split_proto(answer)
    meta = answer.get("meta") if isinstance(answer, dict) else None
    metrics = meta.get("metrics") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not metrics:
        return [], answer
    if not isinstance(metrics, list):
        return [metrics], answer
    rest = {key: value for key, value in meta.items() if key != "metrics"}
    return [_with_type(metric) for metric in metrics], {**answer, "meta": rest}


def name_method(answer: Any, method: str) -> Any:
    """The answer with the method among the tags of each metric that has some; the answer itself is not changed.

    Args:
        answer: whose metrics have been counted.
        method: the value of the tag.
    """
    if is_proto(answer):
        if not any(metric.tags for metric in getattr(getattr(answer, "meta", None), "metrics", ())):
            return answer
        named = type(answer)()
        named.CopyFrom(answer)
        for metric in named.meta.metrics:
            if metric.tags:
                metric.tags["method"] = method
        return named
    meta = answer.get("meta") if isinstance(answer, dict) else None
    metrics = meta.get("metrics") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(metrics, list) or not any(metric.get("tags") for metric in metrics):
        return answer
    shown = [
        {**metric, "tags": {**metric["tags"], "method": method}} if metric.get("tags") else metric for metric in metrics
    ]
    return {**answer, "meta": {**meta, "metrics": shown}}


def _with_type(metric: Any) -> Any:
    return {"type": "COUNTER", **metric} if isinstance(metric, dict) else metric


def _split_proto(answer: Any) -> tuple[list[Any], Any]:
    if not getattr(getattr(answer, "meta", None), "metrics", None):
        return [], answer
    metrics = [read_metric(metric) for metric in answer.meta.metrics]
    rest = type(answer)()
    rest.CopyFrom(answer)
    rest.meta.ClearField("metrics")
    return metrics, rest


def read_metric(metric: Any) -> dict[str, Any]:
    """A Metric in the form that REST has."""
    kinds = metric.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number
    kind = kinds[metric.type].name if metric.type in kinds else metric.type
    tree = {"key": metric.key, "type": kind, "value": metric.value}
    if metric.tags:
        tree["tags"] = dict(metric.tags)
    return tree
