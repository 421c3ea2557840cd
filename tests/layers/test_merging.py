"""Layers of several inputs: sums, differences, products, means, extremes, dot products."""

import functools

import numpy as np
import pytest

from fastconv import Input, layers, ops
from fastconv.autograd import gradcheck
from fastconv.errors import ArgumentError, ShapeError

from .conftest import check_layer, draw

A, B, C = (draw(3, 5, 4, 6, seed=seed) for seed in range(3))
ROWS = draw(3, 6, seed=3)
VALUES = {
    "Add": np.add,
    "Subtract": np.subtract,
    "Multiply": np.multiply,
    "Average": None,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
}


def expected(name, inputs):
    if name == "Average":
        return functools.reduce(np.add, inputs) / np.float32(len(inputs))
    return functools.reduce(VALUES[name], inputs)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    "inputs",
    [(A, B), (A, B, C), (A, B[:, :1, :1]), (A[..., :1], B), (A, ROWS), (ROWS, A), (A[:, 0], ROWS)],
    ids=["two", "three", "pixels", "one-channel", "rows", "rows-first", "sequences"],
)
def test_values(name, inputs, tmp_path):
    if name == "Subtract" and len(inputs) > 2:
        pytest.skip("takes two")
    y = check_layer(getattr(layers, name)(), *inputs, tmp_path=tmp_path)
    ndim = max(x.ndim for x in inputs)
    wide = [x.reshape(len(x), *[1] * (ndim - x.ndim), *x.shape[1:]) for x in inputs]
    assert np.array_equal(y, expected(name, wide))
    assert np.array_equal(getattr(layers, name.lower())(list(inputs)).numpy(), y)


@pytest.mark.parametrize("name", VALUES)
def test_one_input(name):
    layer = getattr(layers, name)()
    if name == "Subtract":
        with pytest.raises(ArgumentError, match="exactly 2 tensors"):
            layer([A])
    else:
        assert np.array_equal(layer([A]).numpy(), A)


@pytest.mark.parametrize("name", VALUES)
def test_what_is_no_list(name):
    layer = getattr(layers, name)(name="me")
    for wrong in (A, [], [A, 2.0], {"a": A}):
        with pytest.raises(ArgumentError, match="'me'.*list of"):
            layer(wrong)
    with pytest.raises(ShapeError, match="'me'.*do not broadcast"):
        layer([A, A[:, :2]])


def test_equal_ones_share_the_gradient():
    x = np.array([[1.0, 2.0]])
    for layer in (layers.Maximum(dtype="float64"), layers.Minimum(dtype="float64")):
        assert gradcheck(lambda a, b, layer=layer: layer([a, b]), [x, x + 1])


def test_sizes_that_are_open():
    images, scale = Input((None, None, 8)), Input((8,))
    assert layers.Multiply()([images, scale]).shape == (None, None, None, 8)
    assert layers.Average()([scale, images]).shape == (None, None, None, 8)


# ---- Dot

DOTS = [
    ((4, 6), (4, 6), 1, "nk,nk->n"),
    ((4, 6), (4, 6), -1, "nk,nk->n"),
    ((4, 5, 6), (4, 7, 6), 2, "nak,nbk->nab"),
    ((4, 5, 6), (4, 7, 6), -1, "nak,nbk->nab"),
    ((2, 3, 5), (2, 10, 3), (1, 2), "nka,nbk->nab"),
    ((4, 6), (4, 7, 6), (1, -1), "nk,nbk->nb"),
    ((4, 7, 6), (4, 6), (2, 1), "nak,nk->na"),
    ((2, 3, 4, 5), (2, 6, 3), (1, 2), "nkab,nck->nabc"),
    ((2, 6, 3), (2, 4, 3, 5), (2, -2), "nak,nbkc->nabc"),
    ((2, 3), (2, 4, 3, 5), (1, 2), "nk,nbkc->nbc"),
    ((2, 4, 3, 5), (2, 3), (2, 1), "nakb,nk->nab"),
]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(("a", "b", "axes", "formula"), DOTS)
def test_dot(a, b, axes, formula, normalize, tmp_path):
    a, b = draw(*a), draw(*b, seed=1)
    y = check_layer(layers.Dot(axes, normalize), a, b, tmp_path=tmp_path)
    pair = axes if isinstance(axes, tuple) else (axes, axes)
    if normalize:
        a, b = (x / np.linalg.norm(x, axis=axis, keepdims=True) for x, axis in zip((a, b), pair, strict=True))
    want = np.einsum(formula, a.astype("float64"), b.astype("float64"))
    assert y.shape == (want.shape if want.ndim > 1 else (len(want), 1))
    np.testing.assert_allclose(y, want.reshape(y.shape), rtol=1e-4, atol=1e-5)


def test_dot_as_a_function():
    a, b = draw(4, 6), draw(4, 6, seed=1)
    assert np.array_equal(layers.dot([a, b]).numpy(), layers.Dot(-1)([a, b]).numpy())
    assert np.array_equal(layers.dot([a, b], 1, normalize=True).numpy(), layers.Dot(1, True)([a, b]).numpy())


def test_cosines_of_zeros_are_zeros():
    x = ops.subtract(draw(2, 3), draw(2, 3))
    assert not layers.Dot(1, normalize=True)([x, x]).numpy().any()


@pytest.mark.parametrize("axes", [0, (0, 1), (1, 0), "x", (1, 2, 3), 1.5, None, True])
def test_axes_that_are_not(axes):
    with pytest.raises(ArgumentError, match="'me'.*axes must"):
        layers.Dot(axes, name="me")


def test_shapes_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"one size in both inputs, got 6 and 5"):
        layers.Dot(-1)([draw(2, 6), draw(2, 5)])
    with pytest.raises(ShapeError, match="3 is not an axis beside the batch"):
        layers.Dot((1, 3))([draw(2, 6), draw(2, 6)])
    with pytest.raises(ShapeError, match="-2 is not an axis beside the batch"):
        layers.Dot(-2)([draw(2, 6), draw(2, 6)])
    with pytest.raises(ArgumentError, match="exactly 2 tensors"):
        layers.Dot(1)([draw(2, 6)])


def test_dot_of_open_sizes():
    assert layers.Dot(-1)([Input((None, 8)), Input((None, 8))]).shape == (None, None, None)
    with pytest.raises(ShapeError, match="all but the batch must be known"):
        layers.Dot(-1)([Input((None, None, 8)), Input((3, 8))])
