"""Attributes that no exporter writes: nothing outside of an array is read, whatever a file says."""

import collections

import numpy as np
import pytest

from fastconv import InferenceSession, errors
from tests.io.onnx import small

X = np.arange(32, dtype="float32").reshape(1, 2, 4, 4)
W = np.ones((2, 2, 2, 2), "float32")
POOLS = ("LpPool", "MaxPool", "AveragePool")
INDEX = np.zeros(X.shape, np.int64)


def run(kind, inputs="x", weights=None, opset=22, **attributes):
    """Return what a model of one node makes of X."""
    data = small.model(
        [small.node(kind, inputs, "y", name="culprit", **attributes)],
        [small.value("x", X.shape)], [small.value("y", None)], weights, opset,
    )  # fmt: skip
    return InferenceSession(data).run(None, {"x": X})[0]


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize(
    "bad",
    [
        {"dilations": [-1, -1]}, {"dilations": [1, -1000]}, {"dilations": [1, -100000000]}, {"dilations": [0, 1]},
        {"strides": [0, 1]}, {"strides": [1, -3]}, {"kernel_shape": [0, 2]}, {"kernel_shape": [2, -2]},
        {"pads": [0, 0, -1, 0]}, {"pads": [0, -9, 0, 0]}, {"kernel_shape": [9, 9]},
    ],
)  # fmt: skip
def test_windows_stay_inside(kind, bad):
    with pytest.raises(errors.ModelFormatError, match="culprit.*(expected numbers of at least|do not fit)"):
        run(kind, **{"kernel_shape": [2, 2]} | bad)


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("Conv", {"dilations": [1, -5]}),
        ("Conv", {"strides": [-1, 1]}),
        ("ConvTranspose", {"strides": [0, 1]}),
        ("ConvTranspose", {"dilations": [1, -1]}),
        ("ConvTranspose", {"pads": [-1, 0, 0, 0]}),
        ("ConvTranspose", {"output_shape": [-4, 4]}),
        ("ConvTranspose", {"strides": [1 << 40, 1 << 40]}),
        ("LpPool", {"pads": [1 << 40] * 4, "kernel_shape": [2, 2]}),
        ("LpPool", {"auto_pad": "SAME_UPPER", "kernel_shape": [1 << 40, 2]}),
        ("MaxUnpool", {"kernel_shape": [-2, 2]}),
        ("MaxUnpool", {"kernel_shape": [2, 2], "strides": [1 << 30, 1 << 30]}),
        ("Col2Im", {"dilations": [-1, 1]}),
        ("DeformConv", {"dilations": [1, -7]}),
        ("RoiAlign", {"output_height": -2}),
        ("RoiAlign", {"output_height": 1 << 40}),
        ("RoiAlign", {"sampling_ratio": 1 << 40}),
        ("MaxRoiPool", {"pooled_shape": [0, 2]}),
        ("MaxRoiPool", {"pooled_shape": [1 << 40, 2]}),
    ],
)
def test_refused(kind, call):
    inputs, weights = {
        "MaxUnpool": ("x i", {"i": INDEX}),
        "Col2Im": ("x3 s b", {"x3": np.ones((1, 8, 9), "float32"), "s": np.array([4, 4]), "b": np.array([2, 2])}),
        "DeformConv": ("x w o", {"w": W, "o": np.zeros((1, 8, 3, 3), "float32")}),
        "RoiAlign": ("x r i", {"r": np.array([[0, 0, 3, 3]], "float32"), "i": np.array([0])}),
        "MaxRoiPool": ("x r", {"r": np.array([[0, 0, 0, 3, 3]], "float32")}),
    }.get(kind, ("x", None) if kind in POOLS else ("x w", {"w": W}))
    with pytest.raises((errors.ModelFormatError, errors.ShapeError), match="culprit.*(at least|cannot be made)"):
        run(kind, inputs, weights, **call)


def test_random_windows_run_or_raise_our_errors():
    rng, outcomes = np.random.default_rng(7), collections.Counter()
    for _ in range(300):
        kind = str(rng.choice([*POOLS, "Conv", "ConvTranspose"]))
        sizes = rng.choice([1, 2, 3, 0, -1, 1 << 40], 2, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05])
        kernel = sizes if kind in POOLS else [2, 2]
        attributes = {"kernel_shape": [int(n) for n in kernel]}
        for name, count in (("strides", 2), ("dilations", 2), ("pads", 4)):
            if rng.random() < 0.5:
                near, far = (0, 1, 2), (-1, -1000, -(10**8), 1 << 40, -(1 << 63), (1 << 63) - 1)
                attributes[name] = [int(rng.choice(near if rng.random() < 0.9 else far)) for _ in range(count)]
        if kind in POOLS and kind != "LpPool" and rng.random() < 0.3:
            attributes["ceil_mode"] = 1
        try:
            run(kind, *(() if kind in POOLS else ("x w", {"w": W})), **attributes)
            outcomes["ran"] += 1
        except errors.FastconvError as error:
            assert "culprit" in str(error)
            outcomes[type(error)] += 1
    assert outcomes["ran"] > 30 and outcomes[errors.ModelFormatError] > 30, outcomes


def test_clip_keeps_to_a_finite_limit():
    largest = np.float32(np.finfo(np.float32).max)
    data = small.model(
        [small.node("Clip", "x low high", "y")], [small.value("x", [2])], [small.value("y", [2])],
        {"low": np.float32(0).reshape(()), "high": largest.reshape(())},
    )  # fmt: skip
    (y,) = InferenceSession(data).run(None, {"x": np.array([-1, np.inf], "float32")})
    assert y.tolist() == [0, largest]
