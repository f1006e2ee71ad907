"""The request headers of a load: the least, or those of a production client with new values in every request."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from enum import Enum

TOKEN_COUNT = 32
TOKEN_BYTES = 900
_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Heads(Enum):
    """Which headers the requests of a load have.

    ``UNKNOWN`` differs from ``REAL`` in the names of the two IDs: a server that recognises IDs by name does not know
    them.
    """

    PLAIN = "plain"
    REAL = "real"
    UNKNOWN = "unknown"

    @property
    def id_names(self) -> tuple[str, str]:
        """The headers that carry a trace context and a request ID."""
        return ("uber-trace-id", "x-transaction-id") if self is Heads.UNKNOWN else ("traceparent", "x-request-id")


def make_tokens(numbers: random.Random) -> list[str]:
    """Bearer tokens of the length of a signed JWT."""
    return ["Bearer " + "".join(numbers.choices(_CHARACTERS, k=TOKEN_BYTES)) for _ in range(TOKEN_COUNT)]


def make_values(numbers: random.Random) -> Iterator[Sequence[str]]:
    """Yield the trace context, the request ID and the timeout of gRPC of one request after the other."""
    while True:
        trace, span = (numbers.randbytes(size).hex() for size in (16, 8))
        timeout = f"{numbers.randrange(20_000_000, 30_000_000)}u"
        yield f"00-{trace}-{span}-01", str(uuid.UUID(bytes=numbers.randbytes(16))), timeout
