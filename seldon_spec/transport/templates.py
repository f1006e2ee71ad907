"""Templates of request heads: the bytes that a client repeats, with gaps for the values that differ.

A production client sends the same header fields with every request, but a trace context, a request ID or a token may
have a new value each time. A template is learned from heads of the same shape, that is with the same names in the same
order and the same values of fields that decide how a request is read. Reading another head of this client then costs
one comparison for each gap. A template matches only if the value in every gap is plain text; any other head is parsed
and validated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from seldon_spec.transport.bounded_cache import BoundedCache

MAX_BYTES = 4096
"""A longer head or header block is parsed each time."""

MAX_FIELDS = 64
"""And so is one with more fields."""

PRINTABLE = bytes(0x20 <= byte < 0x7F for byte in range(256))
"""A text is plain if ``0 not in text.translate(PRINTABLE)``, the quickest way to look at all of its bytes."""

_MAX_SHAPES = 256
_MAX_SHAPE_BYTES = 2 << 20
_MAX_RECENT = 4

Head = TypeVar("Head", covariant=True)
Item = TypeVar("Item")


class Template(Protocol[Head]):
    """Reads the heads of one shape."""

    def read(self, data: bytes) -> Head | None:
        """Return the head at the beginning of ``data``; None if it is another one, or has to be parsed."""


class _Shape(Generic[Item]):
    """What has been seen of one shape.

    Attributes:
        values: of its first head.
        varying: the numbers of the values that have differed.
        template: None until one has.
    """

    __slots__ = ("template", "values", "varying")

    def __init__(self, values: Sequence[bytes]) -> None:
        self.values = values
        self.varying: set[int] = set()
        self.template: Item | None = None


class Shapes(Generic[Item]):
    """The shapes that a port has seen more than once, and their templates."""

    def __init__(self) -> None:
        self._shapes: BoundedCache[_Shape[Item]] = BoundedCache(_MAX_SHAPES, _MAX_SHAPE_BYTES)

    def __len__(self) -> int:
        """Return the number of shapes."""
        return len(self._shapes)

    def learn(self, key: bytes, values: Sequence[bytes], build: Callable[[frozenset[int]], Item | None]) -> Item | None:
        """Learn from a head that has been parsed and accepted.

        Args:
            key: of its shape.
            values: those that may differ in the shape.
            build: makes a template of this head, given the numbers of the values that differ.

        Returns:
            The template of the shape; None if none is known yet.
        """
        shape = self._shapes.get(key)
        if shape is None:
            self._shapes.offer(key, _Shape(values), 4 * (len(key) + sum(map(len, values))))
            return None
        pairs = zip(shape.values, values, strict=True)
        new = {number for number, (first, value) in enumerate(pairs) if first != value} - shape.varying
        if new:
            shape.varying |= new
            shape.template = build(frozenset(shape.varying))
        return shape.template


class RecentTemplates(Generic[Head]):
    """The templates that matched on one connection, the last one first."""

    __slots__ = ("_templates",)

    def __init__(self) -> None:
        self._templates: tuple[Template[Head], ...] = ()

    def read(self, data: bytes) -> Head | None:
        """See ``Template``."""
        for template in self._templates:
            head = template.read(data)
            if head is not None:
                if template is not self._templates[0]:
                    self.add(template)
                return head
        return None

    def add(self, template: Template[Head]) -> None:
        """Put a template first."""
        others = [other for other in self._templates if other != template]
        self._templates = (template, *others[: _MAX_RECENT - 1])
