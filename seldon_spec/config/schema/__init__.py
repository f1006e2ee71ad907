"""The JSON Schema: checks, suggestions, and what it says of each key."""
