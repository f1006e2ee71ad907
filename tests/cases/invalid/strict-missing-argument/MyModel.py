class MyModel:
    def __init__(self, threshold):
        pass

    def predict(self, X, names):
        return X
