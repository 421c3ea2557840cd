"""Nearest-neighbour upsampling: every pixel becomes a block of equal pixels.

It runs on the host, on its NumPy reference, in one thread: there is no kernel for it.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from .. import shapes
from ..autograd import apply
from ..op import Case, Op, Spec, register
from ._checks import check_images


class Attrs(NamedTuple):
    """`size`: copies of a pixel along each spatial axis."""

    size: tuple[int, ...]


def _infer(specs, attrs):
    x = specs["x"]
    check_images("upsample", "x", x, len(attrs.size))
    n, *size, c = x.shape
    return {"y": Spec((n, *(None if m is None else m * k for m, k in zip(size, attrs.size, strict=True)), c), x.dtype)}


def _reference(arrays, attrs):
    y = arrays["x"]
    for axis, count in enumerate(attrs.size, 1):
        y = y.repeat(count, axis)
    return {"y": y}


# A pixel of x gets the sum of the dy of its copies.
def _reference_backward(arrays, attrs, needs):
    n, *size, c = arrays["x"].shape
    blocks = [number for pair in zip(size, attrs.size, strict=True) for number in pair]
    copies = tuple(range(2, 2 * len(size) + 1, 2))
    return {"dx": arrays["dy"].reshape(n, *blocks, c).sum(copies)}


OP = register(
    Op(
        name="upsample",
        inputs=("x",),
        outputs=("y",),
        attrs=Attrs,
        infer=_infer,
        reference=_reference,
        reference_backward=_reference_backward,
        differentiable=frozenset({"x"}),
        linear=("x",),
        cases=tuple(
            Case({"x": Spec(x)}, Attrs(size))
            for x, size in [((1, 1, 1), (1,)), ((2, 5, 3), (3,)), ((2, 3, 4, 5), (2, 3)), ((1, 2, 3, 2, 7), (2, 1, 2))]
        ),
        reduction=lambda specs, attrs: prod(attrs.size),
    )
)


def upsample(x, size=2):
    """Repeat every pixel along the spatial axes.

    It runs on the host (NumPy, one thread).

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
    rank = min(max(np.ndim(x) - 2, 1), 3)
    return apply(OP, (x,), Attrs(shapes.per_axis(size, "size", rank)))
