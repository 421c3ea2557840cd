"""RandomFlip and RandomTranslation."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import Input, Model, Sequential, layers, models
from fastconv.autograd import gradcheck
from fastconv.errors import ArgumentError, ShapeError

from .conftest import check_program, draw

IMAGES = draw(40, 6, 5, 3)
LAYERS = [
    lambda **k: layers.RandomFlip(**k),
    lambda **k: layers.RandomFlip("vertical", data_format="channels_first", **k),
    lambda **k: layers.RandomTranslation(0.3, (-0.2, 0.4), **k),
    lambda **k: layers.RandomTranslation(0.0, 0.5, "constant", "nearest", fill_value=2.0, **k),
]
over_layers = pytest.mark.parametrize("make", LAYERS, ids=["flip", "flip_first", "shift", "shift_constant"])


@over_layers
def test_training_and_inference(make, tmp_path):
    layer = make(seed=3)
    y = layer(IMAGES, training=True).numpy()
    assert y.shape == IMAGES.shape and not np.allclose(y, IMAGES)
    assert np.array_equal(layer(IMAGES, training=False).numpy(), IMAGES)
    assert not np.allclose(layer(IMAGES).numpy(), IMAGES)  # by itself, as Keras's, it is in training
    x = Input(IMAGES.shape[1:])
    model = Model(x, layer(x))
    assert model.output_shape == (None, 6, 5, 3) and not model.weights
    assert np.array_equal(model.predict(IMAGES, verbose=0), IMAGES)
    model.save(tmp_path / "model.fastconv")
    loaded = models.load_model(tmp_path / "model.fastconv")
    assert loaded.layers[1].get_config() == layer.get_config()
    assert np.array_equal(loaded.predict(IMAGES, verbose=0), IMAGES)
    check_program(layer, [IMAGES[:4]], training=True)


@over_layers
def test_numbers_follow_the_seed(make):
    layer, again = make(seed=5), make(seed=5)
    first, second = layer(IMAGES).numpy(), layer(IMAGES).numpy()
    assert not np.array_equal(first, second)
    assert np.array_equal(again(IMAGES).numpy(), first) and np.array_equal(again(IMAGES).numpy(), second)
    with fc.num_threads(1):
        assert np.array_equal(make(seed=5)(IMAGES).numpy(), first)
    wide = make(seed=5, dtype="float64")(IMAGES)
    assert wide.dtype == "float64"
    np.testing.assert_allclose(wide.numpy(), first, rtol=1e-4, atol=1e-4)


@over_layers
def test_gradients(make):
    key = np.array([7, 0], "uint64")
    layer = make(seed=7, dtype="float64")
    layer(IMAGES[:3])

    def same_numbers(x):
        layer.seed_state.assign(key)
        return layer(x, training=True)

    assert gradcheck(same_numbers, [IMAGES[:3].astype("float64")])


@pytest.mark.parametrize(("mode", "axes"), [("horizontal", 2), ("vertical", 1), ("horizontal_and_vertical", (1, 2))])
def test_flips(mode, axes):
    x = draw(2000, 3, 4, 2)
    y = layers.RandomFlip(mode, seed=1)(x).numpy()
    flipped = np.flip(x, axes)
    stay, turn = (y == x).all((1, 2, 3)), (y == flipped).all((1, 2, 3))
    assert (stay | turn).all() and abs(turn.mean() - 0.5) < 5 * np.sqrt(0.25 / 2000)
    first = layers.RandomFlip(mode, seed=1, data_format="channels_first")(np.moveaxis(x, -1, 1)).numpy()
    assert np.array_equal(np.moveaxis(first, 1, -1), y)


def at(line, place, fill_mode, fill):
    """Return the value of a line of pixels at a place that need not be whole, nor within."""
    n = len(line)

    def pixel(i):
        if 0 <= i < n:
            return line[i]
        if fill_mode == "constant":
            return np.full_like(line[0], fill)
        return {
            "nearest": line[min(max(i, 0), n - 1)],
            "wrap": line[i % n],
            "reflect": [*line, *line[::-1]][i % (2 * n)],
        }[fill_mode]

    low = int(np.floor(place))
    return (low + 1 - place) * pixel(low) + (place - low) * pixel(low + 1)


@pytest.mark.parametrize("fill_mode", ["reflect", "constant", "nearest", "wrap"])
@pytest.mark.parametrize("shift", [0.0, 1.0, -1.0, 0.25, -0.4, 2 / 6, 0.83])
def test_shifts(fill_mode, shift):
    x = draw(2, 6, 5, 3).astype("float64")
    for interpolation, amount in (("bilinear", 6 * shift), ("nearest", np.rint(6 * shift))):
        arguments = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 1.5}
        want = np.array([[at(x[n], i - amount, fill_mode, 1.5) for i in range(6)] for n in range(2)])
        down = layers.RandomTranslation((shift, shift), 0.0, **arguments)(x.astype("float32")).numpy()
        np.testing.assert_allclose(down, want, rtol=1e-4, atol=1e-5)
        across = layers.RandomTranslation(0, (shift, shift), **arguments)(x.transpose(0, 2, 1, 3).astype("float32"))
        np.testing.assert_allclose(across.numpy().transpose(0, 2, 1, 3), want, rtol=1e-4, atol=1e-5)


def test_shares_are_uniform_and_each_images_own():
    x = np.tile(np.arange(100.0).reshape(1, 100, 1, 1), (4000, 1, 100, 1))[:, :, :3]
    layer = layers.RandomTranslation((-0.2, 0.4), 0.0, "nearest", seed=2)
    shares = (50 - layer(x).numpy()[:, 50, 0, 0]) / 100
    assert -0.2 <= shares.min() < -0.19 and 0.39 < shares.max() <= 0.4001
    counts = np.histogram(shares, 10, (-0.2, 0.4))[0]
    assert np.abs(counts - 400).max() < 5 * np.sqrt(400)
    both = layers.RandomTranslation(0.4, 0.4, "constant", seed=2)(draw(2000, 8, 8, 1)).numpy()
    rows, columns = ((both[:, :, 4, 0] != 0).sum(1), (both[:, 4, :, 0] != 0).sum(1))
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.1
    assert layers.RandomTranslation(-0.3, 0.3)._ranges == ((-0.3, 0.3), (-0.3, 0.3))


def test_it_trains_in_a_model():
    model = Sequential(
        [
            Input((6, 5, 3)),
            layers.RandomFlip("horizontal", seed=1),
            layers.RandomTranslation(0.2, 0.2, seed=2),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile(fc.optimizers.SGD(0.0), "mse")
    losses = {model.train_on_batch(IMAGES, np.zeros((40, 1))) for _ in range(4)}
    assert len(losses) == 4  # other images every time
    assert len({model.test_on_batch(IMAGES, np.zeros((40, 1))) for _ in range(2)}) == 1


def test_open_sizes_and_no_shift():
    x = Input((None, None, 3))
    assert layers.RandomFlip()(x).shape == layers.RandomTranslation(0.1, 0.1)(x).shape == (None, None, None, 3)
    still = layers.RandomTranslation(0.0, 0)
    assert np.array_equal(still(IMAGES).numpy(), IMAGES) and still.variables == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomFlip("sideways", name="me"), "mode"),
        (lambda: layers.RandomFlip(["vertical"], name="me"), "mode"),
        (lambda: layers.RandomFlip(seed=-1, name="me"), "seed"),
        (lambda: layers.RandomFlip(data_format="NHWC", name="me"), "data_format"),
        (lambda: layers.RandomTranslation(2, 0, name="me"), "height_factor"),
        (lambda: layers.RandomTranslation(0, (0.1, "a"), name="me"), "width_factor"),
        (lambda: layers.RandomTranslation(0, (0.1, 0.2, 0.3), name="me"), "width_factor"),
        (lambda: layers.RandomTranslation(0, float("nan"), name="me"), "width_factor"),
        (lambda: layers.RandomTranslation(0, 0, "mirror", name="me"), "fill_mode"),
        (lambda: layers.RandomTranslation(0, 0, interpolation="cubic", name="me"), "interpolation"),
        (lambda: layers.RandomTranslation(0, 0, fill_value=float("inf"), name="me"), "fill_value"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=f"'me'.*{message}"):
        make()


def test_wrong_inputs():
    for layer in (layers.RandomFlip(), layers.RandomTranslation(0.1, 0.1)):
        with pytest.raises(ShapeError, match="4 dimensions"):
            layer(IMAGES[0])
