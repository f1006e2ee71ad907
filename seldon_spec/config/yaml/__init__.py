"""Parse YAML into values with their positions."""
