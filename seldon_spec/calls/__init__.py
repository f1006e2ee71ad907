"""Calls of a model from Python: over REST and gRPC, or in this process, by the server's own codecs."""
