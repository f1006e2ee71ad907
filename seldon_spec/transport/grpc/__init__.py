"""gRPC over HTTP/2: calls, health and reflection."""
