import numpy as np


class Same:
    def predict(self, X, names):
        return X


class Mean:
    def aggregate(self, features, names):
        return np.mean(features, axis=0)
