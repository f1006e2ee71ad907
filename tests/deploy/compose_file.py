"""A reader of Compose files: YAML whose values are interpolated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*):\?(?P<message>[^}]*)\}|(?P<other>))")


class NotSet(Exception):
    """A required variable is not set; the text is the message in the file."""


def read_compose(text: str, environ: Mapping[str, str]) -> Any:
    """Return a Compose file with the values of variables.

    Raises:
        NotSet: a required variable is not set.
        ValueError: a ``$`` is neither escaped nor the start of a required variable.
    """
    return _interpolate(yaml.safe_load(text), environ)


def _interpolate(tree: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(tree, dict):
        return {key: _interpolate(value, environ) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_interpolate(item, environ) for item in tree]
    return _VARIABLE.sub(lambda found: _replace(found, environ), tree) if isinstance(tree, str) else tree


def _replace(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if found["escaped"]:
        return "$"
    if found["name"] is None:
        raise ValueError(found.string)
    if not environ.get(found["name"]):
        raise NotSet(found["message"])
    return environ[found["name"]]
