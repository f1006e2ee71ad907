"""The current request of an HTTP/1.1 connection, and its response."""

from __future__ import annotations

from collections.abc import Callable

from seldon_spec.transport.abuse import AbuseBudget
from seldon_spec.transport.http1.messages import Body, RequestHead, ResponseHead
from seldon_spec.transport.http1.request_reader import RequestReader
from seldon_spec.transport.http1.response_writer import CLOSE, KEEP_ALIVE, ResponseWriter

_FIRST_ERROR = 400


class HttpCycle:
    """The ``RequestCycle`` of a connection: one object for all of its requests, which follow each other.

    Args:
        reader: has read the request.
        writer: of the response.
        budget: a response with an error is work without progress.
        on_response: called when the response has been written, with whether it is the last one.
        scheme, server: see ``RequestCycle``.

    Attributes:
        is_active: there is a request, and no response.
        is_last: the next response is the last one.
        has_eof: the client sends no further requests than those that are buffered.
        body_bytes: length of the request's body.
    """

    __slots__ = (
        "_budget",
        "_on_response",
        "_reader",
        "_writer",
        "body_bytes",
        "client",
        "has_eof",
        "head",
        "is_active",
        "is_last",
        "on_gone",
        "scheme",
        "server",
    )

    head: RequestHead

    def __init__(
        self,
        reader: RequestReader,
        writer: ResponseWriter,
        budget: AbuseBudget,
        on_response: Callable[[bool], None],
        scheme: str,
        server: tuple[str, int],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._budget = budget
        self._on_response = on_response
        self.scheme = scheme
        self.server = server
        self.client = ""
        self.on_gone: Callable[[], object] | None = None
        self.is_active = self.is_last = self.has_eof = False
        self.body_bytes = 0

    def begin(self) -> None:
        """Hand the request that has been read to its handler."""
        reader = self._reader
        self.is_active = True
        self.body_bytes = len(reader.body)
        self.head = reader.head
        reader.handler.begin(self)

    def take_body(self) -> Body:
        body, self._reader.body = self._reader.body, b""
        return body

    def respond(self, head: ResponseHead, body: bytes | memoryview, length: int | None = None) -> None:
        if not self.is_active:
            return
        self.is_active = False
        self.on_gone = None
        self._reader.body = b""  # the handler may not have taken it, and the connection may stay open
        request = self.head
        if not head.has_body:
            body, length = b"", 0
        elif request.method == "HEAD":
            body, length = b"", len(body) if length is None else length
        is_last = self.is_last or not request.is_kept or (self.has_eof and not self._reader.buffer)
        if head.status < _FIRST_ERROR:
            self._budget.earn()
        elif not self._budget.charge():
            is_last = True
        connection = CLOSE if is_last else b"" if request.version != "1.0" else KEEP_ALIVE
        self._writer.write(head, body, len(body) if length is None else length, connection)
        self._on_response(is_last)

    def cancel(self) -> None:
        """Cancel the request: no response is sent."""
        self.is_active = False
        self._reader.body = b""
        on_gone, self.on_gone = self.on_gone, None
        if on_gone is not None:
            on_gone()
