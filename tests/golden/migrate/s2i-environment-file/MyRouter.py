class MyRouter:
    def route(self, X, names):
        return 0
