"""Zeros around an array, or less of it: each axis grows or shrinks at both ends.

A kernel copies the rows that stay, a block at a time. Arrays of one axis, and those of more than `MAX_COPIES` blocks,
run on the host (NumPy, one thread).
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import eltwise, runtime
from ..autograd import apply, as_tensor
from ..errors import ArgumentError, ShapeError
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float

# Copies that one plan may be made of; beyond that NumPy does it.
MAX_COPIES = 1024


class Attrs(NamedTuple):
    """`padding`: a pair (before, after) per axis; a negative number cuts off."""

    padding: tuple[tuple[int, int], ...]


def _infer(specs, attrs):
    x = specs["x"]
    check_float("pad", "x", x)
    if len(x.shape) != len(attrs.padding):
        raise ShapeError(f"pad: {len(attrs.padding)} pairs of padding do not fit x of shape {x.shape}")
    size = tuple(None if n is None else n + sum(pair) for n, pair in zip(x.shape, attrs.padding, strict=True))
    for n, pair in zip(x.shape, attrs.padding, strict=True):
        if n is not None and n + sum(min(p, 0) for p in pair) < min(n, 1):
            raise ShapeError(f"pad: nothing would be left of x of shape {x.shape} with padding {attrs.padding}")
    return {"y": Spec(size, x.dtype)}


def _regions(x_shape, attrs):
    """Return the slices of x that stay, and of y where they go."""
    kept = [(max(0, -before), n - max(0, -after)) for n, (before, after) in zip(x_shape, attrs.padding, strict=True)]
    starts = [max(0, before) for before, _ in attrs.padding]
    return (
        tuple(slice(first, end) for first, end in kept),
        tuple(slice(start, start + end - first) for start, (first, end) in zip(starts, kept, strict=True)),
    )


def _reference(arrays, attrs):
    x = arrays["x"]
    y = np.zeros(_infer({"x": Spec(x.shape, x.dtype.name)}, attrs)["y"].shape, x.dtype)
    kept, place = _regions(x.shape, attrs)
    y[place] = x[kept]
    return {"y": y}


# y is x elsewhere, so dx is the part of dy that came from x, and zeros where x was cut off.
def _reference_backward(arrays, attrs, needs):
    dx = np.zeros(arrays["x"].shape, arrays["dy"].dtype)
    kept, place = _regions(dx.shape, attrs)
    dx[kept] = arrays["dy"][place]
    return {"dx": dx}


def _copy(source, target, source_shape, target_shape, source_region, target_region):
    """Return the plan that copies one region of `source` into one of `target`, and zeros around it."""
    if len(source_shape) < 2:
        return None
    # One copy moves rows of the last axes that stay whole (channels, usually) and of the axis before them.
    whole = len(source_shape)
    while whole > 2 and source_shape[whole - 1] == target_shape[whole - 1]:
        whole -= 1
    lengths = [part.stop - part.start for part in source_region]
    outer, rows, length = lengths[: whole - 2], lengths[whole - 2], shapes.size(lengths[whole - 1 :])
    if shapes.size(outer) > MAX_COPIES:
        return None

    def start(shape, region, position):
        strides = [shapes.size(shape[axis + 1 :]) for axis in range(len(shape))]
        moved = [part.start + p for part, p in zip(region, (*position, *(0,) * len(shape)), strict=False)]
        return sum(p * s for p, s in zip(moved, strides, strict=True)), strides[whole - 2]

    copies = []
    for position in product(*map(range, outer)):
        first, row = start(source_shape, source_region, position)
        to, to_row = start(target_shape, target_region, position)
        copies.append(eltwise.copy_rows(source, first, row, target, to, to_row, rows, length))
    if lengths == list(target_shape):
        return Plan(phases=(tuple(copies),))
    return Plan(phases=((runtime.zero(target, 4 * shapes.size(target_shape)),), tuple(copies)))


def _plan(specs, attrs):
    x = specs["x"].shape
    return _copy("x", "y", x, _infer(specs, attrs)["y"].shape, *_regions(x, attrs))


def _plan_backward(specs, attrs, needs):
    x = specs["x"].shape
    kept, place = _regions(x, attrs)
    return _copy("dy", "dx", _infer(specs, attrs)["y"].shape, x, place, kept)


OP = register(
    Op(
        name="pad",
        inputs=("x",),
        outputs=("y",),
        attrs=Attrs,
        infer=_infer,
        reference=_reference,
        reference_backward=_reference_backward,
        plan=_plan,
        plan_backward=_plan_backward,
        differentiable=frozenset({"x"}),
        linear=("x",),
        cases=tuple(
            Case({"x": Spec(shape)}, Attrs(padding))
            for shape, padding in [
                ((5,), ((1, 2),)),
                ((3, 4), ((0, 0), (0, 0))),
                ((2, 5, 3), ((0, 0), (2, 1), (0, 0))),
                ((3, 4, 5, 7), ((0, 0), (1, 0), (2, 3), (0, 0))),
                ((3, 4, 5, 7), ((0, 0), (-1, -2), (0, -1), (0, 0))),
                ((2, 6, 5, 17), ((0, 0), (-2, 1), (3, -4), (0, 0))),
                ((1, 3, 4, 5, 2), ((0, 0), (1, 1), (0, 2), (1, 0), (0, 0))),
                ((2, 3, 4), ((1, 0), (0, 0), (0, 3))),
            ]
        ),
    )
)


def pad(x, padding):
    """Zeros around `x`; or, where a number is negative, that much less of it.

    Arrays of one axis, and those of more than 1024 blocks of rows, run on the host (NumPy, one thread).

    Parameters
    ----------
    x : Tensor or array_like
        Of float32 or float64.
    padding : sequence of (int, int)
        (before, after) for each axis.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When the padding does not fit x, or nothing would be left.

    Examples
    --------
    >>> fastconv.ops.pad([[1.0, 2.0]], ((0, 1), (1, -1))).numpy().tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    try:
        pairs = tuple((int(before), int(after)) for before, after in padding)
    except (TypeError, ValueError):
        raise ArgumentError(f"padding must be a pair of integers (before, after) per axis, got {padding!r}") from None
    return apply(OP, (as_tensor(x),), Attrs(pairs))
