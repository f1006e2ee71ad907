"""Models for batch scoring: each is the folder of a class, and a server of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., AbstractContextManager[Any]]

SOURCE = """
import os
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


class Model:
    class_names = ["double", "negative"]

    def predict(self, X, names):
        X = np.asarray(X, dtype=float)
        if (X == -666).any():
            raise ValueError("-666 is not allowed")
        if (X == 777).any() and (HERE / "gate").exists():
            (HERE / "reached").open("w").close()  # each until the test opens it too
            (HERE / "gate").open("w").close()
        return np.stack([X[:, 0] * 2, -X[:, 0]], axis=1)


class Echo:
    def predict(self, X, names):
        return [[repr(row.tolist()), ",".join(names)] for row in X]


class Total:
    def predict(self, X, names):
        return np.asarray(X, dtype=float).sum(axis=0, keepdims=True)


class Size:
    def predict(self, X, names):
        return {"bytes": len(X)} if isinstance(X, bytes) else [len(each) for each in X]


class Growing:
    def predict(self, X, names):
        return X if X[0, 0] < 50 else np.concatenate([X, X], axis=1)


class Words:
    def predict(self, X, names):
        return [["yes", "no"] for _ in X]


class Holes:
    def predict(self, X, names):
        return np.full((len(X), 2), [np.nan, np.inf])


class Never:
    def predict(self, X, names):
        raise RuntimeError("not today")
"""


@pytest.fixture(scope="session")
def batch_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the classes, without a spec."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "models.py").write_text(SOURCE)
    return folder


@pytest.fixture
def model(batch_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Returns the folder of a spec of one of the classes; more text is added to the file."""

    def make(name: str, more: str = "") -> Path:
        folder = tmp_path / f"{name}-model"
        folder.mkdir()
        (folder / "models.py").write_text((batch_folder / "models.py").read_text())
        (folder / "seldon.yaml").write_text(f"class_name: models.{name}\n{more}")
        return folder

    return make
