"""gRPC: calls and their answers, by our own HTTP/2 or by grpcio."""
