"""Logs, the access log, traces and metrics."""
