"""Bias, residual, activation and padding become part of a convolution or dense."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.autograd import gradients
from fastconv.ops._activations import TABLE

from .conftest import check, compiled, constant, eager, random, titles

LINEAR = {
    "conv1d": (ops.conv1d, (2, 9, 6), (3, 6, 10)),
    "conv2d": (ops.conv2d, (2, 7, 6, 5), (3, 3, 5, 10)),
    "conv3d": (ops.conv3d, (1, 4, 5, 4, 3), (2, 3, 3, 3, 4)),
    "depthwise_conv2d": (ops.depthwise_conv2d, (2, 7, 6, 4), (3, 3, 4, 3)),
    "conv2d_transpose": (ops.conv2d_transpose, (2, 4, 4, 6), (3, 3, 10, 6)),
    "dense": (ops.dense, (5, 20), (20, 7)),
}
WINOGRAD = (lambda *a, **k: ops.conv2d(*a, padding="same", **k), (1, 9, 9, 16), (3, 3, 16, 32))
ALL = {**LINEAR, "winograd": WINOGRAD}


def title(name):
    return "conv2d" if name == "winograd" else name


@pytest.fixture(params=ALL)
def linear(request):
    op, x, kernel = ALL[request.param]
    weight = constant(*kernel)
    shape = eager(lambda x: {"y": op(x, weight)}, random(*x))["y"].shape
    return request.param, lambda x, *rest: op(x, weight, *rest), random(*x, seed=1), shape


# ---- bias


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


# ---- residual


@pytest.mark.parametrize("first", [True, False])
def test_residual(linear, first):
    name, op, x, shape = linear
    if name == "conv2d_transpose":
        pytest.skip("takes no residual")
    b, residual = constant(shape[-1], seed=2), random(*shape, seed=3)

    def fn(x, r):
        return {"y": ops.relu(ops.add_n([op(x, b), r] if first else [r, op(x, b)]))}

    check(fn, x, residual, left=[title(name)], exact=False)


def test_the_later_of_two_branches_takes_the_sum():
    one, two = constant(1, 1, 5, 8), constant(3, 3, 5, 8)

    def fn(x):
        return {"y": ops.add_n([ops.conv2d(x, one), ops.conv2d(x, two, padding="same")])}

    program = check(fn, random(1, 6, 6, 5), left=["conv2d", "conv2d"], exact=False)
    assert "residual" in program.graph.nodes[1].inputs and "residual" not in program.graph.nodes[0].inputs


def test_sums_that_stay():
    weight = constant(1, 1, 5, 5)

    def doubled(x):
        y = ops.conv2d(x, weight)
        return {"y": ops.add_n([y, y])}

    def three(x):
        return {"y": ops.add_n([ops.conv2d(x, weight), x, x])}

    def read_twice(x):
        y = ops.conv2d(x, weight)
        return {"y": ops.add_n([y, x]), "z": y}

    for fn in (doubled, three, read_twice):
        check(fn, random(1, 6, 6, 5), left=["conv2d", "add_n"])


# ---- activation


@pytest.mark.parametrize("activation", [name for name in TABLE if hasattr(ops, name)])
def test_activation(linear, activation):
    name, op, x, shape = linear
    numbers = (-0.5, 1.5) if activation == "clip" else ()

    def function(x):
        return getattr(ops, activation)(x, *numbers)

    program = check(lambda x: {"y": function(0.1 * op(x))}, x, left=[title(name)], exact=False)
    assert program.graph.nodes[0].attrs.epilogue.activation == activation
    check(lambda x: {"y": function(op(x, constant(shape[-1])))}, x, left=[title(name)])


def test_only_the_first_activation():
    weight = constant(20, 7)
    check(lambda x: {"y": ops.tanh(ops.relu(ops.dense(x, weight)))}, random(3, 20), left=["dense", "tanh"])


def test_training_computes_the_same():
    """Of a training step the forward node is fused: what the backward nodes read is still there, bit for bit."""
    weight = fastconv.tensor(random(3, 3, 5, 8), requires_grad=True)

    def fn(x):
        y = ops.relu(ops.conv2d(x, weight))
        return {"y": y, "g": gradients(y.sum(), [weight])[0]}

    x = random(2, 6, 6, 5)
    program, got = compiled(fn, x)
    assert "relu" not in titles(program.graph) and "relu.backward" in titles(program.graph)
    for name, tensor in fn(fastconv.tensor(x)).items():
        assert np.array_equal(got[name], tensor.numpy()), name


# ---- padding


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
