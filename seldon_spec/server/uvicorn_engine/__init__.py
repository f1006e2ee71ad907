"""The engine ``uvicorn``: uvicorn for REST and grpcio's server for gRPC."""
