class DeepMnist:
    def predict(self, X, names):
        return X
