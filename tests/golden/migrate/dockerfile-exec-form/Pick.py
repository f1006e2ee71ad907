class Pick:
    def __init__(self, threshold):
        pass

    def route(self, X, names):
        return 0
