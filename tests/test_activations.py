"""Activation functions by name."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import activations
from fastconv.errors import ArgumentError

X = np.array([[-3.0, -0.5, 0.0, 0.5, 2.0, 9.0]])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, np.maximum(X, 0)),
        ({"max_value": 6}, np.clip(X, 0, 6)),
        ({"negative_slope": 0.1}, np.where(X > 0, X, 0.1 * X)),
        ({"negative_slope": 0.1, "max_value": 1.0}, np.minimum(np.where(X > 0, X, 0.1 * X), 1)),
        ({"threshold": 1.0}, np.where(X > 1, X, 0)),
        ({"threshold": 1.0, "negative_slope": 0.5, "max_value": 6}, np.minimum(np.where(X > 1, X, 0.5 * (X - 1)), 6)),
    ],
)
def test_relu(arguments, expected):
    for dtype in ("float32", "float64"):
        y = activations.relu(X.astype(dtype), **arguments)
        assert y.dtype == dtype
        assert np.allclose(y.numpy(), expected, rtol=1e-6)


def test_names_of_keras():
    assert activations.get("swish") is activations.get("silu")
    assert activations.get("hard_swish") is activations.get("hard_silu")
    for name in ("elu", "selu", "softplus", "softsign", "hard_sigmoid", "hard_silu", "silu", "gelu", "mish"):
        assert activations.serialize(activations.get(name)) == name


@pytest.mark.parametrize("name", ["relu", "elu", "softplus", "hard_sigmoid", "silu", "gelu", "mish"])
def test_a_layer_applies_it_and_learns_through_it(name):
    """Fused or not: the layer with an activation is the layer without, and then the function."""
    x = np.random.default_rng(0).standard_normal((4, 5)).astype("f4")
    layer, plain = fc.layers.Dense(3, activation=name), fc.layers.Dense(3)
    y, z = layer(x), plain(x)
    plain.set_weights(layer.get_weights())
    z = plain(x)
    want = activations.get(name)(z)
    np.testing.assert_allclose(y.numpy(), want.numpy(), rtol=1e-6, atol=1e-6)
    y.backward(np.ones((4, 3), "f4"))
    want.backward(np.ones((4, 3), "f4"))
    np.testing.assert_allclose(layer.kernel.grad.numpy(), plain.kernel.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_softmax_and_sigmoid_keep_their_logits():
    x = fc.tensor(X)
    for function in (activations.softmax, activations.sigmoid):
        assert function(x).logits is x
    assert activations.relu(x).logits is None


def test_softmax_along_another_axis():
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    assert np.allclose(activations.softmax(x, axis=1).numpy(), expected)
    with pytest.raises(ArgumentError, match="axis"):
        activations.softmax(x, axis=3)


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get("relu") is activations.relu
    assert activations.get(np.tanh) is np.tanh
    assert [activations.get(activations.serialize(f)) for f in activations.FUNCTIONS.values()] == [
        *activations.FUNCTIONS.values()
    ]
    with pytest.raises(ArgumentError, match="leaky_relu"):
        activations.get("swoosh")
