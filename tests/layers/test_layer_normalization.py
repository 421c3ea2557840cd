"""LayerNormalization and GroupNormalization."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import Input, Sequential, layers, ops
from fastconv.errors import ArgumentError, ShapeError, UnsupportedOpError

from .conftest import check_layer, draw

IMAGES, SEQUENCES, ROWS, VOLUMES = draw(3, 5, 4, 6), draw(3, 7, 6), draw(3, 6), draw(2, 3, 4, 3, 6)


def trained(layer, x):
    """Return the layer with weights that are not 0 and 1."""
    layer(x)
    layer.set_weights([draw(*w.shape, seed=5 + i) for i, w in enumerate(layer.weights)])
    return layer


def affine(layer, y, axes):
    """Multiply by gamma and add beta, of the sizes of `axes`."""
    spread = [n if i in axes else 1 for i, n in enumerate(y.shape)]
    if layer.gamma is not None:
        y = y * layer.gamma.numpy().reshape(spread)
    return y if layer.beta is None else y + layer.beta.numpy().reshape(spread)


def normalised(x, axes, epsilon):
    x = x.astype("float64")
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 1e-6}, {"axis": 1}])
@pytest.mark.parametrize("x", [IMAGES, SEQUENCES, ROWS, VOLUMES], ids=lambda x: str(x.ndim))
def test_layer_normalization(x, options, tmp_path):
    layer = trained(layers.LayerNormalization(**options), x)
    y = check_layer(layer, x, tmp_path=tmp_path)
    axes = (options.get("axis", -1) % x.ndim,)
    want = affine(layer, normalised(x, axes, options.get("epsilon", 1e-3)), axes)
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)
    assert np.array_equal(layer(x, training=True).numpy(), y)


@pytest.mark.parametrize("axis", [[1, 2, 3], (-1, 1), [-2], [3, 2]])
def test_several_axes(axis, tmp_path):
    layer = trained(layers.LayerNormalization(axis), IMAGES)
    axes = tuple(sorted(a % 4 for a in axis))
    assert layer.gamma.shape == layer.beta.shape == tuple(IMAGES.shape[a] for a in axes)
    y = check_layer(layer, IMAGES, tmp_path=tmp_path)
    np.testing.assert_allclose(y, affine(layer, normalised(IMAGES, axes, 1e-3), axes), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 1e-6}])
@pytest.mark.parametrize("groups", [1, 2, 3, 6, -1])
@pytest.mark.parametrize("x", [IMAGES, SEQUENCES, VOLUMES], ids=lambda x: str(x.ndim))
def test_group_normalization(x, groups, options, tmp_path):
    layer = trained(layers.GroupNormalization(groups, **options), x)
    y = check_layer(layer, x, tmp_path=tmp_path)
    count = 6 if groups == -1 else groups
    parts = x.reshape(*x.shape[:-1], count, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    want = normalised(parts, axes, options.get("epsilon", 1e-3)).reshape(x.shape)
    np.testing.assert_allclose(y, affine(layer, want, (x.ndim - 1,)), rtol=1e-4, atol=1e-5)
    first = layers.GroupNormalization(groups, axis=1, **options)
    first(np.moveaxis(x, -1, 1))
    first.set_weights(layer.get_weights())
    np.testing.assert_allclose(np.moveaxis(first(np.moveaxis(x, -1, 1)).numpy(), 1, -1), y, rtol=1e-5, atol=1e-5)


def test_groups_of_rows(tmp_path):
    y = check_layer(layers.GroupNormalization(2), ROWS, tmp_path=tmp_path)
    np.testing.assert_allclose(y, normalised(ROWS.reshape(3, 2, 3), (2,), 1e-3).reshape(3, 6), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [layers.LayerNormalization, lambda: layers.GroupNormalization(3)])
def test_a_large_mean_costs_nothing_of_the_variance(make):
    x = draw(4, 6, 5, 6) + np.float32(3000)
    exact = make()
    wide = type(exact).from_config({**exact.get_config(), "dtype": "float64"})
    error = np.abs(exact(x).numpy() - wide(x.astype("float64")).numpy()).max()
    assert error < 1e-3  # x itself is known to 1e-4


def test_images_of_any_size():
    model = Sequential([Input((None, None, 6)), layers.LayerNormalization(), layers.GroupNormalization(2)])
    for shape in ((2, 5, 9, 6), (1, 8, 3, 6)):
        x = draw(*shape)
        np.testing.assert_allclose(model.predict(x, verbose=0), model(x).numpy(), rtol=1e-4, atol=1e-5)


def test_both_train():
    fc.utils.set_random_seed(0)
    images, labels = draw(64, 6, 6, 4), np.arange(64) % 2
    images[..., 1] += labels[:, None, None]
    model = Sequential(
        [
            Input((6, 6, 4)),
            layers.Conv2D(8, 3),
            layers.GroupNormalization(4),
            layers.LayerNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    before = model.get_weights()
    history = model.fit(images, labels.astype("float32"), epochs=10, verbose=0, shuffle=False).history["loss"]
    assert history[-1] < 0.8 * history[0]
    assert all(not np.array_equal(a, b) for a, b in zip(before[2:6], model.get_weights()[2:6], strict=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.LayerNormalization("x", name="me"), "axis"),
        (lambda: layers.LayerNormalization([], name="me"), "axis"),
        (lambda: layers.LayerNormalization(epsilon=0, name="me"), "epsilon"),
        (lambda: layers.GroupNormalization(0, name="me"), "groups"),
        (lambda: layers.GroupNormalization(2.5, name="me"), "groups"),
        (lambda: layers.GroupNormalization(2, axis=[1], name="me"), "axis"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=f"'me'.*{message}"):
        make()


def test_wrong_inputs():
    with pytest.raises(UnsupportedOpError, match="gamma_constraint"):
        layers.LayerNormalization(gamma_constraint="non_neg")
    with pytest.raises(ShapeError, match="axis=4 names an axis"):
        layers.LayerNormalization(4)(IMAGES)
    with pytest.raises(ShapeError, match="twice"):
        layers.LayerNormalization([1, -3])(IMAGES)
    with pytest.raises(ShapeError, match="must be known"):
        layers.LayerNormalization(1)(Input((None, 4)))
    with pytest.raises(ShapeError, match="groups must divide the channels, got groups=4 and 6"):
        layers.GroupNormalization(4)(IMAGES)
    with pytest.raises(ShapeError, match="not an axis of channels"):
        layers.GroupNormalization(3, axis=0)(IMAGES)
    for layer in (layers.LayerNormalization(name="me"), layers.GroupNormalization(2, name="me")):
        layer(IMAGES)
        with pytest.raises(ShapeError, match="'me'.*as those it was built for"):
            layer(IMAGES[..., :4])


def test_operations_say_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"gamma of shape \(6,\)"):
        ops.layer_normalization(IMAGES, np.ones(5, "float32"))
    with pytest.raises(ArgumentError, match="groups that divide the channels, 6, got 4"):
        ops.group_normalization(IMAGES, groups=4)
