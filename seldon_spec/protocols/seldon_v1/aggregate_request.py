"""Several messages as one: what a combiner is asked with (contract section 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from seldon_spec.inference.arrays import TEXT_BYTES_ALWAYS
from seldon_spec.inference.message import Message, PayloadType


def join_messages(parts: Sequence[Any], read: Callable[[Any, int], Message]) -> Message:
    """Read the messages of an ``aggregate`` request.

    Args:
        parts: the messages in their wire form.
        read: reads one; the number is how many bytes its array may have beyond what it explains. The usual allowance
            is shared among all, so that many small messages claim no more than a single one could.

    Returns:
        One message of the first one's kind, with lists of payloads and of names. Its meta has the first one's puid; of
        tags and request paths a later message's win, metrics stand in the messages' order. If there are none it is of
        no kind, and its answer is refused.

    Raises:
        PayloadError: one of them is no message.
    """
    if not parts:
        return Message(PayloadType.NOTHING, [], [], {})
    allowance = TEXT_BYTES_ALWAYS // len(parts)
    messages = [read(part, allowance) for part in parts]
    return Message(
        messages[0].kind,
        [message.payload for message in messages],
        [message.names for message in messages],
        _join_meta([message.meta or {} for message in messages]),
    )


def _join_meta(metas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {"puid": metas[0].get("puid"), "tags": {}, "metrics": [], "requestPath": {}}
    for meta in metas:
        joined["tags"].update(meta.get("tags") or {})
        joined["metrics"].extend(meta.get("metrics") or ())
        joined["requestPath"].update(meta.get("requestPath") or {})
    return joined
