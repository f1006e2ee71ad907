class Small:
    def predict(self, X, features_names=None):
        return X


class Large(Small):
    def __init__(self, layers):
        self.layers = layers
