"""An activation becomes part of the convolution or dense before it."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.autograd import gradients
from fastconv.ops._activations import TABLE

from .conftest import check, compiled, constant, random, title, titles


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
