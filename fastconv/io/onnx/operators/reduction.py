"""Sums, means, extremes over axes, and running sums."""

import math

import numpy as np

from .... import ops
from ..operand import Operand
from ._arrays import in_float32
from ._registry import evaluates, lowers
from ._shapes import axes_of, axis_of, numbers


def _axes(call, x, axes):
    """Return the axes to reduce; None where nothing is to be done."""
    named = numbers(call, axes, "axes")
    if not named and call.attribute("noop_with_empty_axes", 0):
        return None
    return axes_of(named or None, x.ndim)


def _log_sum_exp(x, axes, keepdims):
    top = x.max(axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    sums = np.log(np.exp(x - top).sum(axes, keepdims=True)) + top
    return sums if keepdims else sums.squeeze(axes)


def _mean(x, axes, keepdims):
    sums = x.sum(axes, keepdims=keepdims, dtype=np.float64 if x.dtype.kind == "f" else x.dtype)
    count = math.prod(x.shape[axis] for axis in axes)
    return sums / count if x.dtype.kind == "f" else sums // count


def _bounds(dtype):
    if dtype.kind == "b":
        return False, True
    return (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)


def _max(x, axes, keepdims):
    return x.max(axes, keepdims=keepdims, initial=_bounds(x.dtype)[0])


def _min(x, axes, keepdims):
    return x.min(axes, keepdims=keepdims, initial=_bounds(x.dtype)[1])


def _sum(x, axes, keepdims):
    return x.sum(axes, keepdims=keepdims, dtype=x.dtype)


# Operator -> (what is done to each element, the reduction, what is done to the result), for arrays.
ARRAYS = {
    "ReduceSum": (None, _sum, None),
    "ReduceMean": (None, _mean, None),
    "ReduceMax": (None, _max, None),
    "ReduceMin": (None, _min, None),
    "ReduceProd": (None, lambda x, axes, keepdims: x.prod(axes, keepdims=keepdims, dtype=x.dtype), None),
    "ReduceL1": (np.abs, _sum, None),
    "ReduceL2": (np.square, _sum, np.sqrt),
    "ReduceSumSquare": (np.square, _sum, None),
    "ReduceLogSum": (None, _sum, np.log),
    "ReduceLogSumExp": (None, _log_sum_exp, None),
}


def _image_mean(x, axis, keepdims):
    """Return the mean of a Tensor; over the pixels of images of several channels by a kernel of their own.

    A last axis of one may be the batch's: then the same sum in another order would depend on the number of images.
    """
    if axis == (1, 2) and x.ndim == 4 and x.shape[3] > 1:
        return ops.global_avg_pool2d(x, keepdims=keepdims)
    return ops.mean(x, axis, keepdims)


# The same for Tensors.
TENSORS = {
    "ReduceSum": (None, ops.sum, None),
    "ReduceMean": (None, _image_mean, None),
    "ReduceMax": (None, ops.max, None),
    "ReduceMin": (ops.negative, ops.max, ops.negative),
    "ReduceL1": (ops.abs, ops.sum, None),
    "ReduceL2": (ops.square, ops.sum, ops.sqrt),
    "ReduceSumSquare": (ops.square, ops.sum, None),
    "ReduceLogSum": (None, ops.sum, ops.log),
}


def _same(x):
    return x


def _reduction(name):
    before, reduce, after = (part or _same for part in ARRAYS[name])

    @evaluates(name, shaping=(1,))
    @in_float32
    def evaluate(call, x, axes=None):
        axes = _axes(call, x, axes)
        y = before(x)
        y = y if axes is None else reduce(y, axes, bool(call.attribute("keepdims", 1)))
        return np.asarray(after(y)).astype(x.dtype)


def _lowering(name):
    before, reduce, after = (part or _same for part in TENSORS[name])

    @lowers(name)
    def lower(call, x, axes=None):
        axes, keepdims = _axes(call, x, axes), bool(call.attribute("keepdims", 1))
        if x.dtype != np.float32 or x.size == 0:
            return NotImplemented
        y = before(x.tensor(x.order))
        if axes is None:
            return Operand(after(y), x.axes)
        y = after(reduce(y, tuple(sorted(x.axes[axis] for axis in axes)), keepdims))
        if keepdims:
            return Operand(y, x.axes)
        order = [axis for axis in x.order if axis not in axes]
        return Operand(y, np.argsort(order).tolist())


for _name in ARRAYS:
    _reduction(_name)
for _name in TENSORS:
    _lowering(_name)


def _arg(name, largest):
    @evaluates(name)
    def evaluate(call, x):
        axis = axis_of(call.attribute("axis", 0), x.ndim)
        find = np.argmax if largest else np.argmin
        if call.attribute("select_last_index", 0):
            index = x.shape[axis] - 1 - find(np.flip(x, axis), axis)
        else:
            index = find(x, axis)
        return np.expand_dims(index, axis) if call.attribute("keepdims", 1) else index


_arg("ArgMax", True)
_arg("ArgMin", False)


def _running(name, function, start):
    @evaluates(name)
    def evaluate(call, x, axis):
        axis = axis_of(int(axis.item()), x.ndim)
        y = np.flip(x, axis) if call.attribute("reverse", 0) else x
        y = function(y, axis, dtype=x.dtype)
        if call.attribute("exclusive", 0):
            y = np.roll(y, 1, axis)
            y[(slice(None),) * axis + (slice(0, 1),)] = start
        return np.flip(y, axis) if call.attribute("reverse", 0) else y


_running("CumSum", np.cumsum, 0)
_running("CumProd", np.cumprod, 1)
