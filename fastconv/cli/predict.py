"""`fastconv predict`: pictures in, classes out."""

import math

import numpy as np

from ..errors import ArgumentError, UnsupportedOpError
from ..models import load_model
from ..utils._images import load_image

MODES = {1: "grayscale", 3: "rgb", 4: "rgba"}


def read_image(path, shape, scale):
    """Return the picture at `path` as float32 of `shape` (H, W, 1, 3 or 4), pixels times `scale`.

    It is decoded and resized as `utils.image_dataset_from_directory` does it by default, so a model sees what it was trained on.
    """
    try:
        pixels = load_image(path, MODES[shape[2]], shape[:2], "bilinear", "stretch")
    except ImportError as error:
        raise UnsupportedOpError(str(error)) from error
    return pixels * np.float32(scale)


def read_names(path, count):
    """Return the class names of a text file, one a line."""
    try:
        with open(path, encoding="utf-8") as lines:
            names = [line.strip() for line in lines]
    except UnicodeDecodeError as error:
        raise ArgumentError(f"--classes: {path} is no UTF-8 text: {error}") from error
    if len(names) < count:
        raise ArgumentError(f"--classes: {path} names {len(names)} classes, the model has {count}")
    return names


def predict(file, images, scale=1 / 255, top=3, classes=None):
    """Print the `top` classes of each picture, with their scores."""
    if top < 1:
        raise ArgumentError(f"--top must be at least 1, got {top}")
    if not math.isfinite(scale):
        raise ArgumentError(f"--scale must be a finite number, got {scale}")
    model = load_model(file, compile=False)
    shape = model.input_shape[1:] if isinstance(model.input_shape, tuple) else ()
    if len(shape) != 3 or shape[2] not in MODES or None in shape:
        raise ArgumentError(f"{file} takes inputs of shape {model.input_shape}, which are not pictures of one size")
    outputs = model.output_shape
    if not isinstance(outputs, tuple) or len(outputs) != 2 or not isinstance(outputs[1], int):
        raise ArgumentError(
            f"{file} gives outputs of shape {outputs}; predict shows scores of classes, (None, classes)"
        )
    names = read_names(classes, outputs[1]) if classes else range(outputs[1])
    scores = model.predict(np.stack([read_image(path, shape, scale) for path in images]), verbose=0)
    for path, row in zip(images, scores, strict=True):
        best = np.argsort(-row, kind="stable")[:top]
        print(f"{path}: {', '.join(f'{names[i]} {row[i]:.3f}' for i in best)}")
