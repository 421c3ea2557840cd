"""conv2d by Winograd's algorithm: where it is chosen, its error, and infinities that must not leave their place."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

from fastconv import config, ops
from fastconv._kernels import bfloat16, runtime
from fastconv.autograd import eager
from fastconv.errors import ShapeError
from fastconv.op import Spec
from fastconv.ops.conv2d import algorithm as choice

from .conftest import run_plan

CONVOLUTION = importlib.import_module("fastconv.ops.conv2d").OP
SAME = CONVOLUTION.attrs(padding="same")


@pytest.fixture(params=choice.EFFORT, ids="winograd_{0[0]}x{0[1]}".format)
def algorithm(request, monkeypatch):
    """Every size of tiles, for any number of channels that permits it."""
    monkeypatch.setattr(choice, "EFFORT", {request.param: 1.0})
    eager._plan.cache_clear()
    with config.precision("high"):
        yield "winograd_{}x{}".format(*request.param)
    eager._plan.cache_clear()


def forward(x, kernel, algorithm):
    assert ops.conv2d_algorithm(x.shape, kernel.shape, padding="same") == algorithm
    with np.errstate(all="ignore"):
        want = CONVOLUTION.reference({"x": x.astype("f8"), "kernel": kernel.astype("f8")}, SAME)["y"]
    return eager.forward(CONVOLUTION, {"x": x, "kernel": kernel}, SAME)["y"], want


@pytest.mark.parametrize(
    ("x", "kernel", "options", "highest", "high"),
    [
        ((1, 28, 28, 63), (3, 3, 63, 64), {"padding": "same"}, "winograd_2x2", "winograd_4x4"),
        ((1, 28, 28, 64), (3, 3, 64, 64), {"padding": "same"}, "winograd_2x4", "winograd_4x4"),
        ((1, 28, 28, 383), (3, 3, 383, 64), {"padding": "same"}, "winograd_2x4", "winograd_4x4"),
        ((1, 28, 28, 384), (3, 3, 384, 64), {"padding": "same"}, "winograd_4x4", "winograd_4x4"),
        ((1, 56, 48, 255), (3, 3, 255, 64), {"padding": "same"}, "winograd_2x4", "winograd_4x4"),
        ((1, 56, 48, 256), (3, 3, 256, 64), {"padding": "same"}, "winograd_4x4", "winograd_4x4"),
        ((None, 14, 14, 64), (3, 3, 64, 64), {"padding": "same"}, "winograd_2x2", "winograd_4x4"),
        ((None, 14, 14, 256), (3, 3, 256, 256), {"padding": "same"}, "winograd_2x4", "winograd_4x4"),
        ((None, 10, 10, 256), (3, 3, 256, 256), {"padding": "same"}, "winograd_2x2", "winograd_2x2"),
        ((None, 8, 8, 95), (3, 3, 95, 128), {"padding": "same"}, "winograd_2x2", "winograd_2x4"),
        ((None, 8, 8, 96), (3, 3, 96, 128), {"padding": "same"}, "winograd_2x4", "winograd_2x4"),
        (
            (None, 4, 4, 128),
            (3, 3, 128, 128),
            {"padding": "same"},
            "winograd_2x2",
            "winograd_2x2",
        ),  # read for 16 pixels
        ((None, 6, 6, 192), (3, 3, 192, 192), {"padding": "same"}, "winograd_2x2", "winograd_2x2"),  # 8 x 8
        ((None, 28, 28, 16), (3, 3, 16, 64), {"padding": "same"}, "winograd_2x2", "winograd_2x2"),
        ((None, 7, 7, 512), (3, 3, 512, 512), {"padding": "same"}, "winograd_2x2", "winograd_2x2"),  # 37.7 MB, 4 tiles
        ((None, 14, 14, 512), (3, 3, 512, 512), {"padding": "same"}, "winograd_4x4", "winograd_4x4"),
        ((None, 28, 28, 512), (3, 3, 512, 512), {"padding": "same"}, "winograd_4x4", "winograd_4x4"),
        ((None, 6, 6, 12), (3, 3, 12, 17), {}, "winograd_2x2", "winograd_2x2"),
        ((None, 5, 5, 512), (3, 3, 512, 512), {}, "direct", "direct"),  # 9 outputs
        ((None, 1, 99, 64), (3, 3, 64, 64), {"padding": "same"}, "direct", "direct"),  # half of a tile is waste
        ((None, 28, 28, 3), (3, 3, 3, 64), {}, "shallow", "shallow"),
        ((None, 28, 28, 64), (3, 3, 64, 10), {}, "direct", "direct"),
        ((None, 28, 28, 64), (3, 3, 64, 64), {"strides": 2}, "direct", "direct"),
        ((None, 28, 28, 64), (3, 3, 64, 64), {"dilation_rate": (1, 2)}, "direct", "direct"),
        ((None, 28, 28, 64), (3, 3, 32, 64), {"groups": 2}, "direct", "direct"),
        ((None, 28, 28, 64), (5, 5, 64, 64), {}, "direct", "direct"),
        ((None, 28, 28, 64), (3, 3, 1, 128), {"groups": 64}, "depthwise", "depthwise"),
    ],
)
def test_algorithm(x, kernel, options, highest, high):
    for precision, name in (("highest", highest), ("high", high)):
        with config.precision(precision):
            assert ops.conv2d_algorithm(x, kernel, **options) == name


@pytest.mark.parametrize(
    ("size", "channels", "algorithm"),
    [
        (7, 256, "direct"),
        (10, 256, "direct"),
        (8, 128, "winograd_2x4"),
        (14, 128, "winograd_4x4"),
        (14, 19, "winograd_2x2"),
    ],
)
def test_algorithm_of_medium(size, channels, algorithm):
    """Small maps are summed the plain way, of bfloat16, where there is that and the channels are even."""
    if not bfloat16.available():
        algorithm = {7: "winograd_2x4", 10: "winograd_2x2"}.get(size, algorithm)  # as under "high"
    with config.precision("medium"):
        x, kernel = (1, size, size, channels), (3, 3, channels, channels)
        assert ops.conv2d_algorithm(x, kernel, padding="same") == algorithm


@pytest.mark.parametrize(("word", "says"), [("0", "direct"), ("1", "winograd_2x4"), ("no", "must be 1")])
def test_environment(word, says):
    code = "from fastconv import ops; print(ops.conv2d_algorithm((1, 28, 28, 64), (3, 3, 64, 64)))"
    environment = {**os.environ, "FASTCONV_WINOGRAD": word}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
    assert says in done.stdout + done.stderr and (done.returncode != 0) == (word == "no")


def test_algorithm_without_winograd(monkeypatch):
    monkeypatch.setattr(choice, "WINOGRAD", False)
    assert ops.conv2d_algorithm((1, 28, 28, 64), (3, 3, 64, 64)) == "direct"


@pytest.mark.parametrize(
    ("x", "kernel", "options", "message"),
    [
        ((1, 2, 28, 64), (3, 3, 64, 64), {}, "larger than its input"),
        ((1, 8, 8, 6), (3, 3, 99, 6), {}, "reads 99 channels"),
        ((1, 8, 8, 6), (3, 3, 6, 6), {"groups": 4}, "must divide"),
        ((1, None, 8, 6), (3, 3, 6, 6), {}, "must be known"),
    ],
)
def test_algorithm_of_a_call_that_is_none(x, kernel, options, message):
    with pytest.raises(ShapeError, match=message):
        ops.conv2d_algorithm(x, kernel, **options)


def in_sequence(x, kernel):
    """Return the valid convolution of one image, summed in float32 one product after another."""
    rows, columns = x.shape[1] - 2, x.shape[2] - 2
    y = np.zeros((rows, columns, kernel.shape[3]), np.float32)
    for h in range(3):
        for w in range(3):
            seen = x[0, h : h + rows, w : w + columns]
            for c in range(x.shape[3]):
                y += seen[..., c : c + 1] * kernel[h, w, c]
    return y[None]


def errors(x, kernel):
    """Return (the errors of conv2d, those of summing in sequence): as a norm of y's, and the mean one over sum |x||w|."""
    attrs, wide = CONVOLUTION.attrs(), {"x": x.astype("f8"), "kernel": kernel.astype("f8")}
    want = CONVOLUTION.reference(wide, attrs)["y"]
    size = CONVOLUTION.reference({name: abs(array) for name, array in wide.items()}, attrs)["y"]
    got, simple = eager.forward(CONVOLUTION, {"x": x, "kernel": kernel}, attrs)["y"], in_sequence(x, kernel)
    return [
        (np.linalg.norm(y - want) / np.linalg.norm(want), np.sqrt(np.mean(((y - want) / size) ** 2)))
        for y in (got, simple)
    ]


def draw(channels, positive, seed=0, height=10):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1, height, height + 4, channels)).astype("f4")
    return np.maximum(x, 0) if positive else x, rng.standard_normal((3, 3, channels, 20)).astype("f4")


@pytest.mark.parametrize("positive", [False, True], ids=["normal", "after ReLU"])
@pytest.mark.parametrize("channels", [16, 64, 128, 256, 512])
def test_error_is_at_most_that_of_summing_in_sequence(channels, positive, isa):
    x, kernel = draw(channels, positive)
    side = "4x4" if channels >= 384 else "2x4" if channels >= 96 else "2x2"
    assert ops.conv2d_algorithm(x.shape, kernel.shape) == f"winograd_{side}"
    got, simple = errors(x, kernel)
    assert got[0] <= simple[0] and got[1] <= simple[1]


@pytest.mark.parametrize("positive", [False, True], ids=["normal", "after ReLU"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("side", [(2, 4), (4, 4)], ids="{0[0]}x{0[1]}".format)
def test_error_where_blocks_just_make_up_for_larger_tiles(side, large, seed, positive):
    """With a margin: what larger tiles add is made up for by what blocks of channels spare, from so many channels on."""
    channels, height, channels_of_small = choice.MIN_EXACT[side]
    x, kernel = draw(channels, positive, seed, height + 2) if large else draw(channels_of_small, positive, seed)
    assert ops.conv2d_algorithm(x.shape, kernel.shape) == "winograd_{}x{}".format(*side)
    got, simple = errors(x, kernel)
    assert got[0] <= 0.97 * simple[0] and got[1] <= 0.97 * simple[1]


@pytest.mark.parametrize("positive", [False, True], ids=["normal", "after ReLU"])
@pytest.mark.parametrize("channels", [20, 64, 129, 512])
def test_error_of_high(channels, positive, isa):
    x, kernel = draw(channels, positive)
    with config.precision("high"):
        assert ops.conv2d_algorithm(x.shape, kernel.shape) == "winograd_4x4"
        got, _ = errors(x, kernel)
    assert max(got) <= 1e-5


@pytest.mark.parametrize("channels", [20, 512])
def test_an_image_has_the_same_bits_in_any_company(channels, algorithm, isa):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((37, 8, 7, channels)).astype("f4")
    kernel = rng.standard_normal((3, 3, channels, 70)).astype("f4")
    together = eager.forward(CONVOLUTION, {"x": x, "kernel": kernel}, SAME)["y"]
    with config.num_threads(3):
        np.testing.assert_array_equal(eager.forward(CONVOLUTION, {"x": x, "kernel": kernel}, SAME)["y"], together)
    for n in (0, 36):
        alone = eager.forward(CONVOLUTION, {"x": x[n : n + 1], "kernel": kernel}, SAME)["y"]
        np.testing.assert_array_equal(alone, together[n : n + 1])


@pytest.mark.parametrize("shape", [(2, 8, 12, 24, 40), (1, 11, 15, 33, 70)])
def test_gradient_of_x_under_high(shape, isa):
    n, h, w, channels, outputs = shape
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((3, 3, channels, outputs)).astype("f4")
    dy = rng.standard_normal((n, h, w, outputs)).astype("f4")
    arrays, needs = {"x": np.zeros((n, h, w, channels), "f4"), "kernel": kernel, "y": dy, "dy": dy}, frozenset({"x"})
    wide = {name: array.astype("f8") for name, array in arrays.items()}
    want = CONVOLUTION.reference_backward(wide, SAME, needs)["dx"]
    with config.precision("high"):
        assert choice.winograd_side(outputs, channels, (h, w)) == (4, 4)
        got = eager.backward(CONVOLUTION, arrays, SAME, needs)["dx"]
    assert 0 < np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_input_reaches_its_receptive_field_and_nothing_else(value, algorithm, isa):
    """Also one that is finite, but not after the transforms."""
    x = np.random.default_rng(0).standard_normal((2, 9, 8, 20)).astype("f4")
    x[0, 4, 5, 19] = x[1, 0, 7, 0] = value
    y, want = forward(x, np.full((3, 3, 20, 33), 0.5, "f4"), algorithm)
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(want))
    np.testing.assert_allclose(y, want, rtol=1e-4)


def test_weight_reaches_its_channel_and_nothing_else(algorithm, isa):
    kernel = np.random.default_rng(0).random((3, 3, 20, 70), "f4")  # positive: no sum cancels
    kernel[1, 1, 7, 3], kernel[1, 1, 19, 69] = np.inf, 3e38
    y, want = forward(np.full((1, 8, 8, 20), 0.5, "f4"), kernel, algorithm)
    assert np.isinf(y[..., 3]).all()
    others = np.arange(70) != 3
    np.testing.assert_allclose(y[..., others], want[..., others], rtol=1e-4)


def dkernel_in_sequence(x, dy):
    """Return the gradient of the kernel of a valid convolution, summed in float32 one pixel after another."""
    _, rows, columns, outputs = dy.shape
    dkernel = np.zeros((3, 3, x.shape[3], outputs), np.float32)
    for n in range(len(x)):
        for i in range(rows):
            for j in range(columns):
                dkernel += x[n, i : i + 3, j : j + 3, :, None] * dy[n, i, j]
    return dkernel


@pytest.mark.parametrize("positive", [False, True], ids=["normal", "after ReLU"])
@pytest.mark.parametrize("shape", [(1, 6, 6), (2, 9, 16), (4, 14, 18), (16, 30, 17)])
def test_error_of_the_kernels_gradient(shape, positive, isa):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*shape, 18)).astype("f4")
    if positive:
        x = np.maximum(x, 0)
    n, h, w = shape
    dy = rng.standard_normal((n, h - 2, w - 2, 16)).astype("f4")
    attrs, arrays = CONVOLUTION.attrs(), {"x": x, "kernel": np.zeros((3, 3, 18, 16), "f4"), "y": dy, "dy": dy}
    assert ops.conv2d_algorithm(x.shape, arrays["kernel"].shape) == "winograd_2x2"
    needs, wide = frozenset({"kernel"}), {name: array.astype("f8") for name, array in arrays.items()}
    want = CONVOLUTION.reference_backward(wide, attrs, needs)["dkernel"]
    size = CONVOLUTION.reference_backward({name: abs(array) for name, array in wide.items()}, attrs, needs)["dkernel"]
    got, simple = eager.backward(CONVOLUTION, arrays, attrs, needs)["dkernel"], dkernel_in_sequence(x, dy)
    assert np.linalg.norm(got - want) <= np.linalg.norm(simple - want)
    assert np.linalg.norm((got - want) / size) <= np.linalg.norm((simple - want) / size)


def dkernel_of_a_huge_input():
    """Return (got, want) for an input that the transforms carry to infinity, while every product stays finite."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 26, 22, 18)).astype("f4"), rng.random((2, 24, 20, 16), "f4")
    x[1, 9, 8, 5] = 3e38
    attrs, arrays = CONVOLUTION.attrs(), {"x": x, "kernel": np.zeros((3, 3, 18, 16), "f4"), "y": dy, "dy": dy}
    needs, wide = frozenset({"kernel"}), {name: array.astype("f8") for name, array in arrays.items()}
    want = CONVOLUTION.reference_backward(wide, attrs, needs)["dkernel"]
    return eager.backward(CONVOLUTION, arrays, attrs, needs)["dkernel"], want


def test_gradient_of_the_kernel_repairs_what_overflows(isa):
    got, want = dkernel_of_a_huge_input()
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("step", ["repair_backward_kernel", "repair_sum_parts"])
def test_without_repairs_it_is_not_finite(step):
    """Zeroing what a repair writes shows, which the other mutations, whose results are finite, cannot tell."""
    with runtime.zeroed(step) as zeroed:
        got, want = dkernel_of_a_huge_input()
    assert zeroed.hits and not np.allclose(got, want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("inplace", [(), ("y",)], ids=["apart", "in place"])
def test_a_residual_survives_the_repair(inplace, algorithm, isa):
    """Tiles that are summed again read the residual where the result comes to lie."""
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.standard_normal((2, 9, 8, 20)).astype("f4"),
        "kernel": np.full((3, 3, 20, 33), 0.5, "f4"),
        "bias": rng.standard_normal(33).astype("f4"),
        "residual": rng.standard_normal((2, 9, 8, 33)).astype("f4"),
    }
    arrays["x"][0, 4, 5, 19] = 3e38
    specs = {name: Spec(array.shape) for name, array in arrays.items()}
    results = CONVOLUTION.infer(specs, SAME)
    want = CONVOLUTION.reference({name: array.astype("f8") for name, array in arrays.items()}, SAME)["y"]
    y = run_plan(CONVOLUTION.plan(specs, SAME), arrays, results, inplace=inplace)["y"]
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)
