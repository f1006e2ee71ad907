class MyModel:
    def infer(self, inputs):
        return inputs

    def predict(self, X, names):
        return X
