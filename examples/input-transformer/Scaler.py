"""Scales features as for the training of a model."""

import numpy as np


class Scaler:
    """Subtracts the mean of each column, divides by its deviation, and clips large values.

    Args:
        means: one for each column.
        deviations: one for each column.
        limit: the maximum absolute scaled value; null: no limit.
    """

    def __init__(self, means: list, deviations: list, limit: float | None = None):
        self.means = np.array(means, dtype=float)
        self.deviations = np.array(deviations, dtype=float)
        self.limit = limit

    def transform_input(self, X, names):
        scaled = (X - self.means) / self.deviations
        return scaled if self.limit is None else np.clip(scaled, -self.limit, self.limit)

    class_names = ("height", "weight")
