"""What classes import from ``seldon_core.version``."""

__all__ = ["__version__"]

__version__ = "1.18.2"
"""The release whose names and behaviour are here, for a class that logs or compares it."""
