"""The process's variables, read for the user's class and at its request; no setting of ours is read here."""

from __future__ import annotations

import os
from typing import Any

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})


def getenv(*names: str, default: Any = None) -> Any:
    """The value of the first of these variables that is set."""
    return next((os.environ[name] for name in names if name in os.environ), default)


def getenv_as_bool(*names: str, default: bool = False) -> bool:
    """Whether the first of these variables that is set says yes: 1, true, t, yes, y or on, in any case."""
    value = getenv(*names)
    return default if value is None else str(value).strip().lower() in _TRUE
