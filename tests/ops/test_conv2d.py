"""What the registry cannot know of the convolutions: their errors, and what must not change a bit."""

import importlib
import inspect

import numpy as np
import pytest

from fastconv import ops
from fastconv.autograd import eager
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.op import Epilogue, Spec
from fastconv.ops.conv2d.plan import ALGORITHMS

CONVOLUTION = importlib.import_module("fastconv.ops.conv2d").OP


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_have_one_interface(name):
    """That of plan.py's docstring, and a line in that of `conv2d_algorithm`."""
    module = ALGORITHMS[name]
    wanted = {
        "forward": ["call", "x", "y", "bias", "residual", "epilogue"],
        "backward_data": ["call", "dy", "dx"],
        "bfloat16": ["call", "has_residual"],
    }
    if name not in ("product", "amx_shallow"):  # which are never chosen for the gradient of the kernel
        wanted["backward_kernel"] = ["call", "x", "dy", "dkernel", *["dbias"] * module.SUMS_BIAS]
    for function, names in wanted.items():
        assert [*inspect.signature(getattr(module, function)).parameters][: len(names)] == names
    assert isinstance(module.PITCHED, bool)
    assert f'"{name}"' in ops.conv2d_algorithm.__doc__


def test_one_pixel_is_a_product():
    for channels in (3, 40):
        assert ops.conv2d_algorithm((5, 1, 1, channels), (1, 1, channels, 20)) == "product"
    assert ops.conv2d_algorithm((5, 1, 2, 40), (1, 1, 40, 20)) == "direct"
    assert ops.conv2d_algorithm((5, 1, 1, 40), (1, 1, 40, 20), padding=1) == "direct"


def zeros(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("x", "kernel", "options", "error", "words"),
    [
        (zeros(4, 4, 1), zeros(3, 3, 1, 2), {}, ShapeError, "4 dimensions"),
        (zeros(1, 4, 4, 3), zeros(3, 3, 2, 2), {}, ShapeError, "expected 3"),
        (zeros(1, 4, 4, 3), zeros(3, 3, 3), {}, ShapeError, "kernel must have shape"),
        (zeros(1, 4, 4, 3), zeros(3, 3, 1, 4), {"groups": 2}, ShapeError, "groups=2 must divide"),
        (zeros(1, 4, 4, 3), zeros(3, 3, 3, 4), {"groups": 0}, ArgumentError, "positive integer"),
        (zeros(1, 4, 4, 3), zeros(5, 3, 3, 4), {}, ShapeError, "larger than its input"),
        (zeros(1, 0, 4, 3), zeros(3, 3, 3, 4), {"padding": "same"}, ShapeError, "at least one row of pixels"),
        (zeros(1, 4, 4, 0), zeros(3, 3, 0, 4), {}, ShapeError, "at least one channel"),
        (zeros(1, 4, 4, 3), zeros(3, 3, 3, 0), {}, ShapeError, "kernel must have shape"),
        (
            zeros(1, 4, 4, 3),
            zeros(3, 3, 3, 4),
            {"activation": Epilogue("leaky_relu", -1.0)},
            ArgumentError,
            "negative_slope",
        ),
        (zeros(1, 4, 4, 3), zeros(3, 3, 3, 4), {"dilation_rate": 2}, ShapeError, "larger than its input"),
        (zeros(1, 4, 4, 3), zeros(3, 3, 3, 4), {"bias": zeros(3)}, ShapeError, "bias must have shape"),
        (zeros(1, 4, 4, 3), zeros(3, 3, 3, 4).astype("f8"), {}, DTypeError, "float64"),
        (zeros(1, 4, 4, 3), zeros(3, 3, 3, 4), {"activation": "softmax"}, ArgumentError, "activation"),
        (zeros(1, 4, 4, 3), zeros(3, 3, 3, 4), {"padding": "full"}, ArgumentError, "padding"),
    ],
)
def test_error_names_the_argument(x, kernel, options, error, words):
    with pytest.raises(error, match=words):
        ops.conv2d(x, kernel, **options)


def test_depthwise_kernel_of_other_channels():
    with pytest.raises(ShapeError, match="third dimension must be 3"):
        ops.depthwise_conv2d(zeros(1, 4, 4, 3), zeros(3, 3, 2, 1))


def test_shapes_may_be_unknown():
    specs = {"x": Spec((None, None, 7, 3)), "kernel": Spec((3, 3, 3, 8))}
    attrs = CONVOLUTION.attrs(padding="same", strides=(2, 2))
    assert CONVOLUTION.infer(specs, attrs)["y"].shape == (None, None, 4, 8)


@pytest.mark.parametrize("shape", [(9, 11, 3), (8, 8, 40)])
def test_sample_does_not_depend_on_its_batch(shape):
    rng = np.random.default_rng(0)
    attrs = CONVOLUTION.attrs(padding="same")
    x = rng.standard_normal((7, *shape)).astype("f4")
    kernel = rng.standard_normal((3, 3, shape[-1], 24)).astype("f4")
    dy = rng.standard_normal((7, *shape[:2], 24)).astype("f4")
    y = eager.forward(CONVOLUTION, {"x": x, "kernel": kernel}, attrs)["y"]
    dx = eager.backward(CONVOLUTION, {"x": x, "kernel": kernel, "y": y, "dy": dy}, attrs, frozenset({"x"}))["dx"]
    for i in range(7):
        one = {"x": x[i : i + 1], "kernel": kernel}
        alone = eager.forward(CONVOLUTION, one, attrs)["y"]
        assert np.array_equal(alone[0], y[i])
        d_alone = eager.backward(CONVOLUTION, {**one, "y": alone, "dy": dy[i : i + 1]}, attrs, frozenset({"x"}))["dx"]
        assert np.array_equal(d_alone[0], dx[i])


def test_nan_reaches_its_receptive_field_and_nothing_else():
    x = zeros(1, 9, 9, 17)
    x[0, 4, 4, 16] = np.nan
    y = ops.conv2d(x, np.ones((3, 3, 17, 5), "f4"), padding="same", activation="relu").numpy()
    seen = np.zeros((9, 9), bool)
    seen[3:6, 3:6] = True
    assert (np.isnan(y[0]) == seen[..., None]).all()


def test_empty_batch():
    assert ops.conv2d(zeros(0, 5, 5, 3), zeros(3, 3, 3, 4)).shape == (0, 3, 3, 4)
    specs = {"x": zeros(0, 5, 5, 13), "kernel": zeros(3, 3, 13, 4), "y": zeros(0, 3, 3, 4), "dy": zeros(0, 3, 3, 4)}
    gradient = eager.backward(CONVOLUTION, specs, CONVOLUTION.attrs(), frozenset({"kernel"}))["dkernel"]
    assert not gradient.any()


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (zeros(3), zeros(3, 3), "at least 2 dimensions"),
        (zeros(2, 3), zeros(4, 3), "inner dimensions differ"),
        (zeros(2, 2, 3), zeros(3, 3, 3), "leading dimensions"),
    ],
)
def test_matmul_errors(a, b, words):
    with pytest.raises(ShapeError, match=words):
        ops.matmul(a, b)


def test_dense_errors():
    with pytest.raises(ShapeError, match="last dimension of x"):
        ops.dense(zeros(2, 3), zeros(4, 5))
