"""Batch scoring: every row of a file is sent to a model, and its prediction is written beside it."""
