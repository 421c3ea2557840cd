"""Scales and shifts per channel become weights; the result stays within roundings of the separate operations."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.autograd import gradients

from .conftest import check, compiled, constant, eager, random, titles


def norm(channels, seed=0, **options):
    variance = fastconv.tensor(np.random.default_rng(seed).uniform(0.3, 2, channels).astype(np.float32))
    gamma, beta, mean = (constant(channels, seed=seed + i) for i in range(3))
    return lambda x: ops.batch_normalization(x, gamma, beta, mean, variance, **options)


AFTER = {
    "conv1d": (ops.conv1d, (2, 9, 6), (3, 6, 10)),
    "conv2d": (lambda *a: ops.conv2d(*a, padding="same"), (2, 7, 6, 5), (3, 3, 5, 10)),
    "winograd": (lambda *a: ops.conv2d(*a, padding="same"), (1, 9, 9, 16), (3, 3, 16, 32)),
    "groups": (lambda *a: ops.conv2d(*a, groups=2), (2, 7, 6, 6), (3, 3, 3, 10)),
    "conv3d": (ops.conv3d, (1, 4, 5, 4, 3), (2, 3, 3, 3, 4)),
    "depthwise_conv1d": (ops.depthwise_conv1d, (2, 9, 6), (3, 6, 2)),
    "depthwise_conv2d": (ops.depthwise_conv2d, (2, 7, 6, 4), (3, 3, 4, 3)),
    "conv2d_transpose": (lambda *a: ops.conv2d_transpose(*a, strides=2), (2, 4, 4, 6), (3, 3, 10, 6)),
    "transpose groups": (lambda *a: ops.conv2d_transpose(*a, groups=3), (2, 4, 4, 6), (3, 3, 4, 6)),
    "dense": (ops.dense, (5, 20), (20, 7)),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", AFTER)
def test_norm_after(name, bias):
    op, x, kernel = AFTER[name]
    weight = constant(*kernel)
    channels = eager(lambda x: {"y": op(x, weight)}, random(*x))["y"].shape[-1]
    b, normalise = constant(channels, seed=4) if bias else None, norm(channels)
    title = op.__name__ if name in ("conv1d", "conv3d", "dense") or name.startswith("depthwise") else "conv2d"
    title = "conv2d_transpose" if "transpose" in name else title
    check(lambda x: {"y": normalise(op(x, weight, b))}, random(*x, seed=1), left=[title], exact=False)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("op", "x", "kernel"),
    [(ops.conv2d, (2, 7, 6, 5), (3, 3, 5, 10)), (ops.conv1d, (2, 9, 6), (3, 6, 10)), (ops.dense, (5, 20), (20, 7))],
)
def test_norm_before(op, x, kernel, bias):
    weight, b, normalise = constant(*kernel), constant(kernel[-1], seed=4) if bias else None, norm(x[-1])
    check(lambda x: {"y": op(normalise(x), weight, b)}, random(*x, seed=1), left=[op.__name__], exact=False)


ARITHMETIC = {
    "x * c": lambda y, c: y * c,
    "c * x": lambda y, c: c * y,
    "x / c": lambda y, c: y / c,
    "x + c": lambda y, c: y + c,
    "x - c": lambda y, c: y - c,
}


@pytest.mark.parametrize("form", ARITHMETIC)
@pytest.mark.parametrize("shape", [(10,), (1, 1, 1, 10), (1,), ()])
def test_arithmetic_after(form, shape):
    weight, bias = constant(3, 3, 5, 10), constant(10, seed=3)
    c = fastconv.tensor(np.random.default_rng(0).uniform(0.5, 2, shape).astype(np.float32))

    def fn(x):
        return {"y": ARITHMETIC[form](ops.conv2d(x, weight, bias), c)}

    check(fn, random(2, 7, 6, 5), left=["conv2d"], exact=False)


def test_norm_and_arithmetic_in_a_row():
    weight, normalise, c = constant(3, 3, 5, 10), norm(10), constant(10, seed=9)
    check(lambda x: {"y": normalise(ops.conv2d(x, weight)) * c + 1.0}, random(2, 7, 6, 5), left=["conv2d"], exact=False)


KERNEL = constant(3, 3, 10, 10)
LEFT_ALONE = {
    "c - x": lambda y: 2.0 - y,
    "c / x": lambda y: 2.0 / y,
    "not per channel": lambda y: y * constant(6, 6, 10),
    "activation between": lambda y: norm(10)(ops.tanh(y)),
    "padding after": lambda y: ops.conv2d(norm(10)(y), KERNEL, padding="same"),
}


@pytest.mark.parametrize("form", LEFT_ALONE)
def test_left_alone(form):
    weight = constant(3, 3, 5, 10)
    after = LEFT_ALONE[form]
    program, got = compiled(lambda x: {"y": after(ops.conv2d(x, weight, padding="same"))}, random(2, 6, 6, 5))
    want = eager(lambda x: {"y": after(ops.conv2d(x, weight, padding="same"))}, random(2, 6, 6, 5))
    if form != "padding after":  # there the first convolution takes it
        assert len(program.graph.nodes) > 1
    assert np.allclose(got["y"], want["y"], rtol=1e-4, atol=1e-5)


def test_read_by_others():
    weight, normalise = constant(3, 3, 5, 10), norm(10)

    def fn(x):
        y = ops.conv2d(x, weight)
        return {"y": normalise(y), "z": y}

    check(fn, random(2, 6, 6, 5), left=["conv2d", "batch_norm_inference"])


def test_weights_that_the_graph_updates_stay():
    weight, normalise = constant(1, 1, 20, 10), norm(10)

    def fn(x):
        y = normalise(ops.conv2d(x, weight))
        weight.assign(weight * 0.5)
        return {"y": y}

    program, _ = compiled(fn, random(2, 6, 6, 20))
    assert "batch_norm_inference" in titles(program.graph)


def test_new_statistics_are_used():
    weight, mean, variance = constant(3, 3, 5, 10), constant(10), fastconv.tensor(np.ones(10, np.float32))

    def fn(x):
        return {"y": ops.batch_normalization(ops.conv2d(x, weight), None, None, mean, variance)}

    x = random(2, 6, 6, 5)
    program = check(fn, x, left=["conv2d"], exact=False)
    for change in (mean, weight):
        change.assign(random(*change.shape, seed=7))
        want = eager(fn, x)["y"]
        assert np.allclose(program.run(x0=x)["y"], want, rtol=1e-4, atol=1e-5)


def test_gradients_keep_what_they_read():
    """A frozen normalisation inside a training step: its backward reads nothing that folding would take away."""
    weight, normalise = fastconv.tensor(random(3, 3, 5, 10), requires_grad=True), norm(10)

    def fn(x):
        y = normalise(ops.conv2d(x, weight))
        return {"y": y, "g": gradients(y.sum(), [weight])[0]}

    x = random(2, 6, 6, 5)
    _, got = compiled(fn, x)
    want = {name: t.numpy() for name, t in fn(fastconv.tensor(x)).items()}
    for name in want:
        assert np.allclose(got[name], want[name], rtol=1e-4, atol=1e-4), name


def test_as_exact_as_the_separate_operations():
    """Against float64, folding is not worse than twice what the separate operations round."""
    weight, normalise = constant(3, 3, 32, 64), norm(64)

    def fn(x):
        return {"y": normalise(ops.conv2d(x, weight))}

    x = random(1, 12, 12, 32)
    _, got = compiled(fn, x)
    separate = eager(fn, x)["y"]
    wide = fastconv.tensor(x.astype(np.float64), dtype="float64")
    kernel = fastconv.tensor(weight.numpy().astype(np.float64), dtype="float64")
    exact = ops.conv2d(wide, kernel).numpy()
    parts = {
        name: cell for name, cell in zip(("gamma", "beta", "mean", "variance"), _parameters(normalise), strict=True)
    }
    exact = (exact - parts["mean"]) / np.sqrt(parts["variance"] + 1e-3) * parts["gamma"] + parts["beta"]
    assert np.abs(got["y"] - exact).max() <= 2 * np.abs(separate - exact).max()


def _parameters(normalise):
    cells = dict(zip(normalise.__code__.co_freevars, normalise.__closure__, strict=True))
    return [cells[name].cell_contents.numpy().astype(np.float64) for name in ("gamma", "beta", "mean", "variance")]
