"""Zeros around an image become padding of the convolution or pooling after them."""

import pytest

from fastconv import ops

from .conftest import check, constant, random


def pad(x, top, left):
    return ops.pad(x, ((0, 0), (top, 1), (left, 2), (0, 0)))


@pytest.mark.parametrize("padding", ["valid", 1])
def test_pad_before_a_convolution(padding):
    weight, depthwise = constant(3, 3, 5, 8), constant(3, 3, 5, 1)
    x = random(2, 6, 6, 5)
    check(lambda x: {"y": ops.conv2d(pad(x, 1, 0), weight, padding=padding)}, x, left=["conv2d"])
    check(lambda x: {"y": ops.depthwise_conv2d(pad(x, 1, 0), depthwise, padding=padding)}, x, left=["depthwise_conv2d"])


@pytest.mark.parametrize("other", [{"mode": "edge"}, {"mode": "reflect"}, {"value": 1.0}], ids=str)
def test_pads_of_other_things_than_zeros_stay(other):
    weight, around = constant(3, 3, 5, 8), ((0, 0), (1, 1), (1, 1), (0, 0))
    check(lambda x: {"y": ops.conv2d(ops.pad(x, around, **other), weight)}, random(2, 6, 6, 5), left=["pad", "conv2d"])


def test_pad_before_pooling():
    x = random(2, 6, 6, 5) - 1
    check(lambda x: {"y": ops.max_pool2d(pad(ops.relu(x), 1, 0), 3, 2)}, x, left=["relu", "max_pool2d"])
    check(lambda x: {"y": ops.max_pool2d(pad(x, 1, 0), 3, 2)}, x, left=["pad", "max_pool2d"])
    check(lambda x: {"y": ops.max_pool2d(pad(ops.relu(x), 3, 0), 3, 1)}, x, left=["relu", "pad", "max_pool2d"])
    check(lambda x: {"y": ops.avg_pool2d(pad(ops.relu(x), 1, 0), 3, 2)}, x, left=["relu", "pad", "avg_pool2d"])


@pytest.mark.parametrize("padding", [((0, 0), (-1, 1), (0, 0), (0, 0)), ((0, 0), (1, 1), (0, 0), (0, 1))])
def test_pads_that_stay(padding):
    weight = constant(3, 3, 5 + padding[3][1], 8)
    check(lambda x: {"y": ops.conv2d(ops.pad(x, padding), weight)}, random(2, 6, 6, 5), left=["pad", "conv2d"])
