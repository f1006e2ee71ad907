"""The classes of the graph."""


class Model:
    def __init__(self, threshold=0.5): ...

    def predict(self, X, names): ...


class Router:
    def __init__(self, n_branches=2): ...

    def route(self, X, names): ...

    def send_feedback(self, features, names, reward, truth): ...


class Combiner:
    def aggregate(self, X, names): ...


class Input:
    def transform_input(self, X, names): ...


class Output:
    def transform_output(self, X, names): ...


class Both:
    def transform_input(self, X, names): ...

    def transform_output(self, X, names): ...


class Detector:
    def predict(self, X, names): ...


class Empty:
    """Has no methods."""
