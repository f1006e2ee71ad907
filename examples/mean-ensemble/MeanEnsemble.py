"""Combines the responses of several models."""

import numpy as np

from seldon_spec import SeldonMicroserviceException


class MeanEnsemble:
    """Returns the weighted mean of the models' responses.

    Args:
        weights: one for each model; null: equal weights.
    """

    def __init__(self, weights: list | None = None):
        self.weights = weights

    def aggregate(self, Xs, names):
        shapes = sorted({np.shape(X) for X in Xs})
        if len(shapes) > 1:
            raise SeldonMicroserviceException(f"the responses have different shapes: {shapes}", status_code=422)
        return np.average(Xs, axis=0, weights=self.weights)
