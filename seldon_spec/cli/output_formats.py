"""The output formats of the commands ``show`` and ``validate``."""

from __future__ import annotations

from enum import Enum


class Format(str, Enum):
    """Output formats of a spec."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"


class FindingsFormat(str, Enum):
    """Output formats of findings."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"
