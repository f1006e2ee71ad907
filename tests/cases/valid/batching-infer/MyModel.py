class MyModel:
    def infer(self, inputs):
        return inputs
