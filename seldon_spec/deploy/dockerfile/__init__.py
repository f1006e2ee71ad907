"""Text made from a spec: pure functions, the same bytes for the same spec."""
