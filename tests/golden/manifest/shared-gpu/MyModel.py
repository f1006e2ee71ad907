class MyModel:
    def __init__(self, key):
        self.key = key

    def predict(self, X, names):
        return X
