"""YAML text to values with their source locations."""
