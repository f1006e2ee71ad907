"""Faster forms of what the codecs do otherwise; each has a plain one that defines its result."""
