"""Seldon's protocol, version 1: routes, codecs, error format and OpenAPI."""
