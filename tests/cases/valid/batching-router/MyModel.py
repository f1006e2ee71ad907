class MyModel:
    def route(self, X, names):
        return 0
