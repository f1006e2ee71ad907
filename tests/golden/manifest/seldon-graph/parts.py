class Scale:
    def transform_input(self, X, names):
        return X

    def transform_output(self, X, names):
        return X


class Model:
    def __init__(self, factor=1):
        self.factor = factor

    def predict(self, X, names):
        return X * self.factor


class Labels:
    def transform_output(self, X, names):
        return X

    def send_feedback(self, X, names, reward, truth, routing=None):
        pass


class Mean:
    def aggregate(self, Xs, names):
        return Xs[0]
