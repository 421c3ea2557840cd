"""Convolutions in other than two dimensions, and transposed ones: errors, sizes, and what must not change a bit."""

import numpy as np
import pytest

from fastconv import ops
from fastconv.autograd import eager
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.op import REGISTRY, Spec
from fastconv.ops import _transposed as transposed

OPTIONS = (("strides", 1), ("padding", "valid"), ("output_padding", None), ("dilation_rate", 1))  # with their defaults


def zeros(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("name", "x", "kernel", "options", "error", "words"),
    [
        ("conv1d", zeros(4, 1), zeros(3, 1, 2), {}, ShapeError, r"3 dimensions \(N, L, C\)"),
        ("conv1d", zeros(1, 4, 3), zeros(3, 2, 2), {}, ShapeError, "conv1d: .*expected 3"),
        ("conv1d", zeros(1, 4, 3), zeros(3, 3, 3, 2), {}, ShapeError, "kernel must have shape .K, C // groups, O"),
        ("conv1d", zeros(1, 4, 3), zeros(5, 3, 4), {}, ShapeError, "kernel of length 5 is larger than its input: 4"),
        ("conv1d", zeros(1, 0, 3), zeros(1, 3, 4), {}, ShapeError, "at least one position"),
        ("conv1d", zeros(1, 4, 3), zeros(3, 3, 4), {"strides": (1, 1)}, ArgumentError, "positive integer, got"),
        ("conv1d", zeros(1, 4, 3), zeros(3, 3, 4), {"padding": "causal"}, ArgumentError, "padding"),
        ("conv3d", zeros(1, 4, 4, 3), zeros(3, 3, 3, 3, 2), {}, ShapeError, "5 dimensions"),
        ("conv3d", zeros(1, 2, 4, 4, 3), zeros(3, 3, 3, 3, 2), {}, ShapeError, "kernel of depth 3"),
        ("conv3d", zeros(1, 4, 4, 4, 3), zeros(3, 3, 3, 3, 2), {"strides": (1, 2)}, ArgumentError, "or 3 of them"),
        ("conv3d", zeros(1, 4, 4, 4, 3), zeros(3, 3, 3, 3, 2), {"bias": zeros(3)}, ShapeError, "bias must have"),
        ("depthwise_conv1d", zeros(1, 4, 3), zeros(3, 2, 1), {}, ShapeError, "second dimension must be 3"),
        ("conv2d_transpose", zeros(1, 4, 4, 3), zeros(3, 3, 3, 2), {}, ShapeError, "last dimension must be 3"),
        ("conv2d_transpose", zeros(1, 4, 4, 3), zeros(3, 3, 2, 3), {"groups": 2}, ShapeError, "groups=2 must divide"),
        ("conv2d_transpose", zeros(1, 1, 4, 3), zeros(2, 2, 2, 3), {"padding": 1}, ShapeError, "nothing would be left"),
        ("conv2d_transpose", zeros(1, 4, 4, 3), zeros(3, 3, 2, 3), {"bias": zeros(3)}, ShapeError, "bias must have"),
        ("conv1d_transpose", zeros(1, 4, 3), zeros(3, 2, 3), {"output_padding": -1}, ArgumentError, "output_padding"),
        ("conv3d_transpose", zeros(1, 4, 4, 4, 3), zeros(3, 3, 3, 2, 3), {"groups": 0}, ArgumentError, "groups"),
        ("conv1d_transpose", zeros(1, 4, 3), zeros(3, 2, 3).astype("f8"), {}, DTypeError, "float64"),
    ],
)
def test_error_names_the_argument(name, x, kernel, options, error, words):
    with pytest.raises(error, match=words):
        getattr(ops, name)(x, kernel, **options)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_sizes_of_transposed_convolutions_are_those_of_keras(size, kernel, stride):
    def length(**options):
        return ops.conv1d_transpose(zeros(1, size, 1), zeros(kernel, 1, 1), strides=stride, **options).shape[1]

    assert length() == (size - 1) * stride + max(kernel, stride)
    assert length(padding="same") == size * stride
    assert length(output_padding=1) == (size - 1) * stride + kernel + 1
    assert length(padding="same", output_padding=1) == (size - 1) * stride + kernel % 2 + 1


@pytest.mark.parametrize("name", ["conv1d_transpose", "conv2d_transpose", "conv3d_transpose"])
def test_shapes_may_be_unknown(name):
    op = REGISTRY[name]
    case = op.cases[1]
    x, kernel = case.inputs["x"].shape, case.inputs["kernel"]
    got = op.infer({"x": Spec((None, None, *x[2:])), "kernel": kernel}, case.attrs)["y"].shape
    known = op.infer({"x": Spec(x), "kernel": kernel}, case.attrs)["y"].shape
    assert got == (None, None, *known[2:])


@pytest.mark.parametrize("name", ["conv1d", "conv3d", "conv1d_transpose", "conv2d_transpose", "conv3d_transpose"])
def test_sample_does_not_depend_on_its_batch(name):
    op, rng = REGISTRY[name], np.random.default_rng(0)
    for case in op.cases:
        x, kernel = case.inputs["x"].shape, case.inputs["kernel"].shape
        arrays = {
            "x": rng.standard_normal((5, *x[1:])).astype("f4"),
            "kernel": rng.standard_normal(kernel).astype("f4"),
        }
        y = eager.forward(op, arrays, case.attrs)["y"]
        operands = {**arrays, "y": y, "dy": rng.standard_normal(y.shape).astype("f4")}
        dx = eager.backward(op, operands, case.attrs, frozenset({"x"}))["dx"]
        for i in (0, 3):
            one = {k: a if k == "kernel" else a[i : i + 1] for k, a in operands.items()}
            assert np.array_equal(
                eager.forward(op, {"x": one["x"], "kernel": one["kernel"]}, case.attrs)["y"], one["y"]
            )
            assert np.array_equal(eager.backward(op, one, case.attrs, frozenset({"x"}))["dx"], dx[i : i + 1])


def test_one_row_and_one_plane_are_the_smaller_convolution():
    rng = np.random.default_rng(2)
    x, kernel = rng.standard_normal((2, 9, 8, 14)).astype("f4"), rng.standard_normal((3, 2, 14, 17)).astype("f4")
    flat = ops.conv2d(x, kernel, padding="same", strides=(1, 2)).numpy()
    deep = ops.conv3d(x[:, None], kernel[None], padding="same", strides=(1, 1, 2)).numpy()
    assert np.array_equal(deep[:, 0], flat)
    row = ops.conv1d(x[:, 0], kernel[0], padding="same", dilation_rate=2).numpy()
    assert np.array_equal(ops.conv2d(x[:, :1], kernel[:1], padding="same", dilation_rate=2).numpy()[:, 0], row)


@pytest.mark.parametrize("activation", [None, "sigmoid"])
@pytest.mark.parametrize(
    ("name", "size", "kernel", "options"),
    [
        ("conv1d_transpose", (4,), (3,), {"strides": 300}),
        ("conv2d_transpose", (2, 3), (3, 2), {"strides": (200, 7), "dilation_rate": (9, 4)}),
        ("conv2d_transpose", (2, 3), (1, 1), {"strides": (5, 400), "padding": "same", "output_padding": (2, 1)}),
        ("conv3d_transpose", (2, 1, 2), (2, 1, 3), {"strides": (5, 90, 4)}),
    ],
)
def test_strides_far_longer_than_the_kernel(name, size, kernel, options, activation):
    """Planned in no time: phases that no tap reaches are not walked, and yet the bias and its activation stand there."""
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=shape).astype("f4") for shape in ((2, *size, 3), (*kernel, 5, 3), (5,))]
    y = getattr(ops, name)(*arrays, **options, activation=activation).numpy()
    exact = getattr(ops, name)(*(a.astype("f8") for a in arrays), **options, activation=activation).numpy()
    np.testing.assert_allclose(y, exact, rtol=1e-6, atol=1e-6)
    attrs = transposed.attributes("t", len(size), *(options.get(k, d) for k, d in OPTIONS), 1, activation)
    specs = {key: Spec(a.shape) for key, a in zip(("x", "kernel", "bias"), arrays, strict=True)}
    steps = [step for phase in REGISTRY[name].plan(specs, attrs).phases for step in phase]
    assert len(steps) <= 1 + np.prod(kernel)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("conv2d_transpose", {"strides": 1 << 30}, "conv2d_transpose: y would have shape .* which no memory holds"),
        (
            "conv2d_transpose",
            {"output_padding": 1 << 31},
            "output_padding must be None, an integer from 0 to 2147483647",
        ),
        ("conv2d", {"padding": 1 << 30}, "conv2d: y would have shape .* which no memory holds"),
        ("conv2d", {"padding": 1 << 40}, "padding must be at most 2147483647 a side, got"),
        ("conv2d", {"strides": 1 << 63}, "strides must be .*at most 2147483647, got"),
        ("conv2d", {"dilation_rate": 1 << 63, "padding": "same"}, "dilation_rate must be .*at most 2147483647, got"),
    ],
)
def test_absurd_sizes(name, options, words):
    with pytest.raises(ArgumentError, match=words):
        getattr(ops, name)(zeros(1, 4, 4, 2), zeros(3, 3, 2, 2), **options)
