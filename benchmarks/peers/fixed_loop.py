"""The least a Python server of HTTP/1.1 can do: asyncio on uvloop, httptools, and fixed responses.

``fixed_loop.py PORT`` responds to ``/NAME`` with the file ``NAME.response`` of the working folder.
"""

import asyncio
import sys
from pathlib import Path

import httptools
import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
RESPONSES = {
    f"/{path.stem}".encode(): HEAD % len(response) + response
    for path in Path().glob("*.response")
    for response in (path.read_bytes(),)
}


class Connection(asyncio.Protocol):
    """One connection; the response to a request is sent after its last byte has arrived."""

    def connection_made(self, transport):
        """Make the parser, which calls the methods that begin with on."""
        self.transport = transport
        self.path = b""
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data):
        """Hand what came to the parser."""
        self.parser.feed_data(data)

    def on_url(self, url):
        """Keep where the request goes."""
        self.path = url

    def on_message_complete(self):
        """Send the response."""
        self.transport.write(RESPONSES.get(self.path, NOT_FOUND))


async def main():
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


uvloop.install()
asyncio.run(main())
