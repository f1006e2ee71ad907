"""Features to the scale on which a model was trained."""

import numpy as np


class Scaler:
    """Subtracts each column's mean, divides by its deviation, and clips what is far out.

    Args:
        means: one for each column.
        deviations: one for each column.
        limit: the farthest that a scaled value may be from 0; null: any.
    """

    def __init__(self, means: list, deviations: list, limit: float | None = None):
        self.means = np.array(means, dtype=float)
        self.deviations = np.array(deviations, dtype=float)
        self.limit = limit

    def transform_input(self, X, names):
        scaled = (X - self.means) / self.deviations
        return scaled if self.limit is None else np.clip(scaled, -self.limit, self.limit)

    class_names = ("height", "weight")
