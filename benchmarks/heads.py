"""The request headers of a load: the least, or those of a production client with new values in every request."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from enum import Enum

TOKEN_COUNT = 32
TOKEN_BYTES = 900
VARIED_REQUESTS = 5000
"""After which the values are repeated: enough that no server remembers them all."""
_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Heads(Enum):
    """Which headers the requests of a load have.

    ``FIXED`` are those of ``REAL`` with the same values in every request.
    ``UNKNOWN`` differs from ``REAL`` in the names of the two IDs: a server that recognises IDs by name does not know
    them.
    """

    PLAIN = "plain"
    FIXED = "fixed"
    REAL = "real"
    UNKNOWN = "unknown"

    @property
    def id_names(self) -> tuple[str, str]:
        """The headers that carry a trace context and a request ID."""
        return ("uber-trace-id", "x-transaction-id") if self is Heads.UNKNOWN else ("traceparent", "x-request-id")


def make_tokens(heads: Heads, numbers: random.Random) -> list[str]:
    """Bearer tokens of the length of a signed JWT."""
    count = 1 if heads is Heads.FIXED else TOKEN_COUNT
    return ["Bearer " + "".join(numbers.choices(_CHARACTERS, k=TOKEN_BYTES)) for _ in range(count)]


def make_values(heads: Heads, numbers: random.Random) -> Iterator[Sequence[str]]:
    """Yield the trace context, the request ID and the timeout of gRPC of the requests that differ."""
    for _ in range(1 if heads is Heads.FIXED else VARIED_REQUESTS):
        trace, span = (numbers.randbytes(size).hex() for size in (16, 8))
        timeout = f"{numbers.randrange(20_000_000, 30_000_000)}u"
        yield f"00-{trace}-{span}-01", str(uuid.UUID(bytes=numbers.randbytes(16))), timeout
