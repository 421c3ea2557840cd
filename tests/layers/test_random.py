"""Layers that draw random numbers: dropout of elements and of channels, normal noise."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import Input, Model, layers, ops
from fastconv.errors import ArgumentError, ShapeError

from .conftest import check_layer, draw

ONES = np.ones((4, 6, 5, 8), "float32")
VOLUME, SEQUENCE = np.ones((4, 3, 3, 3, 8), "float32"), np.ones((4, 6, 8), "float32")
LAYERS = [
    (lambda **k: layers.Dropout(0.4, **k), ONES),
    (lambda **k: layers.Dropout(0.4, (None, 1, None, 8), **k), ONES),
    (lambda **k: layers.SpatialDropout1D(0.4, **k), SEQUENCE),
    (lambda **k: layers.SpatialDropout2D(0.4, **k), ONES),
    (lambda **k: layers.SpatialDropout2D(0.4, "channels_first", **k), ONES),
    (lambda **k: layers.SpatialDropout3D(0.4, **k), VOLUME),
    (lambda **k: layers.GaussianNoise(0.4, **k), ONES),
    (lambda **k: layers.GaussianDropout(0.4, **k), ONES),
]
IDS = [f"{type(make()).__name__}-{i}" for i, (make, _) in enumerate(LAYERS)]
over_layers = pytest.mark.parametrize(("make", "x"), LAYERS, ids=IDS)


@over_layers
def test_everything(make, x, tmp_path):
    x = draw(*x.shape)
    assert np.array_equal(check_layer(make(seed=3), x, tmp_path=tmp_path), x)
    y = check_layer(make(seed=3), x, tmp_path=tmp_path, training=True)
    assert y.shape == x.shape and not np.allclose(y, x)


@over_layers
def test_numbers_follow_the_seed(make, x):
    layer = make(seed=5)
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert not np.array_equal(first, second)
    again = make(seed=5)
    assert np.array_equal(again(x, training=True).numpy(), first)
    assert np.array_equal(again(x, training=True).numpy(), second)
    runs = []
    for _ in range(2):
        fc.utils.set_random_seed(3)
        runs.append(make()(x, training=True).numpy())
    assert np.array_equal(*runs)
    assert layer.weights == [] and [v.dtype for v in layer.variables] == ["uint64"]


@over_layers
def test_numbers_are_the_same_by_any_threads(make, x):
    results = []
    for threads in (1, 2, 3):
        with fc.num_threads(threads):
            results.append(make(seed=7)(np.tile(x, (30, *[1] * (x.ndim - 1))), training=True).numpy())
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


@over_layers
def test_float64_draws_the_same(make, x):
    y, wide = make(seed=7)(x, training=True).numpy(), make(seed=7, dtype="float64")(x, training=True)
    assert wide.dtype == "float64"
    np.testing.assert_allclose(y, wide.numpy(), rtol=1e-5, atol=1e-5)


@over_layers
def test_training_draws_anew_at_every_step(make, x):
    """In a compiled training step too, whose loss shows what was drawn."""
    inputs = Input(x.shape[1:])
    model = Model(inputs, layers.Flatten()(make(seed=1)(inputs)))
    model.compile("sgd", "mse")
    y = np.zeros((len(x), x[0].size), "float32")
    drawn = {model.train_on_batch(draw(*x.shape), y) for _ in range(4)}
    assert len(drawn) == 4


def test_sizes_that_are_open():
    x = Input((None, None, 8))
    for layer in (layers.SpatialDropout2D(0.5), layers.GaussianNoise(0.5), layers.Dropout(0.5, (None, 1, 1, None))):
        assert layer(x, training=True).shape == (None, None, None, 8)


@pytest.mark.parametrize(
    ("layer", "axes"),
    [
        (layers.SpatialDropout2D(0.4, seed=1), (1, 2)),
        (layers.SpatialDropout2D(0.4, "channels_first", seed=1), (2, 3)),
        (layers.Dropout(0.4, (1, None, 5, None), seed=1), (0,)),
        (layers.Dropout(0.4, [4, 1, 1, 1], seed=1), (1, 2, 3)),
    ],
)
def test_what_lives_and_dies_together(layer, axes):
    x = np.ones((4, 60, 5, 80) if axes != (0,) else ONES.shape, "float32")
    y = layer(x, training=True).numpy()
    assert np.array_equal(y.min(axes), y.max(axes))
    assert set(np.unique(y)) == {0, np.float32(1 / 0.6)}


def test_share_of_channels():
    y = layers.SpatialDropout1D(0.3, seed=1)(np.ones((100, 4, 100), "float32"), training=True).numpy()
    assert abs((y == 0).mean() - 0.3) < 5 * np.sqrt(0.21 / 1e4)
    assert abs(y.mean() - 1) < 5 * np.sqrt(0.21 / 1e4) / 0.7


def test_moments_of_noise():
    x = np.full((200, 500), 3.0, "float32")
    y = layers.GaussianNoise(0.5, seed=1)(x, training=True).numpy().astype("float64") - 3
    z = layers.GaussianDropout(0.2, seed=1)(x, training=True).numpy().astype("float64") / 3 - 1
    for noise, deviation in ((y, 0.5), (z, 0.5)):
        assert abs(noise.mean()) < 5 * deviation / np.sqrt(noise.size)
        assert abs(noise.std() / deviation - 1) < 5 / np.sqrt(2 * noise.size)
        assert abs((noise**3).mean() / deviation**3) < 5 * np.sqrt(15 / noise.size)
        assert abs((noise**4).mean() / deviation**4 - 3) < 5 * np.sqrt(96 / noise.size)
        assert abs(np.corrcoef(noise.ravel()[:-1], noise.ravel()[1:])[0, 1]) < 5 / np.sqrt(noise.size)


def test_nothing_to_draw():
    for layer in (layers.Dropout(0), layers.SpatialDropout2D(0), layers.GaussianNoise(0), layers.GaussianDropout(0)):
        assert np.array_equal(layer(ONES, training=True).numpy(), ONES) and layer.variables == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dropout(0.5, "x", name="me"), "noise_shape"),
        (lambda: layers.Dropout(0.5, (None, 0), name="me"), "noise_shape"),
        (lambda: layers.Dropout(0.5, (None, 1.5), name="me"), "noise_shape"),
        (lambda: layers.SpatialDropout1D(1, name="me"), "rate"),
        (lambda: layers.SpatialDropout2D(0.5, "NCHW", name="me"), "data_format"),
        (lambda: layers.SpatialDropout3D(0.5, seed=1.5, name="me"), "seed"),
        (lambda: layers.GaussianNoise(2, name="me"), "stddev"),
        (lambda: layers.GaussianNoise("x", name="me"), "stddev"),
        (lambda: layers.GaussianDropout(1.0, name="me"), "rate"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=f"'me'.*{message}"):
        make()


def test_wrong_inputs():
    with pytest.raises(ShapeError, match="must have 4 dimensions"):
        layers.SpatialDropout2D(0.5)(SEQUENCE)
    for wrong in ((None, 1), (None, 1, 1, 7), (3, 1, 1, 1)):
        with pytest.raises(ShapeError, match="must be 1, None or the size"):
            layers.Dropout(0.5, wrong)(ONES)


def test_normal_numbers_that_cannot_be():
    state = np.array([1, 0], "uint64")
    with pytest.raises(fc.errors.DTypeError, match="float32 or float64"):
        ops.random_normal(state, (2,), "int32")
    for wrong in ((-1,), 3, "x"):
        with pytest.raises(ArgumentError, match="shape of sizes"):
            ops.random_normal(state, wrong)
    with pytest.raises(fc.errors.DTypeError, match="uint64"):
        ops.random_normal(np.zeros(2), (2,))
    assert ops.random_normal(state, (0, 3))[0].shape == (0, 3)
