class Model:
    def predict(self, X, names):
        return X
