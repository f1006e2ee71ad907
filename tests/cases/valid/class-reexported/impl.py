class Impl:
    def predict(self, X, names):
        return X
