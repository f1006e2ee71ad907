class Iris:
    def __init__(self, threshold=0.5):
        self.threshold = threshold

    def predict(self, X, names):
        return X
