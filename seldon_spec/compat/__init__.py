"""Imports of ``seldon_core`` in a user's class, where that package is not installed.

What user code is known to import from it is here under the same names, written from the contract (section 3.5).
"""

from seldon_spec.compat.finder import install

__all__ = ["install"]
