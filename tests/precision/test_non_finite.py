"""NaN, infinities and numbers that some algorithm cannot hold: every mode has them where IEEE float32 has, nowhere else."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import ops

from . import sums
from .conftest import over_isas
from .problems import Convolution

MODES = pytest.mark.parametrize("mode", fc.config.PRECISIONS)
VALUES = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "-inf"])
LAYERS = pytest.mark.parametrize(
    "layer",
    [
        Convolution(2, 13, 3, 32, 3),
        Convolution(2, 15, 1, 40, 3, strides=2),
        Convolution(2, 17, 3, 64, 7, strides=2),
        Convolution(2, 13, 16, 24, 3),
        Convolution(2, 13, 64, 64, 3),
        Convolution(2, 9, 256, 256, 3),
        Convolution(2, 8, 64, 48, 1),
        Convolution(2, 9, 20, 33, 5),
        Convolution(2, 13, 32, 32, 3, strides=2),
        Convolution(2, 13, 32, 32, 3, dilation_rate=2),
        Convolution(2, 11, 64, 64, 3, groups=8),
        Convolution(2, 11, 48, 48, 3, groups=48),
    ],
    ids=lambda layer: (
        f"{layer.kernel}x{layer.kernel}x{layer.channels}-{layer.strides}-{layer.dilation_rate}-{layer.groups}"
    ),
)


def drawn(layer):
    """Return x, kernel and dy of a layer, normal numbers."""
    rng = np.random.default_rng(0)
    shapes = layer.x_shape, layer.kernel_shape, layer.y_shape
    return [rng.standard_normal(shape).astype("f4") for shape in shapes]


def forward(layer, x, kernel, mode):
    with fc.precision(mode):
        return ops.conv2d(x, kernel, **layer.options).numpy()


def dx(layer, dy, kernel, mode):
    x = fc.tensor(np.zeros(layer.x_shape, "f4"), requires_grad=True)
    with fc.precision(mode):
        ops.conv2d(x, kernel, **layer.options).backward(dy)
    return x.grad.numpy()


def where_seen(layer, shape, index):
    """Return a mask of the outputs whose own receptive field holds the element of x at `index`."""
    x = np.zeros(shape, "f4")
    x[index] = 1
    return ops.conv2d(x, np.ones(layer.kernel_shape, "f4"), **layer.options).numpy() != 0


@over_isas
@MODES
@VALUES
@LAYERS
def test_an_input_reaches_what_sees_it_and_nothing_else(layer, value, mode, isa):
    x, kernel, _ = drawn(layer)
    index = 0, layer.size // 2, layer.size // 2 + 1, layer.channels // 3
    before = forward(layer, x, kernel, mode)
    seen = where_seen(layer, x.shape, index)
    x[index] = value
    y = forward(layer, x, kernel, mode)
    assert seen.any() and not np.isfinite(y[seen]).any()
    assert np.isfinite(y[~seen]).all()
    if np.isinf(value):  # one infinite product among finite ones: no NaN
        assert np.isinf(y[seen]).all()
    # What shares a tile may be computed another way; another image may not.
    np.testing.assert_array_equal(y[1], before[1])
    limit = np.abs(before).max() * (1e-5 if mode != "medium" else 0.02)
    assert np.abs(y[~seen] - before[~seen]).max() <= limit


@over_isas
@MODES
@VALUES
@LAYERS
def test_a_weight_reaches_its_channel_and_nothing_else(layer, value, mode, isa):
    x, kernel, _ = drawn(layer)
    before = forward(layer, x, kernel, mode)
    channel, middle = layer.outputs // 2, layer.kernel // 2
    kernel[middle, middle, 0, channel] = value
    y = forward(layer, x, kernel, mode)
    others = np.arange(layer.outputs) != channel
    assert not np.isfinite(y[..., channel]).any()
    np.testing.assert_allclose(y[..., others], before[..., others], atol=np.abs(before).max() * 1e-5, rtol=0)


@over_isas
@MODES
@VALUES
@LAYERS
def test_a_gradient_reaches_its_pixels_and_nothing_else(layer, value, mode, isa):
    _, kernel, dy = drawn(layer)
    index = 0, layer.out // 2, layer.out // 2, 1
    one = np.zeros_like(dy)
    one[index] = 1
    reached = dx(layer, one, kernel, "highest") != 0
    before = dx(layer, dy, kernel, mode)
    dy[index] = value
    got = dx(layer, dy, kernel, mode)
    assert reached.any() and not np.isfinite(got[reached]).any()
    assert np.isfinite(got[~reached]).all()
    np.testing.assert_array_equal(got[1], before[1])


@over_isas
@MODES
@pytest.mark.parametrize("value", [1e30, 1e6, 3.4e38], ids=str)
@LAYERS
def test_an_output_is_exact_to_what_it_sees(layer, value, mode, isa):
    """One large input leaves the outputs that do not see it as they are: errors are relative to an output's own inputs."""
    x, kernel, _ = drawn(layer)
    kernel = kernel / 64
    index = 0, layer.size // 2, layer.size // 2 + 1, 0
    exact = ops.conv2d(x.astype("f8"), kernel.astype("f8"), **layer.options).numpy()
    size = ops.conv2d(abs(x).astype("f8"), abs(kernel).astype("f8"), **layer.options).numpy()
    seen = where_seen(layer, x.shape, index)
    x[index] = value
    y = forward(layer, x, kernel, mode)
    assert np.isfinite(y).all()
    error = (np.abs(y - exact) / size)[~seen]
    length = layer.kernel**2 * layer.channels // layer.groups
    bound = {"highest": (4 + length**0.5) * 2**-24, "high": 1e-4, "medium": 2**-7}[mode]
    assert error.max() <= bound, error.max() / bound


@over_isas
@MODES
def test_products_by_row(mode, isa):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((60, 300)).astype("f4"), rng.standard_normal((300, 70)).astype("f4")
    a[3, 5], a[40, 299], b[17, 8] = np.nan, np.inf, -np.inf
    with fc.precision(mode):
        y = ops.matmul(a, b).numpy()
    want = sums.exact(a[None], b[None])[0]
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(want))
    np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
    np.testing.assert_array_equal(np.isposinf(y), np.isposinf(want))


@over_isas
@MODES
def test_what_rounding_to_fewer_bits_would_carry_to_infinity(mode, isa):
    """The largest floats are infinite in bfloat16; their products with small weights are not."""
    largest = np.finfo("f4").max
    x, kernel = np.full((2, 8, 8, 32), largest, "f4"), np.full((3, 3, 32, 48), 1e-6, "f4")
    x[1] = 1
    layer = Convolution(2, 8, 32, 48, 3)
    y = forward(layer, x, kernel, mode)
    exact = ops.conv2d(x.astype("f8"), kernel.astype("f8"), **layer.options).numpy()
    np.testing.assert_allclose(y, exact, rtol=0.01)
    with fc.precision(mode):
        product = ops.matmul(x[0].reshape(64, 32), kernel[0, 0]).numpy()
    np.testing.assert_allclose(product, np.float64(largest) * np.float32(1e-6) * 32, rtol=0.01)
