"""`fastconv predict`: pictures in, classes out."""

import math
from typing import NamedTuple

import numpy as np

from ..errors import ArgumentError, UnsupportedOpError
from ..layers.node import map_shapes
from ..utils._images import load_image, resize
from . import files

MODES = {1: "grayscale", 3: "rgb", 4: "rgba"}
BATCH = 32  # pictures at once


def run(args):
    """Run the command."""
    if args.top < 1:
        raise ArgumentError(f"--top must be at least 1, got {args.top}")
    classifier = open_classifier(args.file)
    prepare = Preparation(classifier, args)
    names = read_names(args.classes, classifier.classes) if args.classes else range(classifier.classes)
    pictures = [prepare(path) for path in args.images]
    for start in range(0, len(pictures), BATCH):
        scores = classifier.scores(pictures[start : start + BATCH])
        for path, row in zip(args.images[start:], softmax(scores) if args.softmax else scores, strict=False):
            best = np.argsort(-row, kind="stable")[: args.top]
            print(f"{path}: {', '.join(f'{names[i]} {row[i]:.3f}' for i in best)}")


def softmax(scores):
    """Return probabilities, a row for a row of logits."""
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


# ---- models


class Classifier(NamedTuple):
    """A model of pictures: their (height, width, channels), the first two None where any size will do; a function."""

    shape: tuple
    classes: int
    scores: object  # list of (H, W, C) arrays -> array (N, classes)


def open_classifier(path):
    """Return the `Classifier` of a .fastconv or .onnx file; raises if it takes no pictures or gives no scores."""
    return _of_onnx(path) if files.is_onnx(path) else _of_model(path)


def _of_model(path):
    model, inputs, outputs = files.load(path), [], []
    map_shapes(inputs.append, model.input_shape)
    map_shapes(outputs.append, model.output_shape)
    if len(outputs) != 1:
        raise ArgumentError(f"{path} gives outputs of shapes {outputs}; predict shows scores of classes, (N, classes)")
    return _classifier(path, inputs, outputs[0], "NHWC", lambda batch: model.predict(batch, verbose=0))


def _of_onnx(path):
    session = files.open_session(path)
    inputs, (output, *_) = session.get_inputs(), session.get_outputs()

    def run(batch):
        batch = batch.astype(files.dtype_of(inputs[0]))
        fixed = inputs[0].shape[0]
        step, rows = fixed if isinstance(fixed, int) else len(batch), []
        for start in range(0, len(batch), step):
            part = batch[start : start + step]
            filled = np.concatenate([part, np.zeros((step - len(part), *part.shape[1:]), part.dtype)])
            rows.append(session.run([output.name], {inputs[0].name: filled})[0][: len(part)])
        return np.concatenate(rows)

    return _classifier(path, [value.shape for value in inputs], output.shape, "NCHW", run)


def _classifier(path, inputs, output, usual, run):
    """Return a `Classifier`.

    Parameters
    ----------
    inputs, output : list of shapes, shape
        Numbers, and names or None for what is open.
    usual : str
        "NCHW" or "NHWC": what 3 channels are taken for that may be before or behind the picture, as with 3x3x3.
    run : callable
        From a batch to the output.
    """
    shape = tuple(inputs[0] or ()) if len(inputs) == 1 else ()
    axes = [axis for axis in ((1, 3) if usual == "NCHW" else (3, 1)) if len(shape) == 4 and shape[axis] in MODES]
    if not axes:
        raise ArgumentError(f"{path} takes {', '.join(map(str, inputs))}, which is no batch of pictures, NCHW or NHWC")
    classes = [size for size in (output or ())[1:] if size != 1]
    if len(classes) != 1 or not isinstance(classes[0], int):
        raise ArgumentError(f"{path} gives outputs of shape {output}; predict shows scores of classes, (N, classes)")
    sides = [side if isinstance(side, int) else None for axis, side in enumerate(shape) if axis not in (0, axes[0])]

    def scores(pictures):
        batch = np.stack(pictures)
        return run(batch if axes[0] == 3 else batch.transpose(0, 3, 1, 2)).reshape(len(batch), -1)

    return Classifier((*sides, shape[axes[0]]), classes[0], scores)


# ---- pictures


class Preparation:
    """From a picture's file to what the model takes: resize, crop, scale, mean, standard deviation."""

    def __init__(self, classifier, args):
        height, width, channels = classifier.shape
        self.mode = MODES[channels]
        if not math.isfinite(args.scale):
            raise ArgumentError(f"--scale must be a finite number, got {args.scale}")
        self.scale = np.float32(args.scale)
        self.mean = self._per_channel("--mean", args.mean, channels, 0.0)
        self.std = self._per_channel("--std", args.std, channels, 1.0)
        if not (self.std > 0).all():
            raise ArgumentError(f"--std must be positive, got {args.std}")
        for option, size in (("--resize", args.resize), ("--crop", args.crop)):
            if size is not None and size < 1:
                raise ArgumentError(f"{option} must be at least 1, got {size}")
        self.resize, self.crop = args.resize, args.crop
        self.size = (self.crop or height, self.crop or width)
        if any(given not in (None, wanted) for wanted, given in zip(self.size, (height, width), strict=True)):
            raise ArgumentError(f"--crop {self.crop}: the model takes pictures of {height}x{width}")
        if None in self.size:
            raise ArgumentError(
                "the model takes pictures of any size: say which by --crop N, after --resize N if you like"
            )

    @staticmethod
    def _per_channel(option, values, channels, default):
        values = [default] if values is None else values
        if len(values) not in (1, channels) or not all(map(math.isfinite, values)):
            raise ArgumentError(f"{option} takes 1 or {channels} finite numbers, got {values}")
        return np.asarray(values, np.float32)

    def __call__(self, path):
        """Return the picture as float32, (height, width, channels).

        Without --resize and --crop it is decoded and resized as `utils.image_dataset_from_directory` does it by default, so
        a model sees what it was trained on.
        """
        try:
            if self.resize is None and self.crop is None:
                pixels = load_image(path, self.mode, self.size, "bilinear", "stretch")
            else:
                pixels = self._cropped(path)
        except ImportError as error:
            raise UnsupportedOpError(str(error)) from error
        return (pixels * self.scale - self.mean) / self.std

    def _cropped(self, path):
        pixels = load_image(path, self.mode, None, "bilinear", "stretch")
        if self.resize is not None:
            height, width = pixels.shape[:2]
            short = min(height, width)
            size = max(round(height * self.resize / short), 1), max(round(width * self.resize / short), 1)
            pixels = resize(pixels.astype(np.uint8), size, "area" if self.resize < short else "bilinear")
        height, width = pixels.shape[:2]
        if height < self.size[0] or width < self.size[1]:
            raise ArgumentError(
                f"{path}: {height}x{width} pixels are too few for a crop of {self.size[0]}x{self.size[1]}: "
                "give --resize, at least as large"
            )
        top, left = (height - self.size[0]) // 2, (width - self.size[1]) // 2
        return pixels[top : top + self.size[0], left : left + self.size[1]]


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
