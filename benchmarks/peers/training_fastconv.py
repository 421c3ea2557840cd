"""Training steps of fastconv: `train_on_batch`, the traced step and what Python there is around it."""

import numpy as np
from networks import Conv, Dense, Depthwise, Dropout, Flatten, GlobalAverage, MaxPool, Norm, Residual, find

from fastconv import Input, config, layers, losses, models, optimizers


def start(threads):
    config.set_num_threads(threads)


def prepare(variant, job):
    """Return a function that makes one step, always on the same batch, or None where there is nothing to run.

    `variant` may be a precision; "direct" is a process in which FASTCONV_WINOGRAD=0.
    """
    if job is None:
        return None
    config.set_precision(variant if variant in config.PRECISIONS else "highest")
    model, x, y = _compiled(find(job["network"]), job["optimizer"])
    return lambda: model.train_on_batch(x, y)


def program(network, optimizer):
    """Return (the program of a training step, its inputs)."""
    model, x, y = _compiled(network, optimizer)
    data, keys = model._adapt(x, y)
    step = model._get_ready("train", data, keys)
    arrays = step.feed(data.peek())
    return step.program(arrays), arrays


def _compiled(network, optimizer):
    model = build(network)
    optimizer = {"adam": optimizers.Adam, "sgd": lambda rate: optimizers.SGD(rate, momentum=0.9)}[optimizer]
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer(1e-3), loss=loss)
    rng = np.random.default_rng(0)
    x = rng.random((network.batch, *network.image), np.float32)
    return model, x, rng.integers(0, network.classes, network.batch)


def build(network):
    """Return the model, uncompiled; it ends in logits."""
    x = Input(network.image)
    return models.Model(x, _apply(network.parts, x), name=network.name.replace(" ", "_"))


def _apply(parts, x):
    for part in parts:
        x = _apply_part(part, x)
    return x


def _activate(name, x):
    return layers.Activation(name)(x) if name else x


def _apply_part(part, x):
    match part:
        case Conv():
            options = {"activation": part.activation, "use_bias": part.activation is not None}
            return layers.Conv2D(part.filters, part.kernel, part.stride, part.padding, **options)(x)
        case Depthwise():
            return layers.DepthwiseConv2D(3, part.stride, 1, use_bias=False)(x)
        case Norm():
            return _activate(part.activation, layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
        case Residual():
            return _activate(part.activation, layers.Add()([_apply(part.main, x), _apply(part.shortcut, x)]))
        case MaxPool():
            return layers.MaxPool2D(part.size, part.stride, part.padding)(x)
        case Dropout():
            return layers.Dropout(part.rate)(x)
        case GlobalAverage():
            return layers.GlobalAveragePooling2D()(x)
        case Flatten():
            return layers.Flatten()(x)
        case Dense():
            return layers.Dense(part.units, part.activation)(x)
    raise TypeError(f"unknown part {part!r}")
