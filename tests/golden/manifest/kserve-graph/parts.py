import numpy as np


class Scale:
    def predict(self, X, names):
        return X * 2

    def transform_input(self, X, names):
        return X * 2

    def transform_output(self, X, names):
        return X * 2


class Mean:
    def aggregate(self, Xs, names):
        return np.mean(Xs, axis=0)
