"""TensorFlow Keras, NHWC, compiled by tf.function. It may live in a virtual environment of its own."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from layers import from_job  # noqa: E402


def start(threads):
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def prepare(variant, job):
    """Return a function that runs the layer once, forward or forward and backward."""
    if job is None:
        return None
    layer, direction = from_job(job)
    if layer.kind == "matmul":
        return None
    x = tf.constant(np.random.default_rng(0).standard_normal(layer.x, np.float32))
    if layer.padding:
        sides = [[0, 0], 2 * [layer.padding], 2 * [layer.padding], [0, 0]]
        fill = x.dtype.min if layer.kind == "max_pool" else 0.0
    module = _layer(layer)

    def apply(x):
        padded = tf.pad(x, sides, constant_values=fill) if layer.padding else x
        return module(padded, training=True) if layer.kind == "batch_norm" else module(padded)

    dy = tf.random.normal(apply(x).shape)
    forward = tf.function(apply)
    if direction == "forward":
        return lambda: forward(x)

    @tf.function
    def both(x):
        wanted = [*module.trainable_variables, *([x] if layer.needs_dx else [])]
        with tf.GradientTape() as tape:
            if layer.needs_dx:
                tape.watch(x)
            y = apply(x)
        return tape.gradient(y, wanted, dy)

    return lambda: both(x)


def _layer(layer):
    keras = tf.keras.layers
    channels = layer.x[3]
    if layer.kind == "batch_norm":
        return keras.BatchNormalization()
    if layer.kind in ("max_pool", "avg_pool"):
        pool = keras.MaxPool2D if layer.kind == "max_pool" else keras.AveragePooling2D
        return pool(layer.kernel, layer.stride)
    if layer.groups == channels > 1:
        return keras.DepthwiseConv2D(layer.kernel, layer.stride)
    return keras.Conv2D(layer.outputs, layer.kernel, layer.stride, groups=layer.groups)
