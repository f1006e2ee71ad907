class Scaler:
    def transform_input(self, X, names):
        return X / 100


class Small:
    def predict(self, X, names):
        return X


class Large:
    def __init__(self, key):
        self.key = key

    def predict(self, X, names):
        return X


class Bandit:
    def route(self, X, names):
        return 0
