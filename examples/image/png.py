"""Decodes PNG to an array with numpy and zlib; use Pillow or OpenCV in production."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def read_png(data):
    """Return the pixels of a non-interlaced 8-bit image: height x width x channels."""
    if not data.startswith(SIGNATURE):
        raise ValueError("binData is not a PNG image")
    chunks = dict.fromkeys((b"IHDR", b"IDAT"), b"")
    place = len(SIGNATURE)
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        chunks[kind] = chunks.get(kind, b"") + data[place + 8 : place + 8 + length]
        place += length + 12
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if depth != 8 or colour not in CHANNELS or interlace:
        raise ValueError("only PNG images of 8 bits, without a palette and not interlaced, are read")
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * CHANNELS[colour])
    return unfilter(lines, CHANNELS[colour]).reshape(height, width, CHANNELS[colour])


def unfilter(lines, step):
    """Decode the lines: each is coded as differences from its neighbours, by the filter that its first byte names."""
    above = [0] * (lines.shape[1] - 1)
    pixels = []
    for kind, *line in lines.tolist():
        for i in range(len(line)):
            left, upper_left = (line[i - step], above[i - step]) if i >= step else (0, 0)
            line[i] = (line[i] + predict_byte(kind, left, above[i], upper_left)) % 256
        pixels.append(line)
        above = line
    return np.array(pixels, np.uint8)


def predict_byte(kind, left, up, upper_left):
    if kind == 4:  # Paeth: the neighbour that is nearest to left + up - upper_left
        return min((left, up, upper_left), key=lambda value: abs(left + up - upper_left - value))
    return (0, left, up, (left + up) // 2)[kind]
