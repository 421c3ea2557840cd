"""One-hot vectors."""

import numpy as np
import pytest

from fastconv.errors import ArgumentError, DTypeError
from fastconv.utils import to_categorical


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool"])
def test_values_and_dtype(dtype):
    y = to_categorical(np.array([1, 0, 1]).astype(dtype), 3)
    np.testing.assert_array_equal(y, [[0, 1, 0], [1, 0, 0], [0, 1, 0]])
    assert y.dtype == np.float64


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (4,)), ((5,), (5, 4)), ((5, 1), (5, 4)), ((1,), (1, 4)), ((2, 3), (2, 3, 4)), ((0,), (0, 4))],
)
def test_shapes(shape, expected):
    y = to_categorical(np.full(shape, 3), 4)
    assert y.shape == expected and y[..., 3].all() and y.sum() == np.prod(expected[:-1])


def test_number_of_classes_is_inferred():
    assert to_categorical([0, 5, 2]).shape == (3, 6)
    assert to_categorical([[0], [1]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("x", "classes", "error"),
    [
        ([3], 3, ArgumentError),
        ([-1], 3, ArgumentError),
        ([0.5], 3, ArgumentError),
        ([np.nan], 3, ArgumentError),
        ([], None, ArgumentError),
        (["a"], 3, DTypeError),
    ],
)
def test_refusals(x, classes, error):
    with pytest.raises(error):
        to_categorical(x, classes)
