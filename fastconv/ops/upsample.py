"""Nearest-neighbour upsampling: every pixel becomes a block of equal pixels."""

from math import prod
from typing import NamedTuple

from .. import shapes
from .._kernels import move
from ..autograd import apply, as_tensor
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float, check_images


class Attrs(NamedTuple):
    """`repeats`: copies of an element along each axis."""

    repeats: tuple[int, ...]


def infer(specs, attrs):
    x = specs["x"]
    check_float("upsample", "x", x)
    return {
        "y": Spec(tuple(None if n is None else n * k for n, k in zip(x.shape, attrs.repeats, strict=True)), x.dtype)
    }


def reference(arrays, attrs):
    y = arrays["x"]
    for axis, count in enumerate(attrs.repeats):
        y = y.repeat(count, axis)
    return {"y": y}


def _pairs(shape, attrs):
    """Return the shape of y with two axes for each of x: its places, and the copies of one."""
    return [n for pair in zip(shape, attrs.repeats, strict=True) for n in pair]


# An element of x gets the sum of the dy of its copies.
def reference_backward(arrays, attrs, needs):
    shape = arrays["x"].shape
    return {"dx": arrays["dy"].reshape(_pairs(shape, attrs)).sum(tuple(range(1, 2 * len(shape), 2)))}


def plan(specs, attrs):
    shape = specs["x"].shape
    pairs = _pairs(shape, attrs)
    strides = [stride for along in move.strides_of(shape) for stride in (along, 0)]
    step = move.copy("x", "y", pairs, strides, move.strides_of(pairs))
    return step and Plan(phases=((step,),))


OP = register(
    Op(
        name="upsample",
        inputs=("x",),
        outputs=("y",),
        attrs=Attrs,
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        differentiable=frozenset({"x"}),
        linear=("x",),
        cases=tuple(
            Case({"x": Spec(x)}, Attrs(repeats))
            for x, repeats in [
                ((1, 1, 1), (1, 1, 1)),
                ((2, 5, 3), (1, 3, 1)),
                ((2, 3, 4, 5), (1, 2, 3, 1)),
                ((1, 2, 3, 2, 7), (1, 2, 1, 2, 1)),
                ((2, 3, 5, 4), (1, 1, 2, 2)),
            ]
        ),
        reduction=lambda specs, attrs: prod(attrs.repeats),
    )
)


def upsample(x, size=2):
    """Repeat every pixel along the spatial axes. For interpolation see `resize`.

    Parameters
    ----------
    x : Tensor or array, (N, L, C), (N, H, W, C) or (N, D, H, W, C)
    size : int, or one per spatial axis
        How often.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When x is none of these, or `size` does not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> upsample(np.array([[[1], [2]]], "float32"), 2).numpy().ravel().tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    x = as_tensor(x)
    rank = min(max(x.ndim - 2, 1), 3)
    size = shapes.per_axis(size, "size", rank)
    check_images("upsample", "x", Spec(x.shape, x.dtype), rank)
    return apply(OP, (x,), Attrs((1, *size, 1)))
