"""Kubernetes manifests of a spec, and those of other engines: pure functions, the same bytes for the same spec.

A spec becomes workloads, which a target turns into trees of plain values with comments about their origins; one writer
turns the trees into YAML. Nothing is sent to a cluster.
"""
