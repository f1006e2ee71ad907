"""Model files: the table of their formats, and what a file says of itself without being loaded."""
