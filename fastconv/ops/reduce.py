"""Sum, mean, maximum, minimum and product over axes. The gradients of extremes are host steps."""

import builtins
import math
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from .._kernels import move
from .._kernels import reduce as kernels
from ..autograd import apply, as_tensor
from ..errors import ArgumentError, ShapeError
from ..op import Case, Op, Plan, Spec, register
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


def _infer_extreme(specs, attrs):
    if builtins.any(specs["x"].shape[i] == 0 for i in attrs.axis):
        raise ShapeError(f"the extreme over axis {attrs.axis} of an array of shape {specs['x'].shape} does not exist")
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


def _reference_min(arrays, attrs):
    return {"y": arrays["x"].min(attrs.axis, keepdims=attrs.keepdims)}


# Only the largest, or smallest, elements move y; equal ones share its gradient.
def _backward_extreme(arrays, attrs, needs):
    x = arrays["x"]
    theirs = (x == _spread(arrays["y"], x, attrs)).astype(x.dtype)
    return {"dx": _spread(arrays["dy"], x, attrs) * theirs / theirs.sum(attrs.axis, keepdims=True)}


def _reference_prod(arrays, attrs):
    return {"y": arrays["x"].prod(attrs.axis, keepdims=attrs.keepdims)}


_CASES = tuple(
    Case({"x": Spec(shape)}, Attrs(axis, keepdims))
    for shape, axis, keepdims in [
        ((1,), (0,), False),
        ((3, 4, 5), (0, 1, 2), False),
        ((3, 4, 5), (1,), True),
        ((3, 4, 5), (0, 2), False),
        ((2, 3, 1, 7), (2, 3), True),
        ((3, 2), (), False),
        ((2, 7, 5, 3), (1, 2), True),  # pixels
        ((3, 2, 70), (1,), False),
        ((2, 3, 4, 3, 5), (1, 3), False),
        ((2, 3, 4, 3, 5), (0, 2, 4), False),
        ((3, 131), (1,), False),
        ((2, 300, 9), (1,), False),
        ((70, 2, 150), (1,), False),  # more than one chunk
    ]
)


def _plan_backward(specs, attrs, divisor=None):
    """Return the plan of dx = dy, over `divisor` where there is one, along every axis that was reduced."""
    shape = specs["x"].shape
    kept = tuple(1 if i in attrs.axis else n for i, n in enumerate(shape))
    strides = [0 if i in attrs.axis else stride for i, stride in enumerate(move.strides_of(kept))]
    spread = move.copy("dy" if divisor is None else "share", "dx", shape, strides, move.strides_of(shape))
    if spread is None or 0 in shape:
        return None
    if divisor is None:
        return Plan(phases=((spread,),))
    share = kernels.reduce("mean", "dy", "share", kept, (), divisor)
    return Plan(phases=((share,), (spread,)), workspace={"share": 4 * math.prod(kept)})


def _plan_backward_sum(specs, attrs, needs):
    return _plan_backward(specs, attrs)


def _plan_backward_mean(specs, attrs, needs):
    return _plan_backward(specs, attrs, _count(specs["x"], attrs))


def _make(
    name,
    infer,
    reference,
    reference_backward=None,
    linear=False,
    keeps=(),
    draw=MappingProxyType({}),
    **plan_backward,
):
    def plan(specs, attrs):
        step = kernels.reduce(name, "x", "y", specs["x"].shape, attrs.axis)
        return step and Plan(phases=((step,),))

    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            infer=infer,
            reference=reference,
            reference_backward=reference_backward,
            plan=plan,
            **plan_backward,
            keeps=lambda attrs, needs: keeps,
            attrs=Attrs,
            differentiable=frozenset({"x"} if reference_backward else ()),
            linear=("x",) if linear else (),
            cases=tuple(case._replace(draw=draw) for case in _CASES),
            reduction=lambda specs, attrs: specs["x"].size,
            flops=lambda specs, attrs: specs["x"].size,
        )
    )


SUM = _make("sum", _infer, _reference_sum, _backward_sum, linear=True, plan_backward=_plan_backward_sum)
MEAN = _make("mean", _infer, _reference_mean, _backward_mean, linear=True, plan_backward=_plan_backward_mean)
MAX = _make("max", _infer_extreme, _reference_max, _backward_extreme, keeps=("x", "y"))
MIN = _make("min", _infer_extreme, _reference_min, _backward_extreme, keeps=("x", "y"))
PROD = _make("prod", _infer, _reference_prod, draw={"x": lambda rng, shape: rng.uniform(0.9, 1.1, shape)})


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


def min(x, axis=None, keepdims=False):
    """Return the minimum of `x` over `axis`; NaN if it holds one. Parameters and errors as for `max`.

    Examples
    --------
    >>> fastconv.ops.min([[1.0, 2.0], [3.0, 4.0]], axis=1)
    Tensor([1., 3.], dtype=float32)
    """
    return _reduce(MIN, x, axis, keepdims)


def prod(x, axis=None, keepdims=False):
    """Return the product of `x` over `axis`. Parameters as for `sum`; there is no gradient.

    Examples
    --------
    >>> fastconv.ops.prod([[1.0, 2.0], [3.0, 4.0]], axis=1)
    Tensor([ 2., 12.], dtype=float32)
    """
    return _reduce(PROD, x, axis, keepdims)
