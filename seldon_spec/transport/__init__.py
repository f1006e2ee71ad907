"""Bytes: connections, HTTP/1.1, HTTP/2 and gRPC framing. Knows no Spec, no numpy and no protocol of models."""
