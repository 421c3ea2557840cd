"""Global pooling: the mean or the maximum of each channel over a whole image, sequence or volume. Pooling with one window."""

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


def _infer(specs, attrs, what, rank):
    x = specs["x"]
    check_images(what, "x", x, rank)
    n, *size, c = x.shape
    return Spec((n, *(1,) * rank, c) if attrs.keepdims else (n, c), x.dtype)


def _plane(specs):
    """Return (specs, pooling attributes) of one window over a whole image of two spatial axes, the same bytes."""
    x = specs["x"]
    n, *rows, width, c = x.shape
    size = (math.prod(rows), width)
    return {"x": x._replace(shape=(n, *size, c))}, _pooling.Attrs(size, size, ((0, 0), (0, 0)))


# ---- average


def reference_average(arrays, attrs):
    x = arrays["x"]
    return {"y": x.mean(axis=tuple(range(1, x.ndim - 1)), keepdims=attrs.keepdims)}


def reference_average_backward(arrays, attrs, needs):
    x_shape, dy = arrays["x"].shape, arrays["dy"]
    n, *size, c = x_shape
    return {"dx": np.broadcast_to(dy.reshape(n, *(1,) * len(size), c) / math.prod(size), x_shape)}


def plan_average(specs, attrs):
    return _pooling.plan(*_plane(specs), "average")


# y = sum of x / (H W): every pixel of dx is dy / (H W).
def plan_average_backward(specs, attrs, needs):
    return _pooling.plan_backward(*_plane(specs), "average")


# ---- maximum


def reference_max(arrays, attrs):
    x = arrays["x"]
    n, *size, c = x.shape
    pixels = x.reshape(n, math.prod(size), c)
    index = pixels.argmax(axis=1)  # the first maximum; a NaN counts as one
    y = np.take_along_axis(pixels, index[:, None], axis=1)
    return {"y": y.reshape((n, *(1,) * len(size), c) if attrs.keepdims else (n, c)), "index": index.astype("int32")}


def reference_max_backward(arrays, attrs, needs):
    x_shape = arrays["x"].shape
    n, *size, c = x_shape
    mine = arrays["index"][:, None] == np.arange(math.prod(size))[:, None]
    return {"dx": np.where(mine, arrays["dy"].reshape(n, 1, c), 0).reshape(x_shape)}


def plan_max(specs, attrs):
    return _pooling.plan(*_plane(specs), "max", wide_index=True)


def plan_max_inference(specs, attrs):
    return _pooling.plan_inference(*_plane(specs))


# y = x[index]: the pixel that the index names takes dy, all others zero.
def plan_max_backward(specs, attrs, needs):
    return _pooling.plan_backward(*_plane(specs), "max", wide_index=True)


_CASES = {
    1: (((1, 1, 1), False), ((3, 7, 33), True), ((2, 300, 9), False)),
    2: (
        ((1, 1, 1, 1), False),
        ((3, 2, 3, 7), True),
        ((1, 5, 3, 33), False),
        ((2, 7, 7, 8), True),
        ((1, 17, 16, 3), False),
        ((1, 16, 17, 129), False),  # more than one chunk of channels
    ),
    3: (((1, 1, 1, 1, 1), False), ((3, 2, 3, 2, 17), True), ((2, 7, 5, 3, 8), False)),
}


def _declare(kind, rank, **more):
    name = f"global_{kind}_pool{rank}d"

    def infer(specs, attrs):
        y = _infer(specs, attrs, name, rank)
        index = {"index": Spec((y.shape[0], y.shape[-1]), "int32")} if "saved" in more else {}
        return {"y": y, **index}

    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            attrs=Attrs,
            infer=infer,
            differentiable=frozenset({"x"}),
            cases=tuple(Case({"x": Spec(shape)}, Attrs(keepdims)) for shape, keepdims in _CASES[rank]),
            flops=lambda specs, attrs: math.prod(specs["x"].shape),
            bfloat16=_pooling.bfloat16,
            **more,
        )
    )


AVERAGE = {
    rank: _declare(
        "avg",
        rank,
        reference=reference_average,
        reference_backward=reference_average_backward,
        plan=plan_average,
        plan_backward=plan_average_backward,
        linear=("x",),
        reduction=lambda specs, attrs: math.prod(specs["x"].shape[1:-1]),
    )
    for rank in _CASES
}

MAX = {
    rank: _declare(
        "max",
        rank,
        reference=reference_max,
        reference_backward=reference_max_backward,
        plan=plan_max,
        plan_inference=plan_max_inference,
        plan_backward=plan_max_backward,
        saved=("index",),
        keeps=lambda attrs, needs: ("index",),
    )
    for rank in _CASES
}


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
    return apply(AVERAGE[2], (x,), Attrs(bool(keepdims)))


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
    return apply(MAX[2], (x,), Attrs(bool(keepdims)))


def global_avg_pool1d(x, keepdims=False):
    """Mean of each channel over sequences (N, L, C); see `global_avg_pool2d`."""
    return apply(AVERAGE[1], (x,), Attrs(bool(keepdims)))


def global_max_pool1d(x, keepdims=False):
    """Largest value of each channel over sequences (N, L, C); see `global_max_pool2d`."""
    return apply(MAX[1], (x,), Attrs(bool(keepdims)))


def global_avg_pool3d(x, keepdims=False):
    """Mean of each channel over volumes (N, D, H, W, C); see `global_avg_pool2d`."""
    return apply(AVERAGE[3], (x,), Attrs(bool(keepdims)))


def global_max_pool3d(x, keepdims=False):
    """Largest value of each channel over volumes (N, D, H, W, C); see `global_max_pool2d`."""
    return apply(MAX[3], (x,), Attrs(bool(keepdims)))
