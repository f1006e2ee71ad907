class MyModel:
    def __init__(self, threshold, other):
        pass

    def predict(self, X, names):
        return X
