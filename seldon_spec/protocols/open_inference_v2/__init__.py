"""The Open Inference Protocol V2: routes, codecs, error format and OpenAPI."""
