"""Files for deployment, rendered from a spec."""
