"""A convolution of pixels that were sorted into channels, block by block, becomes one of the image."""

import numpy as np
import pytest

from fastconv import ops
from fastconv.graph import Program, trace
from fastconv.op import Spec

from .conftest import check, compiled, constant, random, titles

WEIGHT = constant(3, 3, 12, 16)
ORDER = [(0, 0), (1, 0), (0, 1), (1, 1)]


def nhwc(x, order=ORDER, size=2):
    return ops.concatenate([x[:, row::size, column::size] for row, column in order], 3)


def nchw(x, order=ORDER):
    parts = [x[:, :, row::2][..., column::2] for row, column in order]
    return ops.transpose(ops.concatenate(parts, 1), (0, 2, 3, 1))


@pytest.mark.parametrize("order", [ORDER, ORDER[::-1], sorted(ORDER)])
def test_channels_last(order):
    def fn(x):
        return {"y": ops.conv2d(nhwc(x, order), WEIGHT, padding=((1, 1), (0, 2)), activation="relu")}

    program = check(fn, random(2, 20, 14, 3), left=["conv2d"], exact=False)
    assert program.graph.nodes[0].specs["kernel"].shape == (6, 6, 3, 16)


@pytest.mark.parametrize("strides", [1, 2, (2, 1)])
def test_channels_first(strides):
    bias = constant(16, seed=2)

    def fn(x):
        return {"y": ops.conv2d(nchw(x), WEIGHT, bias, strides=strides, padding=1)}

    check(fn, random(2, 3, 18, 22), left=["transpose", "conv2d"], exact=False)


def test_larger_blocks():
    weight, order = constant(2, 3, 18, 5), [(row, column) for row in range(3) for column in range(3)]
    check(lambda x: {"y": ops.conv2d(nhwc(x, order, 3), weight)}, random(1, 12, 15, 2), left=["conv2d"], exact=False)


def test_a_normalisation_folds_into_it():
    scale = constant(16, seed=3)
    check(lambda x: {"y": ops.conv2d(nhwc(x), WEIGHT) * scale}, random(1, 16, 12, 3), left=["conv2d"], exact=False)


def test_new_weights_are_used():
    weight = constant(3, 3, 12, 16)
    program = Program(trace(lambda x: {"y": ops.conv2d(nhwc(x), weight)}, {"x": Spec((1, 8, 8, 3))}))
    x = random(1, 8, 8, 3)
    before = program.run(x=x)["y"]
    weight.assign(weight.numpy() * 2)
    np.testing.assert_array_equal(program.run(x=x)["y"], 2 * before)


STAY = {
    "a pixel is missing": lambda x: ops.conv2d(nhwc(x, [(0, 0), (0, 1), (1, 0), (0, 0)]), WEIGHT),
    "rows that nobody reads": lambda x: ops.conv2d(nhwc(x[:, :14]), WEIGHT),
    "two images": lambda x: ops.conv2d(
        ops.concatenate([x[:, :8:2, ::2], x[:, 1:8:2, ::2], x[:, 8::2, 1::2], x[:, 9::2, 1::2]], 3), WEIGHT
    ),
    "dilation": lambda x: ops.conv2d(nhwc(x), WEIGHT, dilation_rate=2),
}


@pytest.mark.parametrize("form", STAY)
def test_what_stays(form):
    program, _ = compiled(lambda x: {"y": STAY[form](x)}, random(1, 16, 16, 3))
    assert "concatenate" in titles(program.graph)


def test_many_channels_stay():
    weight = constant(3, 3, 80, 16)
    program, _ = compiled(lambda x: {"y": ops.conv2d(nhwc(x), weight)}, random(1, 12, 12, 20))
    assert "concatenate" in titles(program.graph)
