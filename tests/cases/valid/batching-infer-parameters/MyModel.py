class MyModel:
    def infer(self, inputs, parameters=None):
        return inputs
