"""Pooling."""

import math

import numpy as np

from .... import ops
from ..operand import channels_first
from ._arrays import in_float32, inside
from ._registry import evaluates, lowers
from ._shapes import within
from ._windows import at_least, columns, counts, pads_of, pooled, steps, whole_padding

LOWERED = (np.float32, np.float64)


def _lower(call, name, x, w):
    """Return the pooling `name` of an operand by `fastconv.ops`, or NotImplemented."""
    rank = x.ndim - 2
    padding = whole_padding(w)
    fits = all(max(pads) < k for pads, k in zip(padding, w.kernel, strict=True))
    if x.dtype not in LOWERED or not 1 <= rank <= 3 or any(d != 1 for d in w.dilations) or not fits:
        return NotImplemented
    return channels_first(getattr(ops, f"{name}{rank}d")(x.channels_last(), w.kernel, w.strides, padding))


@lowers("MaxPool")
def max_pool(call, x):
    if any(call.wanted[1:]):
        return NotImplemented
    return _lower(call, "max_pool", x, pooled(call, x))


@evaluates("MaxPool")
def max_pool_arrays(call, x):
    w = pooled(call, x)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    seen = columns(x, w, lowest)
    if not any(call.wanted[1:]):
        return seen.max(-1)
    best = seen.argmax(-1)
    places = np.unravel_index(best, w.kernel)
    axes = list(range(len(w.size)))
    column_major = call.attribute("storage_order", 0)
    index = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * len(axes))
    index = index * math.prod(w.size)
    step = 1
    for axis in axes if column_major else axes[::-1]:
        outputs = np.arange(w.out[axis]).reshape(-1, *(1,) * (len(axes) - 1 - axis))
        index = index + step * (outputs * w.strides[axis] + places[axis] * w.dilations[axis] - w.padding[axis][0])
        step *= w.size[axis]
    return np.take_along_axis(seen, best[..., None], -1)[..., 0], index


@lowers("AveragePool")
def average_pool(call, x):
    w = pooled(call, x)
    if x.dtype not in LOWERED:
        return NotImplemented
    if call.attribute("count_include_pad", 0) and any(map(any, w.padding)):
        if x.ndim == 4 and not any(w.beyond):  # every window counts as whole
            y = _lower(call, "sum_pool", x, w)
            return y if y is NotImplemented else call.pointwise(lambda t: ops.multiply(t, 1 / math.prod(w.kernel)), y)
        padded = ops.pad(x.channels_last(), ((0, 0), *w.padding, (0, 0)))
        size = tuple(n + sum(pads) for n, pads in zip(w.size, w.padding, strict=True))
        return _lower(call, "avg_pool", channels_first(padded), w._replace(size=size, padding=((0, 0),) * len(size)))
    return _lower(call, "avg_pool", x, w)


@evaluates("AveragePool")
@in_float32
def average_pool_arrays(call, x):
    w = pooled(call, x)
    return (columns(x, w).sum(-1) / counts(w, call.attribute("count_include_pad", 0))).astype(x.dtype)


@evaluates("LpPool")
@in_float32
def lp_pool(call, x):
    p = call.attribute("p", 2)
    return (np.abs(columns(x, pooled(call, x))) ** p).sum(-1, dtype=x.dtype) ** x.dtype.type(1 / p)


# ---- over whole images


def _lower_global(name):
    def lower(call, x):
        rank = x.ndim - 2
        if x.dtype not in LOWERED or not 1 <= rank <= 3:
            return NotImplemented
        return channels_first(getattr(ops, f"global_{name}_pool{rank}d")(x.channels_last(), keepdims=True))

    return lower


lowers("GlobalAveragePool")(_lower_global("avg"))
lowers("GlobalMaxPool")(_lower_global("max"))


@evaluates("GlobalAveragePool")
@in_float32
def global_average_pool(call, x):
    return x.mean(tuple(range(2, x.ndim)), keepdims=True, dtype=x.dtype)


@evaluates("GlobalMaxPool")
def global_max_pool(call, x):
    return x.max(tuple(range(2, x.ndim)), keepdims=True)


@evaluates("GlobalLpPool")
@in_float32
def global_lp_pool(call, x):
    p = call.attribute("p", 2)
    return (np.abs(x) ** p).sum(tuple(range(2, x.ndim)), keepdims=True, dtype=x.dtype) ** x.dtype.type(1 / p)


# ---- backwards


def _unpooled(call, x):
    """Return the size of the images that a MaxUnpool's indices are of."""
    rank = x.ndim - 2
    kernel = at_least(1, "kernel_shape", call.required("kernel_shape"), rank)
    strides, pads = steps(call, rank)[0], pads_of(call, rank)
    return [(n - 1) * strides[i] + kernel[i] - sum(pads[i]) for i, n in enumerate(x.shape[2:])]


@evaluates("MaxUnpool", shaping=(2,))
def max_unpool(call, x, index, output_shape=None):
    y = np.zeros(within((*x.shape[:2], *_unpooled(call, x))), x.dtype)
    y.reshape(-1)[inside(index, y.size, "what is unpooled", lowest=0)] = x
    if output_shape is None:
        return y
    wanted = within(output_shape.tolist())
    return np.pad(y, [(0, m - n) for m, n in zip(wanted, y.shape, strict=True)])
