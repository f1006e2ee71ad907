"""A replacement for the package ``seldon_core``, for imports in a user's class, if that package is not installed.

It has the names that user code is known to import, implemented from the contract (section 3.5).
"""

from seldon_spec.compat.finder import install

__all__ = ["install"]
