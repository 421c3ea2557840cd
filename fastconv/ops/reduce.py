"""Sum, mean and maximum over axes, as host steps."""

import builtins
from typing import NamedTuple

import numpy as np

from ..autograd import apply, as_tensor
from ..errors import ArgumentError, ShapeError
from ..op import Case, Op, Spec, register
from ._checks import check_float


class Attrs(NamedTuple):
    """`axis`: ascending and not negative."""

    axis: tuple[int, ...]
    keepdims: bool = False


def _infer(specs, attrs):
    shape, dtype = specs["x"]
    check_float("a reduction", "x", specs["x"])
    kept = tuple((1 if i in attrs.axis else n) for i, n in enumerate(shape) if attrs.keepdims or i not in attrs.axis)
    return {"y": Spec(kept, dtype)}


def _infer_max(specs, attrs):
    if builtins.any(specs["x"].shape[i] == 0 for i in attrs.axis):
        raise ShapeError(f"the maximum over axis {attrs.axis} of an array of shape {specs['x'].shape} does not exist")
    return _infer(specs, attrs)


def _count(x, attrs):
    count = 1
    for i in attrs.axis:
        count *= x.shape[i]
    return count


def _spread(y, x, attrs):
    """Repeat a result along the axes that were reduced."""
    return np.broadcast_to(y if attrs.keepdims else np.expand_dims(y, attrs.axis), x.shape)


def _reference_sum(arrays, attrs):
    return {"y": arrays["x"].sum(attrs.axis, keepdims=attrs.keepdims)}


# y = sum of x, so every x gets the dy of its sum.
def _backward_sum(arrays, attrs, needs):
    return {"dx": _spread(arrays["dy"], arrays["x"], attrs).copy()}


def _reference_mean(arrays, attrs):
    x = arrays["x"]
    # The mean of nothing is NaN.
    count = x.dtype.type(_count(x, attrs) or np.nan)
    return {"y": x.sum(attrs.axis, keepdims=attrs.keepdims) / count}


def _backward_mean(arrays, attrs, needs):
    x = arrays["x"]
    return {"dx": _spread(arrays["dy"], x, attrs) / x.dtype.type(_count(x, attrs))}


def _reference_max(arrays, attrs):
    return {"y": arrays["x"].max(attrs.axis, keepdims=attrs.keepdims)}


# Only the largest elements move y; equal ones share its gradient.
def _backward_max(arrays, attrs, needs):
    x = arrays["x"]
    largest = (x == _spread(arrays["y"], x, attrs)).astype(x.dtype)
    return {"dx": _spread(arrays["dy"], x, attrs) * largest / largest.sum(attrs.axis, keepdims=True)}


_CASES = tuple(
    Case({"x": Spec(shape)}, Attrs(axis, keepdims))
    for shape, axis, keepdims in [
        ((1,), (0,), False),
        ((3, 4, 5), (0, 1, 2), False),
        ((3, 4, 5), (1,), True),
        ((3, 4, 5), (0, 2), False),
        ((2, 3, 1, 7), (2, 3), True),
        ((3, 2), (), False),
    ]
)


def _make(name, infer, reference, reference_backward, linear, keeps):
    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            infer=infer,
            reference=reference,
            reference_backward=reference_backward,
            keeps=lambda attrs, needs: keeps,
            attrs=Attrs,
            differentiable=frozenset({"x"}),
            linear=("x",) if linear else (),
            cases=_CASES,
            reduction=lambda specs, attrs: specs["x"].size,
            flops=lambda specs, attrs: specs["x"].size,
        )
    )


SUM = _make("sum", _infer, _reference_sum, _backward_sum, True, ())
MEAN = _make("mean", _infer, _reference_mean, _backward_mean, True, ())
MAX = _make("max", _infer_max, _reference_max, _backward_max, False, ("x", "y"))


def normalize_axis(axis, ndim):
    """Return `axis` (None for all, an int, or a sequence of ints) as ascending numbers from 0."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    result = tuple(sorted(int(i) + ndim if i < 0 else int(i) for i in axes))
    if builtins.any(not 0 <= i < ndim for i in result) or len(set(result)) != len(result):
        raise ArgumentError(f"axis must name different axes from {-ndim} to {ndim - 1}, got {axis!r}")
    return result


def _reduce(op, x, axis, keepdims):
    x = as_tensor(x)
    return apply(op, (x,), Attrs(normalize_axis(axis, x.ndim), bool(keepdims)))


def sum(x, axis=None, keepdims=False):
    """Return the sum of `x` over `axis`.

    Parameters
    ----------
    x : Tensor or array_like
        float32 or float64, any shape.
    axis : int or sequence of int, optional
        Default: all.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    Tensor([4., 6.], dtype=float32)
    """
    return _reduce(SUM, x, axis, keepdims)


def mean(x, axis=None, keepdims=False):
    """Return the mean of `x` over `axis`; the mean of nothing is NaN. Parameters as for `sum`.

    Examples
    --------
    >>> fastconv.ops.mean([[1.0, 2.0], [3.0, 4.0]], axis=1)
    Tensor([1.5, 3.5], dtype=float32)
    """
    return _reduce(MEAN, x, axis, keepdims)


def max(x, axis=None, keepdims=False):
    """Return the maximum of `x` over `axis`; NaN if it holds one. Parameters as for `sum`.

    Equal maxima share the gradient.

    Raises
    ------
    ShapeError
        When there is nothing to take the maximum of.

    Examples
    --------
    >>> fastconv.ops.max([[1.0, 2.0], [3.0, 4.0]])
    Tensor(4., dtype=float32)
    """
    return _reduce(MAX, x, axis, keepdims)
