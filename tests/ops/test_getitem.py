"""Indexing as NumPy has it."""

import numpy as np
import pytest

from fastconv.autograd import gradcheck, tensor
from fastconv.errors import ArgumentError

X = np.arange(2 * 3 * 4 * 5, dtype=np.float64).reshape(2, 3, 4, 5)
MASK = X[..., 0] % 3 == 0

INDICES = [
    0,
    -1,
    np.int64(1),
    slice(1, None),
    (slice(None), slice(None, None, -2)),
    (Ellipsis, 2),
    (0, Ellipsis, None, slice(1, 3)),
    None,
    (),
    [0, 1, 1],
    (slice(None), [2, 0, 0]),
    ([0, 1], slice(None), [1, 3]),
    ([[0], [1]], [0, 2, 2]),
    (0, [1, 1]),
    MASK,
    (slice(None), np.array([True, False, True])),
    (np.zeros((0,), np.int64),),
    (slice(5, 5),),
]


@pytest.mark.parametrize("index", INDICES, ids=lambda index: str(index)[:40])
def test_like_numpy(index):
    got = tensor(X)[index]
    np.testing.assert_array_equal(got.numpy(), X[index])
    if X[index].size:
        assert gradcheck(lambda x: x[index], [X])


def test_elements_picked_twice_get_the_sum():
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[[0, 2, 2, -1]].backward([1.0, 10.0, 100.0, 1000.0])
    assert x.grad.numpy().tolist() == [1, 0, 1110]


@pytest.mark.parametrize("index", [([0], [0, 1], [1, 2, 3]), [2], [-3], (Ellipsis, Ellipsis), 1.5, [0.5], "a"])
def test_errors(index):
    with pytest.raises(ArgumentError):
        tensor(X)[index]
