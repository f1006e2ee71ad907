"""The application without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODELS = Path(__file__).parent / "models"
CONFIGS = sorted((ROOT / "tests" / "golden" / "manifest").glob("*/for-*ray.yaml"))


def test_an_unknown_argument_is_an_error() -> None:
    from seldon_spec.ray import app

    with pytest.raises(ValueError, match="no argument pth; it has path"):
        app({"pth": "."})
