class Base:
    def infer(self, inputs):
        return inputs
