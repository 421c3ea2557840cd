"""Elements that are picked by indices, or by their values."""

import math

import numpy as np

from ....errors import ModelFormatError, ShapeError
from ._arrays import inside, whole
from ._registry import evaluates, lowers
from ._shapes import axis_of

REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


@evaluates("Gather")
def gather_array(call, x, indices):
    axis = axis_of(call.attribute("axis", 0), x.ndim)
    return np.take(x, inside(indices, x.shape[axis], f"axis {axis}"), axis)


@lowers("Gather")
def gather(call, x, indices):
    if whole(indices).constant is None or x.constant is not None:
        return NotImplemented
    axis = axis_of(call.attribute("axis", 0), x.ndim)
    index = [slice(None)] * x.ndim
    index[axis] = _as_slice(indices.constant, x.shape[axis])
    y = x[tuple(index)]
    return y if indices.ndim else y.reshaped(x.shape[:axis] + x.shape[axis + 1 :])


def _as_slice(indices, size):
    """Return a slice that picks the same, where there is one."""
    flat = np.where(indices < 0, indices + size, indices).reshape(-1)
    if flat.size == 0 or flat.min() < 0 or flat.max() >= size or indices.ndim > 1:
        return indices
    steps = set(np.diff(flat).tolist()) or {1}
    if len(steps) > 1 or min(steps) <= 0:
        return indices
    return slice(int(flat[0]), int(flat[-1]) + 1, steps.pop())


@evaluates("GatherElements")
def gather_elements(call, x, indices):
    axis = axis_of(call.attribute("axis", 0), x.ndim)
    inside(indices, x.shape[axis], f"axis {axis}")
    others = [n for i, n in enumerate(x.shape) if i != axis]
    if indices.ndim != x.ndim or any(n > m for n, m in zip(np.delete(indices.shape, axis), others, strict=True)):
        raise ShapeError(
            f"has indices {list(indices.shape)} for {list(x.shape)}: along axes other than {axis} there must not be more"
        )
    # Of more elements along those axes the first are meant.
    part = tuple(slice(None if i == axis else n) for i, n in enumerate(indices.shape))
    return np.take_along_axis(x[part], indices, axis)


@evaluates("GatherND")
def gather_nd(call, x, indices):
    batch = call.attribute("batch_dims", 0)
    lead, depth = whole(indices).shape[:batch], indices.shape[-1]
    rows = math.prod(lead)
    flat = x.reshape(rows, *x.shape[batch:])
    tuples = indices.reshape(rows, -1, depth)
    places = [
        inside(part, n, f"axis {axis}") for axis, (part, n) in _by_axis(np.moveaxis(tuples, -1, 0), x.shape, batch)
    ]
    picked = flat[(np.arange(rows)[:, None], *places)]
    return picked.reshape(indices.shape[:-1] + x.shape[batch + depth :])


def _by_axis(parts, shape, first=0):
    """Yield (axis, (indices along it, its size)), from axis `first` on."""
    if first + len(parts) > len(shape):
        raise ModelFormatError(
            f"has indices of {len(parts)} axes, where {len(shape) - first} are left of {list(shape)}"
        )
    return enumerate(zip(parts, shape[first:], strict=False), first)


def _scatter(call, x, index, updates):
    y = x.copy()
    reduction = call.attribute("reduction", "none")
    if reduction == "none":
        y[index] = updates
    else:
        if reduction not in REDUCTIONS:
            raise ModelFormatError(f"reduction is {reduction!r}, expected none, {', '.join(REDUCTIONS)}")
        REDUCTIONS[reduction].at(y, index, updates)
    return y


@evaluates("Scatter", "ScatterElements")
def scatter_elements(call, x, indices, updates):
    index = list(np.indices(indices.shape, sparse=True))
    axis = axis_of(call.attribute("axis", 0), x.ndim)
    index[axis] = inside(indices, x.shape[axis], f"axis {axis}")
    return _scatter(call, x, tuple(index), updates)


@evaluates("ScatterND")
def scatter_nd(call, x, indices, updates):
    places = (inside(part, n, f"axis {axis}") for axis, (part, n) in _by_axis(np.moveaxis(indices, -1, 0), x.shape))
    return _scatter(call, x, tuple(places), updates)


# ---- by their values


@evaluates("NonZero", dynamic=True)
def non_zero(call, x):
    return np.array(np.atleast_1d(x).nonzero(), np.int64)


@evaluates("Compress", dynamic=True)
def compress(call, x, condition):
    return np.compress(condition, x, call.attribute("axis"))


@evaluates("Unique", dynamic=True)
def unique(call, x):
    axis = call.attribute("axis")
    values, first, inverse, counts = np.unique(x, True, True, True, axis)
    inverse = inverse.reshape(-1)
    if not call.attribute("sorted", 1):  # in the order in which they come
        order = np.argsort(first)
        place = np.argsort(order)
        values, first, counts, inverse = np.take(values, order, axis or 0), first[order], counts[order], place[inverse]
    return values, *(a.astype(np.int64) for a in (first, inverse, counts))


def order_along(x, axis, largest):
    """Return indices that sort along an axis, the largest or the smallest first; of equals the one with the lower index."""
    if not largest:
        return np.argsort(x, axis, kind="stable")
    last = x.shape[axis] - 1
    return np.flip(last - np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


@evaluates("TopK", shaping=(1,))
def top_k(call, x, k=None):
    axis = axis_of(call.attribute("axis", -1), x.ndim)
    count = call.required("k") if k is None else int(k.item())
    if not 0 <= count <= x.shape[axis]:
        raise ModelFormatError(f"k is {count}, expected a number from 0 to {x.shape[axis]}, the size of axis {axis}")
    order = order_along(x, axis, call.attribute("largest", 1))
    index = order[(slice(None),) * axis + (slice(count),)]
    return np.take_along_axis(x, index, axis), index.astype(np.int64)
