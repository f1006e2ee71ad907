"""Replacement for ``seldon_core.version``."""

__all__ = ["__version__"]

__version__ = "1.18.2"
"""The release whose names and behaviour are replaced."""
