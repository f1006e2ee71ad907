class Model:
    def __init__(self, dataset="", target=""):
        pass

    def predict(self, X, names):
        return X
