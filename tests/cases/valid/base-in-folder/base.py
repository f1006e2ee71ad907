class Base:
    def __init__(self, epsilon: float):
        pass

    def route(self, X, names):
        return 0
