"""Global pooling: the mean or the maximum of each channel over a whole image. Pooling with one window."""

import math
from typing import NamedTuple

import numpy as np

from ..autograd import apply
from ..op import Case, Op, Spec, register
from . import _pooling
from ._checks import check_images


class Attrs(NamedTuple):
    """Attributes of global pooling."""

    keepdims: bool = False


def _infer(specs, attrs, what):
    x = specs["x"]
    check_images(what, "x", x)
    n, _, _, c = x.shape
    return Spec((n, 1, 1, c) if attrs.keepdims else (n, c), x.dtype)


def _window(specs):
    """Return the pooling attributes of one window over the whole image."""
    size = specs["x"].shape[1:3]
    return _pooling.Attrs(size, size, ((0, 0), (0, 0)))


# ---- average


def infer_average(specs, attrs):
    return {"y": _infer(specs, attrs, "global_avg_pool2d")}


def reference_average(arrays, attrs):
    return {"y": arrays["x"].mean(axis=(1, 2), keepdims=attrs.keepdims)}


def reference_average_backward(arrays, attrs, needs):
    (n, h, w, c), dy = arrays["x"].shape, arrays["dy"]
    return {"dx": np.broadcast_to(dy.reshape(n, 1, 1, c) / (h * w), (n, h, w, c))}


def plan_average(specs, attrs):
    return _pooling.plan(specs, _window(specs), "average")


# y = sum of x / (H W): every pixel of dx is dy / (H W).
def plan_average_backward(specs, attrs, needs):
    return _pooling.plan_backward(specs, _window(specs), "average")


# ---- maximum


def infer_max(specs, attrs):
    n, _, _, c = specs["x"].shape if len(specs["x"].shape) == 4 else (None,) * 4
    return {"y": _infer(specs, attrs, "global_max_pool2d"), "index": Spec((n, c), "int32")}


def reference_max(arrays, attrs):
    x = arrays["x"]
    n, h, w, c = x.shape
    pixels = x.reshape(n, h * w, c)
    index = pixels.argmax(axis=1)  # the first maximum; a NaN counts as one
    y = np.take_along_axis(pixels, index[:, None], axis=1)
    return {"y": y.reshape((n, 1, 1, c) if attrs.keepdims else (n, c)), "index": index.astype("int32")}


def reference_max_backward(arrays, attrs, needs):
    n, h, w, c = arrays["x"].shape
    mine = arrays["index"][:, None] == np.arange(h * w)[:, None]
    return {"dx": np.where(mine, arrays["dy"].reshape(n, 1, c), 0).reshape(n, h, w, c)}


def plan_max(specs, attrs):
    return _pooling.plan(specs, _window(specs), "max", wide_index=True)


# y = x[index]: the pixel that the index names takes dy, all others zero.
def plan_max_backward(specs, attrs, needs):
    return _pooling.plan_backward(specs, _window(specs), "max", wide_index=True)


CASES = tuple(
    Case({"x": Spec(shape)}, Attrs(keepdims))
    for shape, keepdims in (
        ((1, 1, 1, 1), False),
        ((3, 2, 3, 7), True),
        ((1, 5, 3, 33), False),
        ((2, 7, 7, 8), True),
        ((1, 17, 16, 3), False),
        ((1, 16, 17, 129), False),  # more than one chunk of channels
    )
)

_COMMON = {
    "inputs": ("x",),
    "outputs": ("y",),
    "attrs": Attrs,
    "differentiable": frozenset({"x"}),
    "cases": CASES,
    "flops": lambda specs, attrs: math.prod(specs["x"].shape),
}

AVERAGE = register(
    Op(
        name="global_avg_pool2d",
        infer=infer_average,
        reference=reference_average,
        reference_backward=reference_average_backward,
        plan=plan_average,
        plan_backward=plan_average_backward,
        linear=("x",),
        reduction=lambda specs, attrs: math.prod(specs["x"].shape[1:3]),
        **_COMMON,
    )
)

MAX = register(
    Op(
        name="global_max_pool2d",
        infer=infer_max,
        reference=reference_max,
        reference_backward=reference_max_backward,
        plan=plan_max,
        plan_backward=plan_max_backward,
        saved=("index",),
        keeps=lambda attrs, needs: ("index",),
        **_COMMON,
    )
)


def global_avg_pool2d(x, keepdims=False):
    """Mean of each channel over the image.

    Parameters
    ----------
    x : Tensor or array, (N, H, W, C)
    keepdims : bool
        Return (N, 1, 1, C) instead of (N, C).

    Returns
    -------
    Tensor, (N, C)

    Raises
    ------
    ShapeError, DTypeError
        When x is not (N, H, W, C), or has no pixels.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool2d(np.arange(8, dtype="float32").reshape(1, 2, 2, 2)).numpy().tolist()
    [[3.0, 4.0]]
    """
    return apply(AVERAGE, (x,), Attrs(bool(keepdims)))


def global_max_pool2d(x, keepdims=False):
    """Largest value of each channel over the image; NaN wins, the first of equals takes the gradient.

    Parameters
    ----------
    x : Tensor or array, (N, H, W, C)
    keepdims : bool
        Return (N, 1, 1, C) instead of (N, C).

    Returns
    -------
    Tensor, (N, C)

    Raises
    ------
    ShapeError, DTypeError
        When x is not (N, H, W, C), or has no pixels.

    Examples
    --------
    >>> import numpy as np
    >>> global_max_pool2d(np.arange(8, dtype="float32").reshape(1, 2, 2, 2)).numpy().tolist()
    [[6.0, 7.0]]
    """
    return apply(MAX, (x,), Attrs(bool(keepdims)))
