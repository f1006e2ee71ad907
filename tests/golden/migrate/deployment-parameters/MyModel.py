class MyModel:
    def __init__(self, a, b, c, d, e, f=None, g=None, h=None, i=None):
        pass

    def predict(self, X, names):
        return X
