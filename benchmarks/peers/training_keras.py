"""Training steps of TensorFlow Keras by `fit`, as its users train."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from engine_keras import start  # noqa: E402, F401
from keras import layers  # noqa: E402
from networks import Conv, Dense, Depthwise, Dropout, Flatten, GlobalAverage, MaxPool, Norm, Residual, find  # noqa: E402

# Steps of an epoch, for small images and for large ones: enough that what `fit` does once weighs little.
STEPS = {True: 20, False: 3}


def prepare(variant, job):
    """Return a function that makes a short epoch by `fit`, or None where there is nothing to run."""
    if job is None:
        return None
    network = find(job["network"])
    x = layers.Input(network.image)
    model = keras.Model(x, _apply(network.parts, x))
    optimizer = {"adam": keras.optimizers.Adam, "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9)}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer[job["optimizer"]](1e-3), loss=loss)
    steps = STEPS[network.image[0] < 64]
    rng = np.random.default_rng(0)
    x = rng.random((steps * network.batch, *network.image), np.float32)
    y = rng.integers(0, network.classes, steps * network.batch)

    def epoch():
        model.fit(x, y, network.batch, epochs=1, verbose=0)

    epoch.steps = steps
    return epoch


def _apply(parts, x):
    for part in parts:
        x = _apply_part(part, x)
    return x


def _activate(name, x):
    return layers.Activation(name)(x) if name else x


def _pad(x, padding):
    return layers.ZeroPadding2D(padding)(x) if padding else x


def _apply_part(part, x):
    match part:
        case Conv():
            options = {"activation": part.activation, "use_bias": part.activation is not None}
            same = part.stride == 1 and part.kernel == 2 * part.padding + 1
            x = x if same else _pad(x, part.padding)
            return layers.Conv2D(part.filters, part.kernel, part.stride, "same" if same else "valid", **options)(x)
        case Depthwise():
            return layers.DepthwiseConv2D(3, part.stride, use_bias=False)(_pad(x, 1))
        case Norm():
            return _activate(part.activation, layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
        case Residual():
            return _activate(part.activation, layers.Add()([_apply(part.main, x), _apply(part.shortcut, x)]))
        case MaxPool():
            return layers.MaxPool2D(part.size, part.stride)(_pad(x, part.padding))
        case Dropout():
            return layers.Dropout(part.rate)(x)
        case GlobalAverage():
            return layers.GlobalAveragePooling2D()(x)
        case Flatten():
            return layers.Flatten()(x)
        case Dense():
            return layers.Dense(part.units, part.activation)(x)
    raise TypeError(f"unknown part {part!r}")
