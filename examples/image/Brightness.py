"""Measures the brightness of an image."""

from png import read_png


class Brightness:
    """Returns the brightness of an image and its mean colour."""

    def predict(self, image, names):
        pixels = read_png(image)
        colour = pixels.reshape(-1, pixels.shape[2]).mean(axis=0)
        return {
            "height": pixels.shape[0],
            "width": pixels.shape[1],
            "mean": [round(float(value), 2) for value in colour],
            "is_bright": bool(colour.mean() > 127),
        }
