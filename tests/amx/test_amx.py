"""Products on the tile unit: their error, odd values, what bits depend on. tools/emulate_amx runs them where no CPU has it."""

import importlib
import io

import numpy as np
import pytest

import fastconv
from fastconv import config, ops, shapes
from fastconv._kernels import runtime
from fastconv.autograd import eager
from fastconv.ops import _amx, _amx_cost

from .emulation import counts
from .model import flush, in_sequence

pytestmark = pytest.mark.skipif(
    "amx" not in runtime.available(), reason="no tile unit, and no emulator of it: tools/emulate_amx"
)

CONVOLUTION = importlib.import_module("fastconv.ops.conv2d").OP
SAME = CONVOLUTION.attrs(padding="same")


@pytest.fixture(autouse=True)
def on_tiles(monkeypatch):
    before = runtime.isa()
    runtime.select("amx")
    monkeypatch.setattr(_amx, "LEAST_SUM", 0)
    for name in ("is_faster", "gives_gradient_faster"):
        monkeypatch.setattr(_amx_cost, name, lambda *_: True)
    yield
    runtime.select(before)


def errors(got, a, b):
    """Return both error measures: of the whole, and of each element relative to the magnitudes that were added."""
    a, b = flush(a).astype("f8"), flush(b).astype("f8")
    want, size = a @ b, abs(a) @ abs(b)
    each = (got - want)[size > 0] / size[size > 0]
    return np.linalg.norm(got - want) / np.linalg.norm(want), np.sqrt(np.mean(each**2))


def normal(rng, shape):
    return rng.standard_normal(shape).astype("f4")


def after_relu(rng, shape):
    return np.maximum(normal(rng, shape), 0)


def spread(low, high):
    def draw(rng, shape):
        return (np.sign(rng.standard_normal(shape)) * 10.0 ** rng.uniform(low, high, shape)).astype("f4")

    return draw


DRAWS = {
    "normal": normal,
    "after ReLU": after_relu,
    "1e-30 to 1e30": spread(-30, 30),
    "1e-8 to 1e8": spread(-8, 8),
    "small": spread(-37, -33),
    "around the denormals": spread(-40, -36),
    "large": spread(30, 36),
}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("depth", [9, 16, 27, 32, 64, 147, 576, 4608])
def test_highest_is_never_worse_than_summing_in_sequence(depth, draw, monkeypatch):
    """Where it is chosen, from a depth of 27 on."""
    monkeypatch.undo()
    runtime.select("amx")
    monkeypatch.setattr(_amx_cost, "is_faster", lambda *_: True)
    assert (_amx.terms(depth, 32) == 3) == (depth >= 27)
    rng = np.random.default_rng(depth)
    a, b = DRAWS[draw](rng, (33, depth)), normal(rng, (depth, 32)) / 64
    got, simple = ops.matmul(a, b).numpy(), in_sequence(a, b)
    assert np.isfinite(got).all()
    for ours, theirs in zip(errors(got, a, b), errors(simple, a, b), strict=True):
        assert ours <= theirs


@pytest.mark.parametrize("draws", [("1e-8 to 1e8", "1e-8 to 1e8"), ("small", "large"), ("normal", "1e-30 to 1e30")])
def test_highest_where_both_operands_are_spread(draws):
    rng = np.random.default_rng(0)
    a, b = DRAWS[draws[0]](rng, (33, 200)), DRAWS[draws[1]](rng, (200, 34))
    got, simple = ops.matmul(a, b).numpy(), in_sequence(a, b)
    for ours, theirs in zip(errors(got, a, b), errors(simple, a, b), strict=True):
        assert ours <= theirs


@pytest.mark.parametrize(("mode", "bound"), [("high", 1e-5), ("medium", 4e-3)])
@pytest.mark.parametrize("draw", ["normal", "after ReLU"])
@pytest.mark.parametrize("depth", [32, 576, 4608])
def test_modes(depth, draw, mode, bound):
    rng = np.random.default_rng(depth)
    a, b = DRAWS[draw](rng, (33, depth)), normal(rng, (depth, 34))
    with config.precision(mode):
        got = ops.matmul(a, b).numpy()
    assert max(errors(got, a, b)) <= bound
    assert errors(got, a, b)[0] > bound / 100, "another mode ran"


@pytest.mark.parametrize("size", [(7, 7), (8, 8), (14, 14), (5, 40)])
def test_convolution_is_never_worse_than_summing_in_sequence(size):
    rng = np.random.default_rng(0)
    x, kernel = after_relu(rng, (2, *size, 48)), normal(rng, (3, 3, 48, 40))
    assert ops.conv2d_algorithm(x.shape, kernel.shape, padding="same") == "amx"
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    a, b = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 9 * 48), kernel.reshape(-1, 40)
    got, simple = ops.conv2d(x, kernel, padding="same").numpy().reshape(-1, 40), in_sequence(a, b)
    for ours, theirs in zip(errors(got, a, b), errors(simple, a, b), strict=True):
        assert ours <= theirs


NONE = ((0, 0), (0, 0))
STEMS = {
    # size, channels of x, kernel, strides, padding
    "ResNet": ((30, 37), 3, (7, 7), (2, 2), "same"),
    "patches": ((32, 48), 3, (16, 16), (16, 16), NONE),
    "AlexNet": ((39, 43), 3, (11, 11), (4, 4), NONE),
    "a long row": ((9, 70), 10, (2, 4), (1, 1), ((1, 0), (0, 3))),
}


def stem(name, images=2, draw=normal):
    """Return x, kernel, the arguments of ops.conv2d, and the product that it is: windows and a matrix."""
    size, channels, kernel_size, strides, padding = STEMS[name]
    rng = np.random.default_rng(0)
    x, kernel = draw(rng, (images, *size, channels)), normal(rng, (*kernel_size, channels, 70)) / 16
    arguments = {"strides": strides, "padding": padding}
    numbers = shapes.resolve_padding(padding, size, kernel_size, strides, (1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), *numbers, (0, 0))), kernel_size, (1, 2))
    windows = windows[:, :: strides[0], :: strides[1]].transpose(0, 1, 2, 4, 5, 3)
    return x, kernel, arguments, (windows.reshape(-1, kernel[..., 0].size), kernel.reshape(-1, 70))


@pytest.mark.parametrize("name", STEMS)
def test_first_layer_is_never_worse_than_summing_in_sequence(name):
    x, kernel, arguments, (a, b) = stem(name, draw=after_relu)
    assert ops.conv2d_algorithm(x.shape, kernel.shape, **arguments) == "amx_shallow"
    got, simple = ops.conv2d(x, kernel, **arguments).numpy().reshape(-1, 70), in_sequence(a, b)
    for ours, theirs in zip(errors(got, a, b), errors(simple, a, b), strict=True):
        assert ours <= theirs


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e37])
@pytest.mark.parametrize("name", STEMS)
def test_first_layer_with_an_odd_value(name, value):
    """It reaches the outputs that see it, not those beside, and the bits of all others stay."""
    x, kernel, arguments, _ = stem(name)
    planted = x.copy()
    planted[0, 13 % x.shape[1], 20, -1] = planted[1, 0, 0, 0] = planted[1, -1, -1, -1] = value
    plain, got = (ops.conv2d(array, kernel, **arguments).numpy() for array in (x, planted))
    x = (np.isnan(planted) | (abs(planted) > 1e30)).astype("f4")
    reached = ops.conv2d(x, np.ones_like(kernel), **arguments).numpy()[..., 0] > 0
    assert 0 < reached.sum() < reached.size
    np.testing.assert_array_equal(got[~reached], plain[~reached])
    with np.errstate(all="ignore"):
        want = CONVOLUTION.reference({"x": planted, "kernel": kernel}, CONVOLUTION.attrs(**arguments))["y"]
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("images", [1, 8])
@pytest.mark.parametrize(("size", "kernel"), [(7, 3), (8, 3), (7, 1), (8, 1), (14, 3)])
def test_small_maps_waste_next_to_nothing(size, kernel, images):
    """A tile takes a cycle for each of its rows: those beyond the wanted outputs are at most a tenth."""
    rng = np.random.default_rng(0)
    x, weights = normal(rng, (images, size, size, 64)), normal(rng, (kernel, kernel, 64, 64))
    before = counts()
    ops.conv2d(x, weights, padding="same")
    after = counts()
    if before is None or before["products"] == after["products"]:
        pytest.skip("the unit itself counts nothing")
    # Six products of each tap, two blocks of channels, and four tiles of sixteen columns.
    useful = images * size * size * kernel * kernel * 6 * 2 * 4
    assert useful <= after["product_rows"] - before["product_rows"] <= 1.1 * useful


def dkernel(x, dy, kernel=(3, 3)):
    """Return the gradient of the kernel of a convolution with padding "same"."""
    arrays = {"x": x, "kernel": np.zeros((*kernel, x.shape[-1], dy.shape[-1]), "f4"), "y": dy, "dy": dy}
    return eager.backward(CONVOLUTION, arrays, SAME, frozenset({"kernel"}))["dkernel"]


@pytest.mark.parametrize("shape", [(1, 7, 7), (9, 8, 8), (2, 14, 14), (1, 20, 31)])
def test_gradient_of_the_kernel_is_never_worse_than_summing_in_sequence(shape):
    rng = np.random.default_rng(0)
    x, dy = after_relu(rng, (*shape, 20)), normal(rng, (*shape, 33))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    a, b = windows.transpose(4, 5, 3, 0, 1, 2).reshape(9 * 20, -1), dy.reshape(-1, 33)
    got, simple = dkernel(x, dy).reshape(-1, 33), in_sequence(a, b)
    for ours, theirs in zip(errors(got, a, b), errors(simple, a, b), strict=True):
        assert ours <= theirs


# ---- odd values


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4e38, 1e-36])
def test_input_reaches_its_receptive_field_and_nothing_else(value):
    """Also one whose rounding is infinite; and the bits of all other pixels stay."""
    rng = np.random.default_rng(0)
    x, kernel = normal(rng, (2, 9, 8, 40)), abs(normal(rng, (3, 3, 40, 33))) / 64
    planted = x.copy()
    planted[0, 4, 5, 39] = planted[1, 0, 7, 0] = value
    plain, got = (ops.conv2d(array, kernel, padding="same").numpy() for array in (x, planted))
    with np.errstate(all="ignore"):
        want = CONVOLUTION.reference({"x": planted, "kernel": kernel}, SAME)["y"]
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    reached = np.zeros(x.shape[:3], bool)
    reached[0, 3:6, 4:7] = reached[1, :2, 6:] = True
    np.testing.assert_array_equal(got[~reached], plain[~reached])


def test_weight_reaches_its_panel_and_nothing_else():
    rng = np.random.default_rng(0)
    x, kernel = abs(normal(rng, (1, 8, 8, 40))), normal(rng, (3, 3, 40, 70))
    plain = ops.conv2d(x, kernel, padding="same").numpy()
    kernel[1, 1, 7, 3] = np.inf
    got = ops.conv2d(x, kernel, padding="same").numpy()
    assert np.isinf(got[..., 3]).all()
    np.testing.assert_array_equal(got[..., 32:], plain[..., 32:])
    others = [c for c in range(32) if c != 3]
    np.testing.assert_allclose(got[..., others], plain[..., others], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e37, 1e-36])
def test_gradient_of_the_kernel_with_an_odd_value(value):
    """In an image of its own part: only its channel, and the taps that read it, may see it."""
    rng = np.random.default_rng(0)
    x, dy = normal(rng, (9, 5, 6, 20)), abs(normal(rng, (9, 5, 6, 40)))
    plain = dkernel(x, dy)
    x[7, 0, 3, 5] = value
    if value == 1e-36:
        x[..., 5] = value
    got = dkernel(x, dy)
    with np.errstate(all="ignore"):
        wide = {"x": x.astype("f8"), "dy": dy.astype("f8"), "y": dy, "kernel": np.zeros((3, 3, 20, 40))}
        want = CONVOLUTION.reference_backward(wide, SAME, frozenset({"kernel"}))["dkernel"]
    tolerance = {"atol": 9 * np.finfo("f4").tiny} if value == 1e-36 else {"atol": 1e-3}  # of denormals, each is flushed
    np.testing.assert_allclose(got[:, :, 5], want[:, :, 5], rtol=1e-5, **tolerance)
    others = [c for c in range(20) if c != 5]
    np.testing.assert_array_equal(got[:, :, others], plain[:, :, others])


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 1e-40, 0])
def test_operands_of_one_value(value):
    a, b = np.full((40, 50), value, "f4"), np.full((50, 40), 0.5, "f4")
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(ops.matmul(a, b).numpy(), in_sequence(a, b))


def test_a_residual_survives_what_is_summed_again():
    rng = np.random.default_rng(0)
    x, kernel, bias, residual = normal(rng, (33, 40)), normal(rng, (40, 35)), normal(rng, 35), normal(rng, (33, 35))
    x[7, 3] = 1e37
    got = ops.dense(x, kernel, bias, activation="relu", residual=residual).numpy()
    want = np.maximum(x.astype("f8") @ kernel + residual + bias, 0)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


# ---- what the bits depend on


def run(name, batch):
    rng = np.random.default_rng(0)
    x, kernel = normal(rng, (5, 11, 7, 40)), normal(rng, (3, 3, 40, 70))
    dy = normal(rng, (5, 11, 7, 70))
    if name == "forward":
        return ops.conv2d(x[batch], kernel, padding="same").numpy()
    if name == "first layer":
        return ops.conv2d(x[batch, ..., :3], kernel[:, :, :3], padding="same").numpy()
    if name == "backward data":
        arrays = {"x": x[batch], "kernel": kernel, "y": dy[batch], "dy": dy[batch]}
        return eager.backward(CONVOLUTION, arrays, SAME, frozenset({"x"}))["dx"]
    return ops.dense(x[batch].reshape(-1, 77 * 40), normal(rng, (77 * 40, 70))).numpy()


@pytest.mark.parametrize("name", ["forward", "first layer", "backward data", "dense"])
def test_batch_and_threads_have_no_say(name):
    with config.num_threads(1):
        want = run(name, slice(None))
        for batch in (slice(0, 1), slice(1, 4)):
            np.testing.assert_array_equal(run(name, batch), want[batch])
    with config.num_threads(3):
        np.testing.assert_array_equal(run(name, slice(None)), want)


def test_threads_have_no_say_in_the_gradient_of_the_kernel():
    rng = np.random.default_rng(0)
    x, dy = normal(rng, (5, 11, 7, 40)), normal(rng, (5, 11, 7, 70))
    with config.num_threads(1):
        want = dkernel(x, dy)
    with config.num_threads(3):
        np.testing.assert_array_equal(dkernel(x, dy), want)


def test_tiles_are_released(tiles):
    """This thread holds no tile state after a kernel: the system saves none when it switches."""
    with config.num_threads(1):
        ops.matmul(np.ones((70, 40), "f4"), np.ones((40, 40), "f4"))
    state = np.full(64, 9, np.uint8)
    tiles.read_config(state.ctypes.data_as(tiles.pointer))
    assert not state.any()


def test_names():
    assert fastconv.show_config(io.StringIO())["isa"] == runtime.compiled_for() == "amx"
    assert runtime.available()[0] != "amx", "not chosen before it was timed: see csrc/dispatch.c"
