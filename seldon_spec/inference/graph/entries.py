"""How the components that can get the client's request read it."""

from __future__ import annotations

from functools import reduce

from seldon_spec.inference.graph.steps import Runner
from seldon_spec.inference.message import KeepRows, Operation, Transport

_ORDER = (KeepRows.NEVER, KeepRows.IF_MIXED, KeepRows.ALWAYS)


class Entries:
    """The components of a graph that can get the client's request.

    Args:
        root: the steps of the graph.

    Attributes:
        plain: see ``Component``: all of them read only the message.
        keeps_rows: see ``Component``: what one of them needs.
        reads_wire: by transport, whether there are several, and one of them reads the request unparsed.
        reads_only_wire: by transport, whether there are several, and all of them read the request unparsed.
    """

    def __init__(self, root: Runner) -> None:
        entries = list(root.list_entries())
        is_plain = {
            transport: [(operation, transport) in node.component.plain for node, operation in entries]
            for transport in Transport
        }
        self.plain = frozenset((Operation.PREDICT, each) for each in Transport if all(is_plain[each]))
        self.keeps_rows = reduce(keep_more, (node.component.keeps_rows for node, _ in entries))
        has_several = len(entries) > 1
        self.reads_wire = {each: has_several and not all(is_plain[each]) for each in Transport}
        self.reads_only_wire = {each: has_several and not any(is_plain[each]) for each in Transport}


def keep_more(first: KeepRows, second: KeepRows) -> KeepRows:
    """Return which of two keeps more."""
    return max(first, second, key=_ORDER.index)
