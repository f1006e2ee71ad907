class MyModel:
    def infer(self, inputs, threshold):
        return inputs
