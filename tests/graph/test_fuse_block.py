"""Normalisation behind an activation, and maxima of 2 x 2, become part of a convolution's last step."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.autograd import gradients

from .conftest import check, compiled, constant, random, titles

ALGORITHMS = {
    "shallow": ((2, 29, 30, 3), (3, 3, 3, 20)),
    "winograd_2x2": ((2, 13, 12, 16), (3, 3, 16, 40)),
    "winograd_2x4": ((2, 13, 8, 96), (3, 3, 96, 40)),
    "winograd_4x4": ((2, 13, 16, 384), (3, 3, 384, 40)),
}


@pytest.fixture(params=ALGORITHMS)
def layer(request):
    """A convolution by each algorithm, and x for it."""
    x, kernel = ALGORITHMS[request.param]
    weight, bias = constant(*kernel), constant(kernel[-1], seed=1)

    def conv(x, activation="relu"):
        return ops.conv2d(x, weight, bias, activation=activation)

    return conv, random(*x)


def norm(x):
    channels = x.shape[-1]
    variance = fastconv.tensor(np.random.default_rng(0).uniform(0.3, 2, channels).astype(np.float32))
    gamma, beta, mean = (constant(channels, seed=seed) for seed in (2, 3, 4))
    return ops.batch_normalization(x, gamma, beta, mean, variance)


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
def test_pool(layer, activation):
    conv, x = layer
    check(lambda x: {"y": ops.max_pool2d(conv(x, activation), 2)}, x, left=["conv2d_block"])


def test_norm(layer):
    conv, x = layer
    check(lambda x: {"y": norm(conv(x))}, x, left=["conv2d_block"])


def test_norm_and_pool(layer):
    conv, x = layer
    check(lambda x: {"y": ops.max_pool2d(norm(conv(x)), 2)}, x, left=["conv2d_block"])


def test_pool_and_norm_stay_two_steps(layer):
    conv, x = layer
    left = ["conv2d_block", "batch_norm_inference"]
    check(lambda x: {"y": norm(ops.max_pool2d(conv(x), 2))}, x, left=left)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("normalised", [False, True])
def test_not_finite(layer, value, normalised, isa):
    """As the separate steps say it, there and nowhere else."""
    conv, x = layer
    x = x.copy()
    x[0, 5, 7, 2] = x[1, 0, 0, 0] = value

    def fn(x):
        return {"y": ops.max_pool2d(norm(conv(x)) if normalised else conv(x), 2)}

    with np.errstate(all="ignore"), fastconv.no_grad():
        program, got = compiled(fn, x)
        want = fn(fastconv.tensor(x))["y"].numpy()
    assert titles(program.graph) == ["conv2d_block"]
    np.testing.assert_array_equal(got["y"], want)


def test_what_stays(layer):
    conv, x = layer
    check(lambda x: {"y": ops.max_pool2d(conv(x), 3, 2)}, x, left=["conv2d", "max_pool2d"])
    check(lambda x: {"y": ops.max_pool2d(conv(x), 2, 1)}, x, left=["conv2d", "max_pool2d"])
    check(lambda x: {"y": ops.max_pool2d(conv(x, "sigmoid"), 2)}, x, left=["conv2d", "max_pool2d"])
    check(lambda x: {"y": ops.max_pool2d(ops.max_pool2d(conv(x), 2), 2)}, x, left=["conv2d_block", "max_pool2d"])

    def read_twice(x):
        z = conv(x)
        return {"y": ops.max_pool2d(z, 2), "z": z}

    check(read_twice, x, left=["conv2d", "max_pool2d"])


def test_pooling_that_reaches_into_padding_stays():
    weight = constant(3, 3, 16, 20)
    for size, left in ((12, ["conv2d_block"]), (11, ["conv2d", "max_pool2d"])):
        x = random(1, size, 12, 16)
        check(lambda x: {"y": ops.max_pool2d(ops.conv2d(x, weight, padding="same"), 2, padding="same")}, x, left=left)


def test_other_algorithms_stay():
    weight = constant(1, 1, 16, 20)
    check(lambda x: {"y": ops.max_pool2d(ops.conv2d(x, weight), 2)}, random(1, 8, 8, 16), left=["conv2d", "max_pool2d"])
    weight = constant(1, 1, 3, 20)  # few channels, but one pixel an image: a product
    left = ["conv2d", "batch_norm_inference"]
    check(lambda x: {"y": norm(ops.conv2d(x, weight, activation="relu"))}, random(5, 1, 1, 3), left=left)


def test_statistics_that_change_stay():
    weight = constant(3, 3, 16, 20)
    ones = constant(20)

    def fn(x, mean):
        z = ops.conv2d(x, weight, activation="relu")
        return {"y": ops.batch_normalization(z, ones, ones, mean, ones * ones)}

    program, _ = compiled(fn, random(1, 8, 8, 16), random(20))
    assert "batch_norm_inference" in titles(program.graph)


def test_training_stays():
    weight = constant(3, 3, 16, 20)
    weight.requires_grad = True

    def fn(x):
        y = ops.max_pool2d(ops.conv2d(x, weight, activation="relu"), 2)
        return {"dw": gradients(ops.sum(y), [weight])[0]}

    program, _ = compiled(fn, random(1, 8, 8, 16))
    assert titles(program.graph)[:2] == ["conv2d", "max_pool2d"]
