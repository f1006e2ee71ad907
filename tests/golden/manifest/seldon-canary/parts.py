class Model:
    def __init__(self, factor=1):
        self.factor = factor

    def predict(self, X, names):
        return X * self.factor


class Scale:
    def transform_input(self, X, names):
        return X
