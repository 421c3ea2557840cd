"""Resizing against PyTorch, and what the registry cannot know of it."""

import numpy as np
import pytest

import fastconv
from fastconv import layers, ops
from fastconv.errors import ArgumentError, FastconvError


def interpolate(x, **options):
    """Return what PyTorch makes of (N, ..., C)."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install torch)")
    y = torch.nn.functional.interpolate(torch.from_numpy(np.moveaxis(x, -1, 1).copy()), **options)
    return np.moveaxis(y.numpy(), 1, -1)


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("size", [(7, 9), (3, 4), (10, 12), (20, 5)])
@pytest.mark.parametrize(
    ("torch_mode", "ours"),
    [
        ({"mode": "nearest"}, {"coordinates": "asymmetric", "rounding": "floor"}),
        ({"mode": "nearest-exact"}, {"rounding": "round_prefer_ceil"}),
        ({"mode": "bilinear"}, {"mode": "linear"}),
        ({"mode": "bilinear", "align_corners": True}, {"mode": "linear", "coordinates": "align_corners"}),
        ({"mode": "bilinear", "antialias": True}, {"mode": "linear", "antialias": True, "exclude_outside": True}),
        ({"mode": "bicubic"}, {"mode": "cubic"}),
        ({"mode": "bicubic", "align_corners": True}, {"mode": "cubic", "coordinates": "align_corners"}),
    ],
    ids=str,
)
def test_against_torch(size, torch_mode, ours):
    x = images(2, 5, 6, 3)
    want = interpolate(x, size=size, **torch_mode)
    np.testing.assert_allclose(ops.resize(x, size, **ours).numpy(), want, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shape", [(2, 5, 3), (1, 3, 4, 5, 2)])
def test_sequences_and_volumes(shape):
    x = images(*shape)
    y = ops.resize(x, scale=[2] * (x.ndim - 2), mode="linear").numpy()
    mode = {1: "linear", 3: "trilinear"}[x.ndim - 2]
    np.testing.assert_allclose(y, interpolate(x, scale_factor=2, mode=mode), rtol=1e-5, atol=2e-6)


def test_whole_factors_repeat_pixels_in_one_step():
    x = images(2, 3, 4, 5)
    want = x.repeat(2, 1).repeat(3, 2)
    np.testing.assert_array_equal(ops.resize(x, (6, 12)).numpy(), want)
    np.testing.assert_array_equal(ops.upsample(x, (2, 3)).numpy(), want)


def test_axes_anywhere():
    x = images(2, 3, 5, 6)
    ours = ops.resize(x, (4, 11), mode="linear", axes=(2, 3)).numpy()
    want = ops.resize(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), (4, 11), mode="linear").numpy()
    np.testing.assert_allclose(ours, want.transpose(0, 3, 1, 2), rtol=1e-6, atol=1e-6)


def test_a_region():
    x = np.arange(5, dtype="float32").reshape(1, 5, 1)
    y = ops.resize(x, (3,), mode="linear", coordinates="tf_crop_and_resize", region=[(0.25, 0.75)])
    np.testing.assert_allclose(y.numpy().ravel(), [1, 2, 3])


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_layer(interpolation):
    x = images(2, 4, 5, 3)
    y = layers.UpSampling2D((2, 3), interpolation=interpolation)(x).numpy()
    assert y.shape == (2, 8, 15, 3)
    mode = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}[interpolation]
    want = ops.resize(x, (8, 15), mode=mode, cubic_coefficient=-0.5, exclude_outside=mode == "cubic").numpy()
    np.testing.assert_array_equal(y, want)
    with pytest.raises(ArgumentError, match="bicubic"):
        layers.UpSampling2D(interpolation="lanczos7")


def test_errors():
    x = images(1, 3, 3, 2)
    for arguments in [
        {},
        {"size": (3,)},
        {"size": (0, 3)},
        {"scale": (0.1, 1)},
        {"scale": (-1, 1)},
        {"scale": (float("nan"), 1)},
        {"size": (3, 3), "mode": "lanczos"},
        {"size": (3, 3), "coordinates": "corner"},
        {"size": (3, 3), "rounding": "up"},
        {"size": (3, 3), "axes": (1, 1)},
        {"size": (3, 3), "axes": (1, 4)},
    ]:
        with pytest.raises(FastconvError):
            ops.resize(x, **arguments)
    for indices, axis in [([3], 1), ([-4], 1), ([0], 4)]:
        with pytest.raises(FastconvError):
            ops.take(x, indices, axis)


def test_take_of_other_types():
    x = np.arange(24).reshape(2, 3, 4)
    for dtype in ("int64", "uint8", "int32"):
        y = ops.take(fastconv.tensor(x.astype(dtype)), [2, -3, 2, 1], axis=1)
        np.testing.assert_array_equal(y.numpy(), x[:, [2, 0, 2, 1]])
