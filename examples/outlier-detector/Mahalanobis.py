"""Measures the distance of each row from the previous rows."""

import numpy as np


class Mahalanobis:
    """Returns the squared Mahalanobis distance from a mean and a covariance that are learned from previous rows.

    Args:
        threshold: a row with a larger distance is an outlier.
        start_after: number of rows before the distance is measured; must exceed the number of columns.
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
        if not is_outlier:  # outliers must not change the mean and the covariance
            self.learn(row)
        return round(distance, 3)

    def measure(self, row):
        if self.count < self.start_after:  # too few rows to estimate the covariance
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
