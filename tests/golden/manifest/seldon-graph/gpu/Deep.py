class Deep:
    def predict(self, X, names):
        return X
