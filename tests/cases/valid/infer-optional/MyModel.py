class MyModel:
    def infer(self, inputs: "dict | None" = None):
        return inputs

    def predict(self, X, names):
        return X
