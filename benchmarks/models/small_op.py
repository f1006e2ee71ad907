"""A model of a little arithmetic."""

import numpy as np


class SmallOp:
    """One product of matrices and a hyperbolic tangent: from any number of columns to three."""

    def predict(self, x, names=None):  # noqa: ARG002
        """Shape (rows, columns) to (rows, 3)."""
        x = np.asarray(x, dtype=np.float64)
        weights = np.linspace(-1.0, 1.0, x.shape[1] * 3).reshape(-1, 3)
        return np.tanh(x @ weights)
