"""Environment variables, read for the user's class; not for settings of this package."""

from __future__ import annotations

import os
from typing import Any

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})


def getenv(*names: str, default: Any = None) -> Any:
    """Return the value of the first of these variables that is set."""
    return next((os.environ[name] for name in names if name in os.environ), default)


def getenv_as_bool(*names: str, default: bool = False) -> bool:
    """Return whether the first of these variables that is set is 1, true, t, yes, y or on, in any case."""
    value = getenv(*names)
    return default if value is None else str(value).strip().lower() in _TRUE
