import numpy as np


class MyModel:
    def infer(self, X: np.ndarray):
        return X

    def predict(self, X, names):
        return X
