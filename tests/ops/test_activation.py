"""What the registry cannot know of activations: zeros, NaN and inf."""

import numpy as np
import pytest

from fastconv import ops
from fastconv._kernels import eltwise
from fastconv.autograd import tensor
from fastconv.errors import ArgumentError
from fastconv.ops._activations import TABLE

FUNCTIONS = (ops.relu, ops.leaky_relu, ops.sigmoid, ops.tanh)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nan_stays_and_spreads_no_further(isa, function):
    x = np.zeros(37, np.float32)
    x[[3, 36]] = np.nan
    assert np.flatnonzero(np.isnan(function(x).numpy())).tolist() == [3, 36]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_in_the_value_makes_the_gradient_nan(isa, function, fused, dtype):
    x = np.zeros(37, dtype)
    x[[3, 36]] = np.nan
    x = tensor(x, requires_grad=True)
    if fused:  # as the bias of zeros: each NaN meets its own column only
        y = ops.dense(np.zeros((1, 2), dtype), np.zeros((2, 37), dtype), x, activation=function.__name__)
    else:
        y = function(x)
    y.backward(np.ones(y.shape, dtype))
    grad = x.grad.numpy()
    assert np.flatnonzero(np.isnan(grad)).tolist() == [3, 36]


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [(ops.relu, 0, np.inf), (ops.leaky_relu, -np.inf, np.inf), (ops.sigmoid, 0, 1), (ops.tanh, -1, 1)],
)
def test_infinities(isa, function, low, high):
    assert function(np.array([-np.inf, np.inf], np.float32)).numpy().tolist() == [low, high]


@pytest.mark.parametrize(("function", "slope"), [(ops.relu, 0), (ops.leaky_relu, np.float32(0.2))])
def test_gradient_at_zero(isa, function, slope):
    x = tensor(np.zeros(3, np.float32), requires_grad=True)
    function(x).backward(np.ones(3, np.float32))
    assert (x.grad.numpy() == slope).all()


def test_a_value_does_not_depend_on_its_place(isa):
    x = np.linspace(-3, 3, 40, dtype=np.float32)
    for function in FUNCTIONS:
        whole = function(x).numpy()
        assert all((function(x[:n]).numpy() == whole[:n]).all() for n in range(1, 40))


def test_a_negative_slope_is_refused():
    with pytest.raises(ArgumentError, match="negative_slope"):
        ops.leaky_relu(np.ones(3, np.float32), negative_slope=-0.1)


def test_every_activation_has_a_kernel():
    assert eltwise.FUNCTIONS.keys() - {None} == TABLE.keys()
