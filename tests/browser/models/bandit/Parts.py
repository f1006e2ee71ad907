import numpy as np


class Scaler:
    def transform_input(self, X, names):
        return np.asarray(X, float) * 10


class ByLength:
    def route(self, X, names):
        return int(np.asarray(X)[0, 0] > 50)


class Iris:
    def predict(self, X, names):
        return np.asarray(X, float).sum(axis=1, keepdims=True)


class Broken:
    def predict(self, X, names):
        raise ValueError("this version has a bug")


class Labels:
    def transform_output(self, X, names):
        return X

    def class_names(self):
        return ["total"]
