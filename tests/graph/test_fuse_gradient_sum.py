"""The sum of two gradients that a fused batch normalisation reads is made by it, with the same bits."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.autograd import gradients
from fastconv.graph import Program, trace
from fastconv.op import Spec
from fastconv.ops import batch_norm


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Network:
    """Two residual blocks; what the first gives is read by `branches`, whose results are added."""

    def __init__(self, branches, channels, activation=ops.relu):
        self.branches, self.activation = branches, activation
        self.weights = [fastconv.tensor(5 * random(channels, seed=i), requires_grad=True) for i in range(4)]
        self.moving = [fastconv.tensor(np.ones(channels, np.float32)) for _ in range(2)]

    def block(self, x, i, shortcut):
        y, *_ = ops.batch_normalization(x, *self.weights[2 * i : 2 * i + 2], *self.moving, training=True)
        return self.activation(ops.add_n([y, shortcut]))

    def step(self, x, dy):
        scale = fastconv.tensor(np.ones(x.shape, np.float32), requires_grad=True)
        x = x * scale
        middle = self.block(x, 0, x)
        branches = self.branches(middle)
        y = self.block(branches[0], 1, ops.add_n(branches[1:]) if len(branches) > 2 else branches[1])
        return {"y": y, **{f"g{i}": g for i, g in enumerate(gradients(y, [*self.weights, scale], dy))}}


def identity(x):
    return [ops.tanh(x), x]


def projection(x):
    return [ops.tanh(x), ops.sigmoid(x)]


def no_activation(x):
    return x


def three_readers(x):
    return [ops.tanh(x), ops.sigmoid(x), x]


def run(network, x, dy):
    program = Program(trace(network.step, {"x": Spec(x.shape), "dy": Spec(x.shape)}))
    return program, program.run(x=x, dy=dy)


@pytest.mark.parametrize("activation", [ops.relu, ops.relu6])
@pytest.mark.parametrize("branches", [identity, projection])
@pytest.mark.parametrize("channels", [3, 17, 64, 261])
def test_same_as_eager(branches, channels, activation, isa):
    x, dy = random(3, 7, 5, channels, seed=10), random(3, 7, 5, channels, seed=11)
    want = Network(branches, channels, activation).step(fastconv.tensor(x), fastconv.tensor(dy))
    for threads in (1, 2):
        with fastconv.num_threads(threads):
            program, got = run(Network(branches, channels, activation), x, dy)
        fused = [node for node in program.graph.nodes if "dy_rest" in node.inputs]
        assert [node.title for node in fused] == ["batch_norm_train.backward"]
        for name, value in want.items():
            assert np.array_equal(got[name], value.numpy()), name


@pytest.mark.parametrize(("branches", "activation"), [(projection, no_activation), (three_readers, ops.relu)])
def test_left_alone(branches, activation):
    """Where dz is dy nobody would leave the sum for the residual; a sum of three is not one of two."""
    x, dy = random(2, 4, 4, 8, seed=10), random(2, 4, 4, 8, seed=11)
    want = Network(branches, 8, activation).step(fastconv.tensor(x), fastconv.tensor(dy))
    program, got = run(Network(branches, 8, activation), x, dy)
    assert not any("dy_rest" in node.inputs for node in program.graph.nodes)
    for name, value in want.items():
        assert np.array_equal(got[name], value.numpy()), name


def test_reference_adds_the_terms():
    attrs = batch_norm.TrainAttrs(0.9, 1e-3, "relu", True)
    needs = frozenset({"x", "gamma", "beta", "residual"})
    arrays = {name: random(4, 6, seed=i).astype(float) for i, name in enumerate(("x", "residual", "dy", "dy_rest"))}
    vectors = {name: np.ones(6) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    arrays |= vectors | {"dnew_moving_mean": np.zeros(6), "dnew_moving_variance": np.zeros(6)}
    arrays |= batch_norm.TRAIN.reference(arrays, attrs)
    got = batch_norm.TRAIN.reference_backward(arrays, attrs, needs)
    rest = arrays.pop("dy_rest")
    want = batch_norm.TRAIN.reference_backward(arrays | {"dy": arrays["dy"] + rest}, attrs, needs)
    for name in want:
        assert np.array_equal(got[name], want[name]), name
