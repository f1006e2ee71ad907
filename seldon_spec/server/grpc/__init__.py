"""The gRPC services of the native engine."""
