"""Batch normalisation fused with what follows it gives what the separate operations give."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.autograd import gradients
from fastconv.graph import Program, trace
from fastconv.op import Spec


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Network:
    """Two normalisations, of x and of 2 x; `body` is what comes of them and x."""

    def __init__(self, body, channels):
        def vector(seed):
            return fastconv.tensor(5 * random(channels, seed=seed), requires_grad=True)

        self.body = body
        self.weights = [vector(seed) for seed in range(4)]
        self.moving = [fastconv.tensor(np.ones(channels, np.float32)) for _ in range(4)]

    def norm(self, x, i):
        moving = self.moving[2 * i : 2 * i + 2]
        y, *new = ops.batch_normalization(x, *self.weights[2 * i : 2 * i + 2], *moving, training=True)
        for variable, value in zip(moving, new, strict=True):
            variable.assign(value)
        return y

    def step(self, x, dy):
        scale = fastconv.tensor(np.ones(x.shape, np.float32), requires_grad=True)
        x = x * scale
        y = self.body(self, x)
        found = gradients(y, [*self.weights, scale], dy)
        return {"y": y, **{f"g{i}": g for i, g in enumerate(found) if g is not None}}


def relu_after(net, x):
    return ops.relu(net.norm(x, 0))


def relu6_after(net, x):
    return ops.relu6(net.norm(x, 0))


def residual(net, x):
    return ops.relu(ops.add_n([net.norm(x, 0), x]))


def residual_first(net, x):
    return ops.relu6(ops.add_n([x, net.norm(x, 0)]))


def residual_alone(net, x):
    return ops.add_n([net.norm(x, 0), x])


def two_branches(net, x):
    return ops.relu(ops.add_n([net.norm(x, 0), net.norm(ops.tanh(x), 1)]))


def in_a_row(net, x):
    return ops.relu(ops.add_n([net.norm(ops.relu(net.norm(x, 0)), 1), x]))


def constant_residual(net, x):
    return ops.relu(ops.add_n([net.norm(x, 0), fastconv.tensor(random(*x.shape))]))


def run(network, x, dy):
    program = Program(trace(network.step, {"x": Spec(x.shape), "dy": Spec(x.shape)}))
    return program, program.run(x=x, dy=dy)


@pytest.mark.parametrize(
    "body",
    [relu_after, relu6_after, residual, residual_first, residual_alone, two_branches, in_a_row, constant_residual],
)
@pytest.mark.parametrize("channels", [3, 17, 64])
def test_same_as_eager(body, channels):
    x, dy = random(3, 7, 5, channels, seed=10), random(3, 7, 5, channels, seed=11)
    expected = Network(body, channels)
    want = expected.step(fastconv.tensor(x), fastconv.tensor(dy))
    for threads in (1, 2, 3):
        network = Network(body, channels)
        with fastconv.num_threads(threads):
            program, got = run(network, x, dy)
        titles = [node.title for node in program.graph.nodes]
        assert not {"relu", "relu6", "relu.backward", "relu6.backward", "add_n.backward"} & set(titles)
        assert got.keys() == want.keys()
        for name, value in want.items():
            assert np.array_equal(got[name], value.numpy()), name
        for mine, theirs in zip(network.moving, expected.moving, strict=True):
            assert np.array_equal(mine.numpy(), theirs.numpy())


def read_twice(net, x):
    y = net.norm(x, 0)
    return ops.add_n([ops.relu(y), ops.tanh(y)])


def doubled(net, x):
    y = net.norm(x, 0)
    return ops.add_n([y, y])


def statistics_read_early(net, x):
    y = net.norm(x, 0)
    return ops.relu(ops.add_n([y, ops.batch_normalization(x, None, None, *net.moving[:2])]))


def three_terms(net, x):
    return ops.add_n([net.norm(x, 0), x, x])


@pytest.mark.parametrize("body", [read_twice, doubled, statistics_read_early, three_terms])
def test_left_alone(body):
    x, dy = random(2, 4, 4, 8, seed=10), random(2, 4, 4, 8, seed=11)
    want = Network(body, 8).step(fastconv.tensor(x), fastconv.tensor(dy))
    program, got = run(Network(body, 8), x, dy)
    assert all(node.attrs.activation is None for node in program.graph.nodes if node.op.name == "batch_norm_train")
    assert not any(node.attrs.adds for node in program.graph.nodes if node.op.name == "batch_norm_train")
    for name, value in want.items():
        assert np.array_equal(got[name], value.numpy()), name


def test_an_output_of_the_graph_stays():
    network = Network(None, 8)

    def fn(x):
        y = network.norm(x, 0)
        return {"y": ops.relu(y), "normalised": y}

    x = random(4, 4, 8)
    results = Program(trace(fn, {"x": Spec(x.shape)})).run(x=x)
    assert np.array_equal(results["y"], np.maximum(results["normalised"], 0))
    assert results["normalised"].min() < 0


def test_only_the_residual_has_a_gradient():
    """Frozen weights before and in the normalisation: only the other branch learns."""
    network = Network(None, 8)
    for weight in network.weights:
        weight.requires_grad = False
    other = fastconv.tensor(random(4, 4, 8, seed=3), requires_grad=True)

    def fn(x, dy):
        y = ops.relu(ops.add_n([network.norm(x, 0), other]))
        return {"y": y, "g": gradients(y, [other], dy)[0]}

    x, dy = random(4, 4, 8), random(4, 4, 8, seed=1)
    got = Program(trace(fn, {"x": Spec(x.shape), "dy": Spec(x.shape)})).run(x=x, dy=dy)
    assert np.array_equal(got["g"], np.where(got["y"] > 0, dy, 0))
