"""Replacement for the names of ``seldon_core`` itself."""

from seldon_spec.compat.storage import Storage
from seldon_spec.compat.version import __version__

__all__ = ["Storage", "__version__"]
