"""How far each row lies from what has been seen so far."""

import numpy as np


class Mahalanobis:
    """The squared Mahalanobis distance from a mean and a covariance that are learned as rows pass.

    Args:
        threshold: a row that is farther is an outlier.
        start_after: how many rows have to be seen before the distance is measured; more than there are columns.
    """

    def __init__(self, threshold: float = 25.0, start_after: int = 5):
        self.threshold = threshold
        self.start_after = start_after
        self.count = 0
        self.mean = None
        self.products = None  # the sum of the outer products of the deviations
        self.outliers = 0

    def score(self, X, names):
        return [self.score_row(row) for row in np.atleast_2d(X).astype(float)]

    def score_row(self, row):
        distance = self.measure(row)
        is_outlier = distance > self.threshold
        self.outliers += is_outlier
        if not is_outlier:  # what lies far out must not become what is usual
            self.learn(row)
        return round(distance, 3)

    def measure(self, row):
        if self.count < self.start_after:  # too few rows tell no spread
            return 0.0
        deviation = row - self.mean
        covariance = self.products / (self.count - 1)
        return float(deviation @ np.linalg.pinv(covariance) @ deviation)

    def learn(self, row):
        if self.mean is None:
            self.mean, self.products = np.zeros_like(row), np.zeros((row.size, row.size))
        self.count += 1
        before = row - self.mean
        self.mean = self.mean + before / self.count
        self.products = self.products + np.outer(before, row - self.mean)

    def tags(self):
        return {"outliers": self.outliers}
