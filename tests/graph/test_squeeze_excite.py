"""Both ends of a squeeze-excite block become parts of the convolutions before and behind it."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv._kernels import bfloat16
from fastconv._kernels import depthwise as kernels
from fastconv.autograd import gradients

from .conftest import check, compiled, constant, random, titles

C, HIDDEN, OUT = 40, 6, 20
X = random(3, 9, 8, C)


@pytest.fixture(scope="module")
def weights():
    return {
        "down": constant(1, 1, C, HIDDEN, seed=1),
        "up": constant(1, 1, HIDDEN, C, seed=2),
        "kernel": constant(1, 1, C, OUT, seed=3),
        "bias": constant(OUT, seed=4),
    }


def gate(x, w):
    """Squeeze and excite, as 1x1 convolutions."""
    z = ops.conv2d(ops.global_avg_pool2d(x, keepdims=True), w["down"], activation="silu")
    return ops.conv2d(z, w["up"], activation="sigmoid")


GATE = ["global_avg_pool2d", "conv2d", "conv2d"]


def dense_gate(x, w):
    """The same as dense layers of a mean, with a bounded line for the sigmoid."""
    z = ops.dense(ops.mean(x, (1, 2)), ops.reshape(w["down"], (C, HIDDEN)), activation="relu")
    s = ops.hard_sigmoid(ops.dense(z, ops.reshape(w["up"], (HIDDEN, C))))
    return ops.reshape(s, (-1, 1, 1, C))


@pytest.mark.parametrize("swapped", [False, True])
def test_scale(weights, swapped):
    def fn(x):
        s = gate(x, weights)
        return {"y": ops.conv2d(s * x if swapped else x * s, weights["kernel"], weights["bias"], activation="relu")}

    check(fn, X, left=[*GATE, "conv2d_excite"], exact=False)


def test_dense_layers(weights):
    def fn(x):
        return {"y": ops.conv2d(x * dense_gate(x, weights), weights["kernel"], weights["bias"])}

    check(fn, X, left=["mean", "dense", "dense", "reshape", "conv2d_excite"], exact=False)


def test_residual(weights):
    def fn(x, skip):
        return {"y": ops.conv2d(x * gate(x, weights), weights["kernel"]) + skip}

    check(fn, X, random(3, 9, 8, OUT, seed=5), left=[*GATE, "conv2d_excite"], exact=False)


def test_part_of_a_concatenation(weights):
    """It is written where the concatenation has it."""

    def fn(x, other):
        y = ops.conv2d(x * gate(x, weights), weights["kernel"])
        return {"y": ops.relu(ops.concatenate([ops.relu(other), y], axis=-1))}

    left = [*GATE, "conv2d_excite", "relu", "concatenate", "relu"]
    program = check(fn, X, random(3, 9, 8, 5, seed=5), left=left, exact=False)
    excite = next(node for node in program.graph.nodes if node.op.name == "conv2d_excite")
    assert excite.attrs.epilogue.pitch == OUT + 5


def test_an_image_is_the_same_in_any_batch_by_any_threads(weights, isa):
    def fn(x):
        return {"y": ops.conv2d(x * gate(x, weights), weights["kernel"], weights["bias"], activation="silu")}

    _, want = compiled(fn, X)
    for threads in (1, 2, 3):
        with fastconv.num_threads(threads):
            _, got = compiled(fn, X)
            assert np.array_equal(got["y"], want["y"])
            for i, image in enumerate(X):
                _, got = compiled(fn, image[None])
                assert np.array_equal(got["y"][0], want["y"][i])


def test_what_stays(weights):
    wide, spatial = constant(1, 1, C, 73), constant(3, 3, C, OUT)
    after = [*GATE, "multiply", "conv2d"]
    check(lambda x: {"y": ops.conv2d(x * gate(x, weights), wide)}, X, left=after)  # 72 pixels, 73 channels
    check(lambda x: {"y": ops.conv2d(x * gate(x, weights), spatial)}, X, left=after)
    check(lambda x: {"y": ops.conv2d(x * gate(x, weights), weights["kernel"], strides=2)}, X, left=after)
    check(lambda x: {"y": ops.conv2d(x * gate(x, weights), weights["kernel"], padding=1)}, X, left=after)
    check(lambda x, s: {"y": ops.conv2d(x * s, weights["kernel"])}, X, random(1, 1, 1, C), left=after[3:])
    check(lambda x, s: {"y": ops.conv2d(x * s, weights["kernel"])}, X, random(3, 9, 8, 1), left=after[3:])

    def read_twice(x):
        z = x * gate(x, weights)
        return {"y": ops.conv2d(z, weights["kernel"]), "z": z}

    check(read_twice, X, left=after)


# ---- the mean


@pytest.fixture(scope="module")
def depthwise():
    kernel, bias = constant(3, 3, 1, C, seed=6), constant(C, seed=7)
    return lambda x, activation="silu": ops.conv2d(x, kernel, bias, padding="same", groups=C, activation=activation)


def test_whole_block(weights, depthwise):
    def fn(x):
        z = depthwise(x)
        return {"y": ops.conv2d(z * gate(z, weights), weights["kernel"])}

    check(fn, X, left=["conv2d_squeeze", "conv2d", "conv2d", "conv2d_excite"], exact=False)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("mean", [ops.global_avg_pool2d, lambda x, keepdims: ops.mean(x, (1, 2), keepdims)])
def test_mean(depthwise, mean, keepdims):
    def fn(x):
        z = depthwise(x, "relu")
        return {"max": ops.global_max_pool2d(z), "mean": mean(z, keepdims=keepdims), "z": z}

    left = ["conv2d_squeeze", "global_max_pool2d", *["reshape"] * (not keepdims)]
    program = check(fn, X, left=left, exact=False)
    got, want = program.run(x0=X), fn(fastconv.tensor(X))
    assert np.array_equal(got["z"], want["z"].numpy())


def test_a_window_over_the_whole_image(depthwise):
    """It is a mean of all pixels unless it reaches over an edge."""

    def fn(x, size, padding=0):
        return {"y": ops.avg_pool2d(depthwise(x), size, padding=padding)}

    check(lambda x: fn(x, (9, 8)), X, left=["conv2d_squeeze"], exact=False)
    check(lambda x: fn(x, (9, 8), ((1, 0), (0, 0))), X, left=["conv2d", "avg_pool2d"])
    check(lambda x: fn(x, (9, 7)), X, left=["conv2d", "avg_pool2d"])


def test_depthwise_layer():
    kernel, twice, bias = constant(3, 3, C, 1), constant(3, 3, C, 2), constant(C, seed=1)

    def fn(x):
        return {"y": ops.global_avg_pool2d(ops.depthwise_conv2d(x, kernel, bias, strides=2, activation="relu"))}

    check(fn, X, left=["conv2d_squeeze", "reshape"], exact=False)
    left = ["depthwise_conv2d", "global_avg_pool2d"]
    check(lambda x: {"y": ops.global_avg_pool2d(ops.depthwise_conv2d(x, twice))}, X, left=left)


def test_mean_of_groups():
    kernel = constant(3, 3, 8, 32)
    left = ["conv2d_squeeze", "reshape"] if kernels.holds_groups(8, 8, 32) else ["conv2d", "global_avg_pool2d"]
    check(
        lambda x: {"y": ops.global_avg_pool2d(ops.conv2d(x, kernel, groups=4))},
        random(2, 7, 9, 32),
        left=left,
        exact=False,
    )


def test_means_are_the_same_in_any_batch_by_any_threads(depthwise, isa):
    def fn(x):
        return {"y": ops.global_avg_pool2d(depthwise(x))}

    x = random(3, 33, 31, C)
    _, want = compiled(fn, x)
    for threads in (1, 2, 3):
        with fastconv.num_threads(threads):
            _, got = compiled(fn, x)
            assert np.array_equal(got["y"], want["y"])
            for i, image in enumerate(x):
                _, got = compiled(fn, image[None])
                assert np.array_equal(got["y"][0], want["y"][i])


def test_not_finite(depthwise):
    """A mean is not finite where the separate steps say so."""
    x = X.copy()
    x[0, 3, 4, 5], x[1, 0, 0, 0], x[2, 8, 7, -1] = np.nan, np.inf, 3e38

    def fn(x):
        return {"y": ops.global_avg_pool2d(depthwise(x, None))}

    with np.errstate(all="ignore"):
        program, got = compiled(fn, x)
        want = fn(fastconv.tensor(x))["y"].numpy()
    assert titles(program.graph) == ["conv2d_squeeze", "reshape"]
    np.testing.assert_allclose(got["y"], want, rtol=1e-5)


def test_other_means_stay(depthwise):
    repeated, plain = constant(3, 3, 1, 2 * C), constant(1, 1, C, C)
    two = ["conv2d", "global_avg_pool2d"]
    check(lambda x: {"y": ops.global_avg_pool2d(ops.conv2d(x, repeated, groups=C))}, X, left=two)
    check(lambda x: {"y": ops.global_avg_pool2d(ops.conv2d(x, plain))}, X, left=two)
    check(lambda x: {"y": ops.mean(depthwise(x), (0, 1, 2))}, X, left=["conv2d", "mean"])
    with fastconv.precision("medium"):
        program, _ = compiled(lambda x: {"y": ops.global_avg_pool2d(depthwise(x))}, X)
    assert titles(program.graph) == (two if bfloat16.available() else ["conv2d_squeeze", "reshape"])


def test_training_stays(weights):
    kernel = constant(1, 1, C, OUT)
    kernel.requires_grad = True

    def fn(x):
        y = ops.conv2d(x * gate(x, weights), kernel)
        return {"y": y, "dw": gradients(ops.sum(y), [kernel])[0]}

    program, _ = compiled(fn, X)
    assert titles(program.graph)[:5] == [*GATE, "multiply", "conv2d"]


def test_products_of_bfloat16_stay(weights):
    with fastconv.precision("medium"):
        program, _ = compiled(lambda x: {"y": ops.conv2d(x * gate(x, weights), weights["kernel"])}, X)
    assert ("conv2d_excite" in titles(program.graph)) != bfloat16.available()
