class MyModel:
    def __init__(self):
        self.predict = lambda X, names: X
