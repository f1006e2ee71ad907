"""The risk of a loan by a fixed formula, so that the example needs no training."""

import logging
import os

import numpy as np

logger = logging.getLogger(__name__)


class Risk:
    """Returns the probability that a loan is not repaid.

    Args:
        cutoff: the probability above which the tag ``decision`` is ``reject``.
    """

    def __init__(self, cutoff: float = 0.5) -> None:
        self.cutoff = cutoff
        if not os.environ.get("BUREAU_TOKEN"):
            logger.warning("BUREAU_TOKEN is empty")

    def predict(self, X, features_names=None):
        """Return one probability per row of income, debt and age."""
        income, debt, age = np.asarray(X, dtype=float).T
        self.risk = 1 / (1 + np.exp(0.05 * (income - debt) + 0.02 * (age - 30)))
        return self.risk.reshape(-1, 1)

    def tags(self):
        """Return the decision for the riskiest row."""
        return {"decision": "reject" if self.risk.max() > self.cutoff else "accept"}
