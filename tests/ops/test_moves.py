"""What the registry cannot know of data movement: dtypes, views, blocks of channels, errors."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.graph import Program, trace
from fastconv.op import Spec

DTYPES = ("float32", "int32", "int64", "uint8", "bool")


def traced(fn, x):
    """Run by plans: eager code takes views where it can."""
    program = Program(trace(lambda x: {"y": fn(x)}, {"x": Spec(x.shape, x.dtype.name)}))
    assert None not in program.plans
    return program.run(x=x)["y"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 17, 19, 20)])
def test_every_dtype_moves(dtype, shape):
    x = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    for axes in [(0, 3, 1, 2), (0, 2, 1, 3), (3, 2, 1, 0)]:
        np.testing.assert_array_equal(traced(lambda x, axes=axes: ops.transpose(x, axes), x), x.transpose(axes))
    np.testing.assert_array_equal(traced(lambda x: x[:, ::2, ::-1, 1:], x), x[:, ::2, ::-1, 1:])
    np.testing.assert_array_equal(traced(lambda x: ops.concatenate([x, x], 1), x), np.concatenate([x, x], 1))
    np.testing.assert_array_equal(traced(lambda x: ops.tile(x, (1, 2, 1, 3)), x), np.tile(x, (1, 2, 1, 3)))
    wide = (4, *shape)
    np.testing.assert_array_equal(traced(lambda x: ops.broadcast_to(x, wide), x), np.broadcast_to(x, wide))


def test_a_transpose_in_eager_code_is_a_view():
    x = fastconv.tensor(np.zeros((2, 3), np.float32))
    assert np.shares_memory(ops.transpose(x).data, x.data)
    assert np.shares_memory(x[1:].data, x.data)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_and_back(mode):
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 12)).astype("float32")
    y = traced(lambda x: ops.depth_to_space(x, 2, mode), x)
    assert y.shape == (2, 6, 10, 3)
    if mode == "CRD":
        want = x.reshape(2, 3, 5, 3, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(y.shape)  # as PyTorch's pixel_shuffle
        np.testing.assert_array_equal(y, want)
    else:
        np.testing.assert_array_equal(y[:, 1::2, ::2], x[..., 6:9])
    np.testing.assert_array_equal(traced(lambda y: ops.space_to_depth(y, 2, mode), y), x)


def test_errors():
    x = np.zeros((1, 3, 3, 3), np.float32)
    for call, error in [
        (lambda: ops.depth_to_space(x, 2), ShapeError),
        (lambda: ops.space_to_depth(x, 2), ShapeError),
        (lambda: ops.depth_to_space(x, 0), ArgumentError),
        (lambda: ops.depth_to_space(x, 1, "RDC"), ArgumentError),
        (lambda: ops.depth_to_space(x[0], 1), ShapeError),
        (lambda: ops.broadcast_to(x, (2, 3)), ShapeError),
        (lambda: ops.tile(x, (2, 2)), ShapeError),
        (lambda: ops.tile(x, (2, 2, -1, 1)), ArgumentError),
        (lambda: ops.cast(x, "complex64"), DTypeError),
        (lambda: ops.where(x, 1.0, 2.0), DTypeError),
        (lambda: ops.pad(x, ((0, 0),) * 4, mode="mirror"), ArgumentError),
        (lambda: ops.pad(x[:0], ((1, 0), *((0, 0),) * 3), mode="edge"), ShapeError),
    ]:
        with pytest.raises(error):
            call()


def test_where_takes_numbers_and_integers():
    condition = np.array([True, False, True])
    assert ops.where(condition, np.array([1, 2, 3], np.int32), np.int32(7)).numpy().tolist() == [1, 7, 3]
    assert ops.where(condition, fastconv.tensor([1.0, 2.0, 3.0]), 0).numpy().tolist() == [1.0, 0.0, 3.0]
