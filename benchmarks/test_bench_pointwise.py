"""What moves data rather than computes: ReLU, sums, batch normalisation, the loss, the optimizer. In GB/s, each array once."""

import baseline
import numpy as np
import pytest
from rows import Operation

from fastconv.ops.activation import OPS as ACTIVATIONS
from fastconv.ops.activation import Attrs as ActivationAttrs
from fastconv.ops.adam import PLAIN as ADAM
from fastconv.ops.adam import Attrs as AdamAttrs
from fastconv.ops.add import OP as ADD
from fastconv.ops.add import Attrs as AddAttrs
from fastconv.ops.batch_norm import TRAIN as BATCH_NORM
from fastconv.ops.batch_norm import TrainAttrs
from fastconv.ops.softmax_cross_entropy import OP as CROSS_ENTROPY
from fastconv.ops.softmax_cross_entropy import Attrs as CrossEntropyAttrs

SHAPE = (32, 32, 32, 32)


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def sizes(*arrays):
    return sum(array.nbytes for array in arrays)


@pytest.mark.parametrize("shape", [SHAPE, pytest.param((32, 8, 8, 8), marks=pytest.mark.short)], ids=str)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_relu(row, shape, direction):
    o = Operation(ACTIVATIONS["relu"], {"x": normal(*shape)}, ActivationAttrs())
    name, y = f"relu {shape}", o.arrays["y"]
    if direction == "forward":
        row.measure("pointwise", name, direction, o.forward, baseline.relu(o.arrays, o.attrs), nbytes=2 * y.nbytes)
    else:
        ways = baseline.relu_backward(o.arrays, o.attrs)
        row.measure("pointwise", name, direction, o.backward("x"), ways, nbytes=3 * y.nbytes)


def test_add(row):
    o = Operation(ADD, {"x0": normal(*SHAPE), "x1": normal(*SHAPE)}, AddAttrs())
    ways, nbytes = baseline.add_n(o.arrays, o.attrs), 3 * o.arrays["y"].nbytes
    row.measure("pointwise", f"add {SHAPE}", "forward", o.forward, ways, nbytes=nbytes)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_batch_norm(row, direction):
    vectors = {name: np.ones(SHAPE[-1], np.float32) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    o = Operation(BATCH_NORM, {"x": normal(*SHAPE), **vectors}, TrainAttrs())
    name, size = f"batch normalisation {SHAPE}", o.arrays["x"].nbytes
    if direction == "forward":
        # Statistics first, so x is read twice.
        ways, reference = baseline.batch_norm_train(o.arrays, o.attrs), o.reference()
        row.measure("pointwise", name, direction, o.forward, ways, reference, nbytes=3 * size)
    else:
        zeros = np.zeros(SHAPE[-1], np.float32)
        call = o.backward("x", "gamma", "beta", dnew_moving_mean=zeros, dnew_moving_variance=zeros)
        ways = baseline.batch_norm_train_backward(o.arrays, o.attrs)
        row.measure("pointwise", name, direction, call, ways, o.reference("x", "gamma", "beta"), nbytes=5 * size)


@pytest.mark.parametrize("classes", [10, 1000])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_softmax_cross_entropy(row, classes, direction):
    labels = np.random.default_rng(0).integers(0, classes, 256).astype(np.int32)
    o = Operation(CROSS_ENTROPY, {"logits": normal(256, classes), "labels": labels}, CrossEntropyAttrs())
    name, nbytes = f"softmax + cross-entropy (256, {classes})", 2 * o.arrays["logits"].nbytes
    if direction == "forward":
        ways = baseline.softmax_cross_entropy(o.arrays, o.attrs)
        row.measure("pointwise", name, direction, o.forward, ways, o.reference(), nbytes=nbytes)
    else:
        call = o.backward("logits", dprobabilities=np.zeros((256, classes), np.float32))
        ways = baseline.softmax_cross_entropy_backward(o.arrays, o.attrs)
        row.measure("pointwise", name, direction, call, ways, o.reference("logits"), nbytes=nbytes)


def test_adam(row):
    inputs = {name: np.abs(normal(500_000)) for name in "wgmv"}
    inputs["hyper"] = np.array([1e-3, 0.9, 0.999, 1e-7, 0.0])
    o = Operation(ADAM, inputs, AdamAttrs())
    ways, nbytes = baseline.adam_update(o.arrays, o.attrs), 7 * inputs["w"].nbytes
    row.measure("pointwise", "Adam, 500 000 weights", "forward", o.forward, ways, o.reference(), nbytes=nbytes)
