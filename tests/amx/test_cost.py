"""Which layers the tile unit shall take, by the estimates of ops/_amx_cost.py: no unit, and no emulator, is needed."""

import pytest

from fastconv import config, ops
from fastconv._kernels import amx, runtime
from fastconv.ops import _amx, _amx_cost, _convolution
from fastconv.ops._amx_cost import Work
from fastconv.ops.conv2d import algorithm

pytestmark = pytest.mark.skipif("avx512" not in runtime.available(), reason="the choice is between AMX and AVX-512")

PRECISIONS = {"highest": 3, "high": 2, "medium": 1}


@pytest.fixture(autouse=True)
def as_if_there_were_tiles(monkeypatch):
    before = runtime.isa()
    runtime.select("avx512")
    monkeypatch.setattr(amx, "available", lambda: True)
    yield
    runtime.select(before)


# Size, channels of x and y, kernel, stride; then the precisions in which tiles are chosen.
LAYERS = {
    # ResNet-50. At "highest" its 3x3 layers with stride 1 stay with Winograd's algorithm in float32, which takes 2.25 to 4
    # times fewer products and is exact enough: six products of tiles run 2.3 times as fast as float32 at best.
    "stem": (224, 3, 64, 7, 2, "highest high medium"),
    "56 64-64": (56, 64, 64, 1, 1, "highest high"),
    "56 3x3 64": (56, 64, 64, 3, 1, "medium"),
    "56 64-256": (56, 64, 256, 1, 1, "highest high medium"),
    "56 256-64": (56, 256, 64, 1, 1, "highest high medium"),
    "56 256-512 s2": (56, 256, 512, 1, 2, "highest high medium"),
    "56 3x3 128 s2": (56, 128, 128, 3, 2, "highest high medium"),
    "28 3x3 128": (28, 128, 128, 3, 1, "medium"),
    "28 512-128": (28, 512, 128, 1, 1, "highest high medium"),
    "14 3x3 256": (14, 256, 256, 3, 1, "medium"),
    "14 256-1024": (14, 256, 1024, 1, 1, "highest high medium"),
    "14 1024-256": (14, 1024, 256, 1, 1, "highest high medium"),
    "14 3x3 512 s2": (14, 512, 512, 3, 2, "highest high medium"),
    "7 3x3 512": (7, 512, 512, 3, 1, "high medium"),
    "7 2048-512": (7, 2048, 512, 1, 1, "highest high medium"),
    # VGG-16. Of the first layer's 3x3x3 a kernel row fills 12 of the 32 elements that the unit multiplies.
    "224 3x3 3-64": (224, 3, 64, 3, 1, "high"),
    "224 3x3 64": (224, 64, 64, 3, 1, "medium"),
    "56 3x3 256": (56, 256, 256, 3, 1, "medium"),
    "14 3x3 512": (14, 512, 512, 3, 1, "medium"),
    # MobileNetV2: 1x1 layers of few channels are bound by memory, or by taking x apart.
    "224 3x3 3-32 s2": (224, 3, 32, 3, 2, ""),
    "112 32-16": (112, 32, 16, 1, 1, ""),
    "112 16-96": (112, 16, 96, 1, 1, ""),
    "56 24-144": (56, 24, 144, 1, 1, ""),  # 24 products are exact enough in float32 alone
    "56 144-24": (56, 144, 24, 1, 1, ""),
    "28 32-192": (28, 32, 192, 1, 1, "highest high medium"),
    "28 192-32": (28, 192, 32, 1, 1, "high"),
    "14 96-576": (14, 96, 576, 1, 1, "highest high medium"),
    "14 576-96": (14, 576, 96, 1, 1, "highest high medium"),
    "7 320-1280": (7, 320, 1280, 1, 1, "highest high medium"),
    # the tutorials' networks
    "CIFAR 32 3x3 3-32": (32, 3, 32, 3, 1, ""),
    "CIFAR 32 3x3 32": (32, 32, 32, 3, 1, "medium"),
    "CIFAR 16 3x3 64": (16, 64, 64, 3, 1, "medium"),
    "CIFAR 8 3x3 128": (8, 128, 128, 3, 1, "high medium"),  # beside F(2x4, 3x3)
    "MNIST 28 3x3 1-32": (28, 1, 32, 3, 1, ""),
    # others
    "AlexNet's stem": (224, 3, 64, 11, 4, "highest high medium"),
    "patches": (224, 3, 768, 16, 16, "highest high medium"),
    "5x5": (28, 32, 96, 5, 1, "highest high medium"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_choice_of_layers(name):
    size, channels, outputs, kernel, stride, expected = LAYERS[name]
    shapes = (8, size, size, channels), (kernel, kernel, channels, outputs)
    chosen = []
    for precision in PRECISIONS:
        with config.precision(precision):
            if ops.conv2d_algorithm(*shapes, strides=stride, padding="same").startswith("amx"):
                chosen.append(precision)
    assert " ".join(chosen) == expected


@pytest.mark.parametrize(
    ("shapes", "arguments", "expected"),
    [
        (((1, 28, 28, 128), (3, 3, 128, 128)), {"dilation_rate": 2}, "amx"),
        (((1, 28, 28, 1024), (3, 3, 32, 1024)), {"groups": 32, "strides": 2}, "direct"),
        (((1, 28, 28, 512), (3, 3, 128, 512)), {"groups": 4}, "amx"),
        (((1, 28, 28, 256), (3, 3, 16, 256)), {"groups": 16}, "direct"),
        (((1, 28, 28, 256), (3, 3, 8, 256)), {"groups": 32}, "grouped"),
        (((1, 56, 56, 144), (3, 3, 1, 144)), {"groups": 144}, "depthwise"),
        (((1, 8, 8, 8), (1, 1, 8, 64)), {}, "shallow"),
    ],
)
def test_choice_of_groups_and_dilation(shapes, arguments, expected):
    assert ops.conv2d_algorithm(*shapes, padding="same", **arguments) == expected


def test_choice_in_three_dimensions():
    attrs = _convolution.attributes("conv3d", 3, 1, "same", 1, 1, None)
    geometry = _convolution.geometry((1, 8, 28, 28, 64), (3, 3, 3, 64, 64), attrs)
    assert algorithm.choose(64, 64, geometry, attrs) == "amx"
    assert algorithm.choose(3, 64, geometry, attrs) == "shallow"


@pytest.mark.parametrize(
    ("inputs", "units", "expected"),
    [
        (128, 10, ""),
        (2048, 128, "highest high medium"),  # the CIFAR tutorial's
        (512, 1000, "high medium"),
        (2048, 1000, "medium"),
        (25088, 4096, "medium"),  # VGG-16's: three terms are more bytes than a float32
    ],
)
def test_choice_of_dense_layers(inputs, units, expected):
    chosen = []
    for precision in PRECISIONS:
        with config.precision(precision):
            if _amx.terms_of_product(inputs, units, _amx_cost.DENSE_ROWS):
                chosen.append(precision)
    assert " ".join(chosen) == expected


@pytest.mark.parametrize("size", [1024, 2048])
def test_choice_of_matrix_products(size):
    for precision, terms in PRECISIONS.items():
        with config.precision(precision):
            assert _amx.terms_of_product(size, size, _amx_cost.MATRIX_ROWS) == terms


# GFLOP/s of one core, measured by a trial on a machine with AMX at six, three and one products; of the last layer the trial
# computed 49 pixels as 64.
MEASURED_PIXELS = {
    (32, 32, 32): (297, 457, 1066),
    (56, 64, 64): (393, 630, 1298),
    (28, 128, 128): (450, 737, 1449),
    (14, 256, 256): (397, 668, 1769),
    (56, 256, 256): (423, 683, 1761),
}
MEASURED_ROWS = {
    (56, 64, 256): 366,
    (56, 256, 64): 255,
    (28, 128, 512): 454,
    (28, 512, 128): 354,
    (14, 256, 1024): 363,
    (14, 1024, 256): 356,
    (7, 2048, 512): 334,
    (32, 1024, 1024): 389,
}


@pytest.mark.parametrize("layer", MEASURED_PIXELS)
def test_estimates_of_convolutions(layer):
    size, depth, columns = layer
    work = Work(8 * size * size, depth, columns, taps=9, in_walk=False)
    for terms, measured in zip((3, 2, 1), MEASURED_PIXELS[layer], strict=True):
        assert 2 * 9 * depth * columns / _amx_cost.on_tiles(work, terms) == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize("layer", MEASURED_ROWS)
def test_estimates_of_products(layer):
    size, depth, columns = layer
    estimate = 2 * depth * columns / _amx_cost.on_tiles(Work(8 * size * size, depth, columns), 3)
    assert estimate == pytest.approx(MEASURED_ROWS[layer], rel=0.2)


def test_gradients_of_the_kernel():
    """Rows of tiles are channels, and the sum runs over pixels and the gaps between rows of the image."""
    wide, narrow = Work(8 * 56 * 56, 64, 64, 9), Work(8 * 56 * 56, 3, 64, 49)
    gives = _amx_cost.gives_gradient_faster
    assert gives(wide, 8 * 56 * 58 // 32, 3) and not gives(narrow, 8 * 56 * 58 // 32, 3)
    assert not gives(Work(8 * 7 * 7, 512, 512, 9), 8 * 9 * 9 * 4 // 32, 3, "winograd_2x2")
