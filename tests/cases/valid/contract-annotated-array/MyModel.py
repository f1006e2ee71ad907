import numpy as np


class MyModel:
    def predict(self, X: np.ndarray, names=None):
        return X
