"""Measures the colours of a photo."""

from PIL import Image, ImageStat


class Photo:
    """Returns the mean of each colour of an image, from 0 to 255."""

    def __init__(self, digits=1):
        self.digits = digits

    def predict(self, X: Image.Image, names):
        means = ImageStat.Stat(X.convert("RGB")).mean
        return [[round(mean, self.digits) for mean in means]]
