from PIL import Image


class MyModel:
    def predict(self, X: list[Image.Image], names=None):
        return [[image.width] for image in X]
