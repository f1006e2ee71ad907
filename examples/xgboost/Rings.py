"""Boosted trees trained by xgboost."""

from pathlib import Path

import xgboost


class Rings:
    """Classifies points as inside or outside a ring.

    Args:
        model_file: the file that ``train.py`` wrote, next to this one.
    """

    def __init__(self, model_file: str = "rings.json"):
        self.model_file = Path(__file__).with_name(model_file)

    def load(self):
        self.booster = xgboost.Booster(model_file=self.model_file)

    def predict(self, X, names):
        inside = self.booster.predict(xgboost.DMatrix(X))
        return [[round(1 - float(value), 4), round(float(value), 4)] for value in inside]

    class_names = ("outside", "inside")
