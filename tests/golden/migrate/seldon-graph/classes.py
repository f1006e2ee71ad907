class Scaler:
    def transform_input(self, X, names):
        return X

    def transform_output(self, X, names):
        return X


class Forest:
    def __init__(self, threshold=0.5):
        self.threshold = threshold

    def predict(self, X, names):
        return X


class Bandit:
    def route(self, X, names):
        return 0
