class MyModel:
    def __init__(self, **kwargs):
        pass

    def predict(self, X, names):
        return X
