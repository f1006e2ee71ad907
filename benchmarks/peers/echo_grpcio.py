"""Grpcio's own server with its default limits: the response of any method is its request.

``echo_grpcio.py PORT``
"""

import asyncio
import sys

import grpc


async def echo(request, context):  # noqa: ARG001
    """The bytes as they came."""
    return request


class Everything(grpc.GenericRpcHandler):
    """One handler for all methods."""

    def service(self, handler_call_details):  # noqa: ARG002
        """The same for whatever is called."""
        return grpc.unary_unary_rpc_method_handler(echo)


async def main():
    """Serve until the process is ended."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Everything(),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
