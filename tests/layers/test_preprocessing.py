"""Rescaling, Resizing and Normalization: preprocessing as the first layers of a network."""

import numpy as np
import pytest

from fastconv import Input, Sequential, layers, models
from fastconv.errors import ArgumentError, DTypeError, NotBuiltError, ShapeError, UnsupportedOpError

from .conftest import check_layer, draw

IMAGES = draw(3, 9, 7, 4)
BYTES = np.random.default_rng(0).integers(0, 256, (3, 9, 7, 4)).astype("uint8")


# ---- Rescaling


@pytest.mark.parametrize("scale", [1 / 255, 2, [0.1, 0.2, 0.3, 0.4], np.array([[0.5], [1.0], [1.5], [2.0]] * 2)[:7]])
@pytest.mark.parametrize("offset", [0.0, -1, [0.0, 0.5, 1.0, 1.5]])
def test_rescaling(scale, offset, tmp_path):
    layer = layers.Rescaling(scale, offset)
    y = check_layer(layer, IMAGES, tmp_path=tmp_path)
    np.testing.assert_allclose(y, IMAGES * np.asarray(scale) + np.asarray(offset), rtol=1e-5, atol=1e-6)
    for training in (False, True):
        z = layer(BYTES, training=training)
        assert z.dtype == "float32"
        np.testing.assert_allclose(z.numpy(), BYTES * np.asarray(scale) + np.asarray(offset), rtol=1e-5, atol=1e-5)


# ---- Resizing


@pytest.mark.parametrize("options", [{}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}])
@pytest.mark.parametrize("how", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(5, 12), (9, 7), (18, 7), (4, 4)])
def test_resizing(size, how, options, tmp_path):
    layer = layers.Resizing(*size, how, fill_value=0.5, **options)
    y = check_layer(layer, IMAGES, tmp_path=tmp_path, rtol=1e-4)
    assert y.shape == (3, *size, 4)
    first = layers.Resizing(*size, how, fill_value=0.5, data_format="channels_first", **options)
    np.testing.assert_allclose(np.moveaxis(first(np.moveaxis(IMAGES, -1, 1)).numpy(), 1, -1), y, atol=1e-6)
    assert np.array_equal(layer(IMAGES[0]).numpy(), layer(IMAGES[:1]).numpy()[0])


def test_what_is_cut_and_what_is_padded():
    x = np.arange(4 * 8, dtype="float32").reshape(1, 4, 8, 1)
    cut = layers.Resizing(4, 4, crop_to_aspect_ratio=True)(x).numpy()
    assert np.array_equal(cut, x[:, :, 2:6])
    padded = layers.Resizing(8, 8, pad_to_aspect_ratio=True, fill_value=-1)(x).numpy()
    assert np.array_equal(padded, np.pad(x, ((0, 0), (2, 2), (0, 0), (0, 0)), constant_values=-1))
    assert np.array_equal(layers.Resizing(4, 8)(x).numpy(), x)


def test_antialias_takes_every_pixel():
    x = np.zeros((1, 8, 8, 1), "float32")
    x[0, 0, 0] = 64
    assert layers.Resizing(2, 2)(x).numpy().max() == 0
    for how in ("bilinear", "bicubic"):
        assert layers.Resizing(2, 2, how, antialias=True)(x).numpy()[0, 0, 0, 0] > 1


@pytest.mark.parametrize("options", [{}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}])
def test_images_of_any_size(options):
    model = Sequential([Input((None, None, 3)), layers.Resizing(6, 5, **options), layers.Conv2D(2, 3)])
    assert model.output_shape == (None, 4, 3, 2)
    for shape in ((2, 9, 4, 3), (1, 3, 20, 3)):
        x = draw(*shape)
        np.testing.assert_allclose(model.predict(x, verbose=0), model(x).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", ["lanczos3", "lanczos5"])
def test_interpolation_that_is_missing(how):
    with pytest.raises(UnsupportedOpError, match=f"'me'.*interpolation='{how}' is not yet supported, only"):
        layers.Resizing(4, 4, how, name="me")


# ---- Normalization

AXES = [-1, 1, [1, 2], (3, 1), None, (), [1, 2, 3]]


def statistics(x, axis):
    kept = [axis] if isinstance(axis, int) else axis or ()
    kept = {a % x.ndim for a in kept}
    others = tuple(i for i in range(x.ndim) if i not in kept)
    return x.astype("float64").mean(others, keepdims=True), x.astype("float64").std(others, keepdims=True)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("invert", [False, True])
def test_normalization(axis, invert, tmp_path):
    layer = layers.Normalization(axis, invert=invert)
    layer.adapt(IMAGES * 5 + 3)
    y = check_layer(layer, IMAGES, tmp_path=tmp_path)
    mean, deviation = statistics(IMAGES * 5 + 3, axis)
    want = IMAGES * deviation + mean if invert else (IMAGES - mean) / deviation
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)
    assert layer.trainable_weights == [] and len(layer.weights) == 3


def test_numbers_that_are_given(tmp_path):
    y = check_layer(layers.Normalization(mean=1.0, variance=4.0), IMAGES, tmp_path=tmp_path)
    np.testing.assert_allclose(y, (IMAGES - 1) / 2, rtol=1e-6)
    mean, variance = np.arange(4.0), np.arange(1.0, 5.0)
    layer = layers.Normalization(axis=(1, -1), mean=mean, variance=variance)
    y = check_layer(layer, IMAGES, tmp_path=tmp_path)
    np.testing.assert_allclose(y, (IMAGES - mean) / np.sqrt(variance), rtol=1e-5, atol=1e-6)
    assert layer.weights == [] and layer.get_config()["mean"] == mean.tolist()


def test_adapt_to_batches():
    """In whatever parts the data come, also an array that is looked at in parts."""
    data = np.random.default_rng(1).uniform(90, 110, (2500, 5, 3)).astype("float32")
    wanted = data.astype("float64").mean((0, 1)), data.astype("float64").var((0, 1))
    parts = np.split(data, [7, 8, 1300])
    for given in (
        data,
        parts,
        iter(parts),
        [(part, None) for part in parts],
        ((p, 1, 2) for p in parts),
        [data.tolist()[:1250], data[1250:]],
    ):
        layer = layers.Normalization()
        layer.adapt(given)
        np.testing.assert_allclose(layer.mean.numpy(), wanted[0], rtol=1e-6)
        np.testing.assert_allclose(layer.variance.numpy(), wanted[1], rtol=1e-5)
    layer.adapt(BYTES[..., 0].reshape(3, 21, 3))  # again: what was is forgotten
    np.testing.assert_allclose(layer.mean.numpy(), BYTES[..., 0].reshape(-1, 3).mean(0), rtol=1e-6)


def test_what_is_constant_becomes_zero():
    layer = layers.Normalization()
    layer.adapt(np.full((4, 2), 3.0))
    assert not layer(np.full((4, 2), 3.0)).numpy().any()


def test_a_program_takes_what_adapt_found(tmp_path):
    layer = layers.Normalization()
    model = Sequential([Input((9, 7, 4)), layer, layers.Conv2D(2, 3)])
    before = model.predict(IMAGES, verbose=0)
    layer.adapt(BYTES)
    after = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(after, model(IMAGES).numpy(), rtol=1e-4, atol=1e-5)
    assert not np.allclose(before, after)
    model.save(tmp_path / "m.fastconv")
    assert np.array_equal(models.load_model(tmp_path / "m.fastconv").predict(IMAGES, verbose=0), after)


def test_data_that_do_not_fit():
    layer = layers.Normalization(name="me")
    for wrong, error in (("text", DTypeError), (3, DTypeError), ([], ArgumentError), (np.array(["a"]), DTypeError)):
        with pytest.raises(error, match="'me'.*adapt"):
            layer.adapt(wrong)
    layer.adapt(IMAGES)
    for wrong in (IMAGES[..., :3], IMAGES[0]):
        with pytest.raises(ShapeError, match=r"fit \(1, 1, 1, 4\)"):
            layer.adapt(wrong)
        with pytest.raises(ShapeError, match=r"'me'.*fit \(1, 1, 1, 4\)"):
            layer(wrong)
    with pytest.raises(ArgumentError, match="'me'.*overwrite"):
        layers.Normalization(mean=1, variance=1, name="me").adapt(IMAGES)
    with pytest.raises(NotBuiltError):
        layers.Normalization().count_params()
    with pytest.raises(ShapeError, match="must be known"):
        layers.Normalization(axis=1)(Input((None, 4)))
    with pytest.raises(ShapeError, match=r"shape \(3,\) does not broadcast to \(4,\)"):
        layers.Normalization(mean=[1, 2, 3], variance=[1, 2, 3])(IMAGES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Rescaling("x", name="me"), "scale must"),
        (lambda: layers.Rescaling(None, name="me"), "scale must"),
        (lambda: layers.Rescaling(1.0, [[1.0], [2.0, 3.0]], name="me"), "offset must"),
        (lambda: layers.Resizing(0, 3, name="me"), "height"),
        (lambda: layers.Resizing(3, 2.5, name="me"), "width"),
        (lambda: layers.Resizing(3, 3, "cubic", name="me"), "interpolation must be one of"),
        (lambda: layers.Resizing(3, 3, fill_mode="reflect", name="me"), "fill_mode"),
        (lambda: layers.Resizing(3, 3, fill_value=None, name="me"), "fill_value"),
        (lambda: layers.Resizing(3, 3, data_format="NCHW", name="me"), "data_format"),
        (
            lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True, name="me"),
            "either crop_to_aspect_ratio or pad_to_aspect_ratio",
        ),
        (lambda: layers.Normalization("x", name="me"), "axis"),
        (lambda: layers.Normalization(mean=1.0, name="me"), "both mean and variance"),
        (lambda: layers.Normalization(mean=[1.0], variance=1.0, name="me"), "one shape"),
        (lambda: layers.Normalization(mean=[[1.0]], variance=[[1.0]], name="me"), "at most 1 axes"),
        (lambda: layers.Normalization(mean="a", variance="b", name="me"), "mean must"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=f"'me'.*{message}"):
        make()
