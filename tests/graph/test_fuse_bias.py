"""A constant that is added becomes the bias of a convolution or dense."""

import pytest

from fastconv import ops

from .conftest import check, constant, random, title


@pytest.mark.parametrize(
    "form", [lambda y, c: y + c, lambda y, c: c + y, lambda y, c: y - c], ids=["y+c", "c+y", "y-c"]
)
def test_bias(linear, form):
    name, op, x, shape = linear
    for size in ((shape[-1],), (1,) * (len(shape) - 1) + shape[-1:]):
        c = constant(*size, seed=2)
        exact = not name.startswith("depthwise")  # whose sums begin with the bias
        check(lambda x, c=c: {"y": form(op(x), c)}, x, left=[title(name)], exact=exact)


def test_bias_of_another_axis_stays():
    weight, c = constant(3, 3, 5, 6), constant(6, 1)
    check(lambda x: {"y": ops.conv2d(x, weight, padding="same") + c}, random(2, 6, 6, 5), left=["conv2d", "add"])


def test_a_bias_that_is_no_constant_stays():
    weight = constant(20, 7)
    check(lambda x, b: {"y": ops.dense(x, weight) + b}, random(3, 20), random(7), left=["dense", "add"])
