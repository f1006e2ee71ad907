class B:
    def predict(self, X, names):
        return X
