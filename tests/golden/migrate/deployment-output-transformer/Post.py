class Post:
    def transform_output(self, X, names):
        return X
