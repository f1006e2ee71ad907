class Classifier:
    def predict(self, X, names):
        return X
