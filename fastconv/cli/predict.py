"""`fastconv predict`: pictures in, classes out."""

import numpy as np

from ..errors import ArgumentError, UnsupportedOpError
from ..models import load_model


def read_image(path, shape, scale):
    """Return the picture at `path` as float32 of `shape` (H, W, 1 or 3), pixels times `scale`."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise UnsupportedOpError("reading pictures needs Pillow: pip install fastconv[image]") from None
    height, width, channels = shape
    try:
        with Image.open(path) as image:
            image = image.convert("L" if channels == 1 else "RGB")
            pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    except UnidentifiedImageError:
        raise ArgumentError(f"{path} is not a picture that Pillow can read") from None
    return pixels.reshape(shape) * np.float32(scale)


def predict(file, images, scale=1 / 255, top=3, classes=None):
    """Print the `top` classes of each picture, with their scores."""
    model = load_model(file, compile=False)
    shape = tuple(model.input_shape[1:])
    if len(shape) != 3 or shape[2] not in (1, 3) or None in shape:
        raise ArgumentError(f"{file} takes inputs of shape {model.input_shape}, which are not pictures")
    names = None
    if classes:
        with open(classes, encoding="utf-8") as lines:
            names = [line.strip() for line in lines]
    scores = model.predict(np.stack([read_image(path, shape, scale) for path in images]), verbose=0)
    scores = scores.reshape(len(images), -1)
    if names is not None and len(names) < scores.shape[1]:
        raise ArgumentError(f"{classes} names {len(names)} classes, the model has {scores.shape[1]}")
    for path, row in zip(images, scores, strict=True):
        best = np.argsort(-row, kind="stable")[:top]
        found = ", ".join(f"{names[i] if names else i} {row[i]:.3f}" for i in best)
        print(f"{path}: {found}")
