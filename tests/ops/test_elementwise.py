"""What the registry cannot know of pointwise functions: special values, ties, many terms."""

import numpy as np
import pytest

import fastconv.ops as ops
from fastconv.autograd import tensor
from fastconv.errors import ArgumentError, ShapeError


def test_special_values_go_through():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
    with np.errstate(all="ignore"):
        for name in ("exp", "log", "sqrt", "square", "abs", "negative"):
            np.testing.assert_array_equal(getattr(ops, name)(x).numpy(), getattr(np, name)(x))
        for name in ("add", "multiply", "divide", "maximum", "minimum", "power"):
            want = getattr(np, name)(x[:, None], x)
            np.testing.assert_array_equal(getattr(ops, name)(x[:, None].copy(), x).numpy(), want)


def test_ties_share_the_gradient():
    a, b = (tensor([1.0, 2.0, 3.0], requires_grad=True) for _ in range(2))
    ops.maximum(a, b).sum().backward()
    np.testing.assert_array_equal(a.grad.numpy(), [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(b.grad.numpy(), [0.5, 0.5, 0.5])
    x = tensor([[1.0, 3.0, 3.0]], requires_grad=True)
    x.max().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 0.5, 0.5]])


def test_the_gradient_of_a_power_by_a_number_needs_no_logarithm():
    x = tensor([-2.0, 0.0, 3.0], requires_grad=True)
    (x**2).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [-4, 0, 6])


def test_gradients_of_a_power_of_zero_and_to_the_zero():
    a = tensor([0.0, 0.0, 0.0, 2.0, np.inf], requires_grad=True)
    b = tensor([0.0, 1.0, 3.0, 0.0, 0.0], requires_grad=True)
    with np.errstate(divide="ignore"):  # 0 ** b jumps at b = 0: its gradient there is infinite
        (a**b).sum().backward()
    np.testing.assert_array_equal(a.grad.numpy(), [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(b.grad.numpy()[1:4], [0, 0, np.log(np.float32(2))])


def test_add_takes_many():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(ops.add(x, x, x).numpy(), 3 * x)
    np.testing.assert_array_equal(ops.add(x, x[0], 1, [[1], [2]]).numpy(), x + x[0] + 1 + [[1], [2]])
    with pytest.raises(ArgumentError, match="two or more"):
        ops.add(x)
    with pytest.raises(ShapeError):
        ops.add(x, x[:, :2])


def test_number_of_operands():
    with pytest.raises(TypeError, match="a, b"):
        ops.multiply(1.0)
