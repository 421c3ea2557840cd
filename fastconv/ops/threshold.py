"""Thresholded ReLU: what lies above a threshold goes through as it is. Runs on its reference: networks seldom use it."""

from typing import NamedTuple

import numpy as np

from ..autograd import apply, as_tensor
from ..op import Case, Op, Spec, register
from ._checks import check_float


class Attrs(NamedTuple):
    """`threshold`: where x begins to go through; `slope`: factor of ``x - threshold`` below."""

    threshold: float
    slope: float = 0.0


def infer(specs, attrs):
    check_float("threshold", "x", specs["x"])
    return {"y": specs["x"]}


def reference(arrays, attrs):
    x = arrays["x"]
    below = attrs.slope * (x - attrs.threshold) if attrs.slope else np.zeros_like(x)
    return {"y": np.where((x <= attrs.threshold), below, x)}


# y = x above the threshold, slope * (x - threshold) up to it: dx = dy, and slope * dy.
def reference_backward(arrays, attrs, needs):
    return {"dx": arrays["dy"] * np.where(arrays["x"] <= attrs.threshold, attrs.slope, 1.0)}


def _away_from_the_step(rng, shape):
    # A finite difference across the step would see the jump.
    return rng.uniform(0.2, 2.0, shape) * rng.choice([-1.0, 1.0], shape) + 1.0


OP = register(
    Op(
        name="threshold",
        inputs=("x",),
        outputs=("y",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        keeps=lambda attrs, needs: ("x",),
        attrs=Attrs,
        differentiable=frozenset({"x"}),
        cases=tuple(
            Case({"x": Spec(shape)}, attrs, {"x": _away_from_the_step})
            for shape in ((1,), (2, 3, 5), (0, 4))
            for attrs in (Attrs(1.0), Attrs(1.0, 0.25))
        ),
        flops=lambda specs, attrs: specs["x"].size,
    )
)


def threshold(x, threshold, slope=0.0):
    """Return `x` where it is above `threshold`, else ``slope * (x - threshold)``.

    Parameters
    ----------
    x : Tensor or array_like
        Any shape, float32 or float64.
    threshold, slope : float

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        When `x` holds integers.

    Examples
    --------
    >>> fastconv.ops.threshold([0.5, 1.5], 1.0).numpy()
    array([0. , 1.5], dtype=float32)
    """
    return apply(OP, (as_tensor(x),), Attrs(float(threshold), float(slope)))
