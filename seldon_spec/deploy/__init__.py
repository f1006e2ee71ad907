"""A spec to files for deployment."""
