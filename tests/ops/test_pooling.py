"""Pooling beyond what the registry checks: NaN and infinity, ties, padding that never wins, bad arguments."""

import numpy as np
import pytest

from fastconv.autograd import eager
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.op import REGISTRY, Spec
from fastconv.ops._pooling import attributes
from fastconv.ops.avg_pool2d import avg_pool2d
from fastconv.ops.global_pool import global_avg_pool2d, global_max_pool2d
from fastconv.ops.max_pool2d import max_pool2d
from fastconv.ops.sum_pool2d import sum_pool2d

CHANNELS = (1, 9, 37)  # a tail alone, a vector and a tail, a block and a tail


def both(name, x, attrs):
    """Return the results of the kernel and of the reference."""
    op = REGISTRY[name]
    return eager.forward(op, {"x": x}, attrs), op.reference({"x": x}, attrs)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("window", [(2, 2, "valid"), (3, 2, "same"), (3, 1, ((2, 0), (1, 2))), (17, 16, "same")])
def test_max_of_special_values(channels, window):
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (2, 9, 8, channels)).astype("float32")  # many ties
    x[rng.random(x.shape) < 0.2] = -np.inf
    x[rng.random(x.shape) < 0.05] = np.inf
    x[rng.random(x.shape) < 0.05] = np.nan
    x[1] = -np.inf  # nothing is larger than the padding
    got, want = both("max_pool2d", x, attributes(*window))
    np.testing.assert_array_equal(got["y"], want["y"])
    np.testing.assert_array_equal(got["index"], want["index"])
    assert got["index"].dtype == want["index"].dtype
    got, want = both("global_max_pool2d", x, REGISTRY["global_max_pool2d"].attrs())
    np.testing.assert_array_equal(got["y"], want["y"])
    np.testing.assert_array_equal(got["index"], want["index"])


def test_padding_is_not_averaged():
    x = np.ones((1, 5, 5, 3), "float32")
    assert (avg_pool2d(x, 3, 2, "same").numpy() == 1).all()
    assert sum_pool2d(x, 3, 2, "same").numpy()[0, :, :, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


def test_global_keepdims():
    x = np.ones((2, 3, 4, 5), "float32")
    assert global_avg_pool2d(x).shape == global_max_pool2d(x).shape == (2, 5)
    assert global_avg_pool2d(x, keepdims=True).shape == global_max_pool2d(x, keepdims=True).shape == (2, 1, 1, 5)


def test_empty_batch():
    assert max_pool2d(np.ones((0, 4, 4, 3), "float32")).shape == (0, 2, 2, 3)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "sum_pool2d"])
def test_unknown_dimensions(name):
    infer = REGISTRY[name].infer
    assert infer({"x": Spec((None, None, 7, 3))}, attributes(2, None, "same"))["y"].shape == (None, None, 4, 3)
    assert infer({"x": Spec((None, 7, None, 3))}, attributes(2, None, "valid"))["y"].shape == (None, 3, None, 3)


@pytest.mark.parametrize("pool", [max_pool2d, avg_pool2d, sum_pool2d])
def test_errors_name_the_argument(pool):
    x = np.ones((1, 4, 4, 1), "float32")
    with pytest.raises(ShapeError, match="pooling window of height 5 is larger"):
        pool(x, 5)
    with pytest.raises(ShapeError, match="4 dimensions"):
        pool(x[0])
    with pytest.raises(ShapeError, match="at least one row of pixels"):
        pool(x[:, :0])
    with pytest.raises(ShapeError, match="at least one channel"):
        pool(x[..., :0])
    with pytest.raises(DTypeError, match="int32"):
        pool(x.astype("int32"))
    with pytest.raises(ArgumentError, match="padding must be smaller than pool_size"):
        pool(x, 2, padding=2)
    with pytest.raises(ArgumentError, match="strides"):
        pool(x, 2, 0)
