"""A small classification problem and a network for it: what the tests of training share."""

import numpy as np

from fastconv import config, layers, models

RNG = np.random.default_rng(11)
CENTERS = RNG.normal(size=(3, 6)) * 2
Y = np.arange(48) % 3
X = CENTERS[Y] + RNG.normal(size=(48, 6)) * 0.3


def dense(seed=0, classes=3, activation="softmax", dtype=None):
    config.set_random_seed(seed)
    return models.Sequential([
        layers.Dense(8, activation="relu", input_shape=(6,), dtype=dtype),
        layers.Dense(classes, activation=activation, dtype=dtype),
    ])  # fmt: skip


def compiled(optimizer="adam", loss="sparse_categorical_crossentropy", eager=False, metrics="accuracy", **kwargs):
    model = dense(**kwargs)
    model.compile(optimizer, loss, metrics=metrics, run_eagerly=eager)
    return model


def assert_same_weights(a, b):
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right)
