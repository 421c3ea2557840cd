"""Shapes without values."""

import numpy as np
import pytest

import fastconv.ops as ops
from fastconv.autograd import SYMBOLIC, symbol, tensor, using
from fastconv.errors import ArgumentError, GradientError, ShapeError, UnsupportedOpError


def test_shapes_go_through():
    w = tensor(np.ones((3, 4), np.float32), requires_grad=True)
    with using(SYMBOLIC):
        x = symbol((None, 3, 4))
        assert (x + w).shape == (None, 3, 4)
        assert (x * 2).mean(axis=1).shape == (None, 4)
        assert ops.flatten(x).shape == (None, 12)
        assert x.reshape(-1, 6).shape == (None, 6)
        assert x.transpose(2, 0, 1).shape == (4, None, 3)
        assert x[:, 0].shape == (None, 4)
        assert x[1:].shape == (None, 3, 4)
        assert x[0, ..., None, ::2].shape == (3, 1, 2)
        assert ops.flatten(symbol((None, None, 3))).shape == (None, None)
        with pytest.raises(ShapeError):
            x + np.ones(5, np.float32)
        with pytest.raises(ArgumentError):
            x[:, 7]


def test_values_are_refused():
    x = symbol((None, 3), name="images")
    for use in (
        lambda: x.numpy(),
        lambda: float(x),
        lambda: bool(x),
        lambda: np.asarray(x),
        lambda: len(x),
        lambda: x * 2,
    ):
        with pytest.raises(UnsupportedOpError, match="'images'"):
            use()
    assert "None" in repr(x)


def test_assign_is_ignored():
    w = tensor([1.0, 2.0])
    with using(SYMBOLIC):
        w.assign(symbol((2,)))
        with pytest.raises(ShapeError):
            w.assign(symbol((3,)))
    assert w.numpy().tolist() == [1, 2]
    assert w.version == 0


def test_no_gradients():
    w = tensor([1.0, 2.0], requires_grad=True)
    with using(SYMBOLIC), pytest.raises(GradientError):
        (w * w).sum().backward()
