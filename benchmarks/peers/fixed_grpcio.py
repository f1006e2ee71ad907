"""The least a server on grpcio's own event loop can do: whole messages as bytes, and fixed responses.

``fixed_grpcio.py PORT`` responds to the method ``/fixed/NAME`` with the file ``NAME.response`` of the working folder.
"""

import asyncio
import sys
from pathlib import Path

import grpc

LIMIT = 200_000_000


def answer_with(response):
    """A handler that gives the bytes to whatever is asked."""

    async def handle(request, context):  # noqa: ARG001
        return response

    return grpc.unary_unary_rpc_method_handler(handle)


async def main():
    """Serve until the process is ended."""
    handlers = {path.stem: answer_with(path.read_bytes()) for path in Path().glob("*.response")}
    limits = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
    server = grpc.aio.server(options=limits)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("fixed", handlers),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
