"""Other shapes and orders of the same elements; parts of tensors, and tensors joined."""

import math

import numpy as np

from .... import ops
from ....errors import ModelFormatError, ShapeError
from ..operand import Operand
from ._registry import evaluates, lowers
from ._shapes import axes_of, axis_of, numbers, positive, reshapes, resolve, within

# ---- the same elements


def _permutation(call, x):
    order = call.attribute("perm", list(range(x.ndim))[::-1])
    if sorted(order) != list(range(x.ndim)):
        raise ModelFormatError(f"perm is {order}, expected the {x.ndim} axes from 0 to {x.ndim - 1} in some order")
    return order


@lowers("Transpose")
def transpose(call, x):
    return x.transposed(_permutation(call, x))


@evaluates("Transpose")
def transpose_array(call, x):
    return x.transpose(_permutation(call, x))


@lowers("Identity")
@evaluates("Identity")
def identity(call, x):
    return x


@reshapes("Reshape")
def reshape(call, old, shape=None):
    target = numbers(call, shape, "shape")
    if id(call.node) in call.network.rows_kept:
        target[0] = old[0]
    if not call.attribute("allowzero", 0):
        if any(n == 0 and i >= len(old) for i, n in enumerate(target)):
            raise ShapeError(f"{target} copies a size that the shape {old} does not have")
        target = [n or old[i] for i, n in enumerate(target)]
    return resolve(target, math.prod(old))


@reshapes("Flatten")
def flatten(call, old):
    axis = axis_of(call.attribute("axis", 1), len(old), behind=1)
    return math.prod(old[:axis]), math.prod(old[axis:])


@reshapes("Squeeze")
def squeeze(call, old, axes=None):
    named = numbers(call, axes, "axes")
    dropped = [i for i, n in enumerate(old) if n == 1] if named is None else {axis_of(axis, len(old)) for axis in named}
    if any(old[i] != 1 for i in dropped):
        raise ShapeError(f"of the axes {list(dropped)} of shape {old}, one has not the size 1")
    return tuple(n for i, n in enumerate(old) if i not in dropped)


@reshapes("Unsqueeze")
def unsqueeze(call, old, axes=None):
    named = numbers(call, axes, "axes")
    if named is None:
        raise ModelFormatError("lacks its axes")
    ndim = len(old) + len(named)
    places = axes_of(named, ndim)
    sizes = iter(old)
    return tuple(1 if i in places else next(sizes) for i in range(ndim))


def _blocks_to_space(call, x, reshape, transpose):
    """Depth to space, by a function that reshapes and one that transposes."""
    n, c, h, w = x.shape
    b = positive(call, "blocksize")
    mode = call.attribute("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise ModelFormatError(f"mode is {mode!r}, expected DCR or CRD")
    if c % (b * b):
        raise ShapeError(f"blocks of {b} x {b} pixels cannot be made of {c} channels: {b * b} must divide them")
    if mode == "DCR":
        x = transpose(reshape(x, (n, b, b, c // (b * b), h, w)), (0, 3, 4, 1, 5, 2))
    else:
        x = transpose(reshape(x, (n, c // (b * b), b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return reshape(x, (n, c // (b * b), h * b, w * b))


@lowers("DepthToSpace")
def depth_to_space(call, x):
    return _blocks_to_space(call, x, Operand.reshaped, Operand.transposed)


@evaluates("DepthToSpace")
def depth_to_space_array(call, x):
    return _blocks_to_space(call, x, np.reshape, np.transpose)


def _space_to_blocks(call, x, reshape, transpose):
    n, c, h, w = x.shape
    b = positive(call, "blocksize")
    if h % b or w % b:
        raise ShapeError(f"{h} x {w} pixels cannot be cut into blocks: blocksize {b} must divide both")
    order = (0, 3, 5, 1, 2, 4) if call.attribute("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    x = transpose(reshape(x, (n, c, h // b, b, w // b, b)), order)
    return reshape(x, (n, c * b * b, h // b, w // b))


@lowers("SpaceToDepth")
def space_to_depth(call, x):
    return _space_to_blocks(call, x, Operand.reshaped, Operand.transposed)


@evaluates("SpaceToDepth")
def space_to_depth_array(call, x):
    return _space_to_blocks(call, x, np.reshape, np.transpose)


# ---- joined and repeated


def join(operands, axis):
    """Return operands side by side along an axis, stored as the largest one of them that is not constant."""
    lead = max(operands, key=lambda x: (x.constant is None, x.size))
    return Operand(ops.concatenate([x.tensor(lead.order) for x in operands], lead.axes[axis]), lead.axes)


def _concat_axis(call, x):
    return axis_of(call.required("axis") if call.version >= 4 else call.attribute("axis", 1), x.ndim)


@lowers("Concat")
def concat(call, *xs):
    return join(xs, _concat_axis(call, xs[0])) if len(xs) > 1 else xs[0]


@evaluates("Concat")
def concat_arrays(call, *xs):
    return np.concatenate(xs, _concat_axis(call, xs[0]))


def _repeats(call, x, repeats, axis):
    if call.version >= 6:
        counts = numbers(call, repeats)
    else:
        counts = [1] * x.ndim  # Tile 1 repeats along one axis
        counts[numbers(call, axis)[0]] = numbers(call, repeats)[0]
    within(n * count for n, count in zip(x.shape, counts, strict=True))
    return counts


@lowers("Tile")
def tile(call, x, repeats, axis=None):
    counts = _repeats(call, x, repeats, axis)
    return Operand(ops.tile(x.stored, [counts[axis] for axis in x.order]), x.axes)


@evaluates("Tile", shaping=(1, 2))
def tile_array(call, x, repeats, axis=None):
    return np.tile(x, _repeats(call, x, repeats, axis))


def _expanded(call, x, shape):
    return within(np.broadcast_shapes(x.shape, within(numbers(call, shape))))


@lowers("Expand")
def expand(call, x, shape):
    target = _expanded(call, x, shape)
    if math.prod(target) == x.size:
        return x.reshaped(target)
    x = x.reshaped((1,) * (len(target) - x.ndim) + x.shape)
    return Operand(ops.broadcast_to(x.stored, [target[axis] for axis in x.order]), x.axes)


@evaluates("Expand", shaping=(1,))
def expand_array(call, x, shape):
    return np.broadcast_to(x, _expanded(call, x, shape))


# ---- parts


def _clamped(start, end, step, n):
    """Return the slice of an axis of n that a Slice means.

    Not that of Python: with a negative step a start before the axis is its first element, and an end of -1 - n or less,
    as exporters write "to the front", lies before that.
    """
    start, end = (place + n if place < 0 else place for place in (start, end))
    if step > 0:
        start, end = (min(max(place, 0), n) for place in (start, end))
        return slice(None) if (start, end, step) == (0, n, 1) else slice(start, end, step)
    start, end = min(max(start, 0), n - 1), min(max(end, -1), n - 1)
    return slice(start, None if end < 0 else end, step) if n else slice(0, 0)


def _slice_index(call, x, starts, ends, axes, steps):
    starts, ends = numbers(call, starts, "starts"), numbers(call, ends, "ends")
    axes, steps = numbers(call, axes, "axes"), numbers(call, steps)
    for name, given in (("ends", ends), ("axes", axes), ("steps", steps)):
        if given and len(given) != len(starts):
            raise ModelFormatError(f"{name} has {len(given)} numbers, but starts {len(starts)}: one for each axis")
    steps = steps or [1] * len(starts)
    if 0 in steps:
        raise ModelFormatError(f"steps is {steps}, expected numbers that are not 0")
    index = [slice(None)] * x.ndim
    for axis, *bounds in zip(axes_of(axes or range(len(starts)), x.ndim), starts, ends, steps, strict=True):
        index[axis] = _clamped(*bounds, x.shape[axis])
    return tuple(index)


@lowers("Slice")
def slice_(call, x, starts=None, ends=None, axes=None, steps=None):
    return x[_slice_index(call, x, starts, ends, axes, steps)]


@evaluates("Slice", shaping=(1, 2, 3, 4))
def slice_array(call, x, starts=None, ends=None, axes=None, steps=None):
    return x[_slice_index(call, x, starts, ends, axes, steps)]


def _split(call, x, sizes):
    """Return the parts of an operand or array."""
    axis = axis_of(call.attribute("axis", 0), x.ndim)
    sizes, n = numbers(call, sizes, "split"), x.shape[axis]
    if sizes is None:
        count = len(call.node.output)
        if call.attribute("num_outputs", count) != count:
            raise ModelFormatError(f"num_outputs is {call.attribute('num_outputs')}, but the node has {count} outputs")
        size = -(-n // count)
        sizes = [min(size, n - i * size) for i in range(count)]
    if sum(sizes) != n or min(sizes) < 0:
        raise ShapeError(f"parts of {sizes} do not make the {n} of axis {axis} of shape {x.shape}")
    ends = np.cumsum(sizes).tolist()
    return [
        x[(slice(None),) * axis + (slice(end - m, end),) + (slice(None),) * (x.ndim - axis - 1)]
        for end, m in zip(ends, sizes, strict=True)
    ]


lowers("Split")(lambda call, x, sizes=None: _split(call, x, sizes))
evaluates("Split", shaping=(1,))(lambda call, x, sizes=None: _split(call, x, sizes))


def _time_reversed(call, x, lengths):
    batch, time = call.attribute("batch_axis", 1), call.attribute("time_axis", 0)
    y = x.copy()
    for i, n in enumerate(lengths.tolist()):
        index = [slice(None)] * x.ndim
        index[batch], index[time] = i, slice(0, n)
        y[tuple(index)] = np.flip(x[tuple(index)], time - (time > batch))
    return y


evaluates("ReverseSequence")(_time_reversed)


# ---- padding


def _padding(call, x, pads, axes):
    """Return ((before, after), ...), a pair for each axis."""
    named = numbers(call, pads, "pads" if call.version >= 2 else "paddings")
    places = axes_of(numbers(call, axes), x.ndim)
    if len(named) != 2 * len(places):
        raise ModelFormatError(f"pads has {len(named)} numbers, where {2 * len(places)} are needed: two for each axis")
    padding = [(0, 0)] * x.ndim
    for i, axis in enumerate(places):
        padding[axis] = named[i], named[i + len(places)]
    within(n + sum(pair) for n, pair in zip(x.shape, padding, strict=True))
    return padding


def _source(mode, n, before, after):
    """Return which of n elements lies at each place of a padded axis."""
    index = np.arange(-before, n + after)
    if mode == "edge" or n == 1:
        return index.clip(0, n - 1)
    if mode == "wrap":
        return index % n
    if mode != "reflect":
        raise ModelFormatError(f"Pad has no mode {mode!r}")
    index = np.abs(index) % (2 * n - 2)
    return np.minimum(index, 2 * n - 2 - index)


def _gathered(x, mode, padding):
    """Return an array padded with its own elements."""
    for axis, (before, after) in enumerate(padding):
        if before or after:
            index = [slice(None)] * x.ndim
            index[axis] = _source(mode, x.shape[axis], before, after)
            x = x[tuple(index)]
    return x


def padded_array(x, padding, value=0):
    """Return an array with a constant around it; where a pair is negative, with less of it."""
    cropped = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, padding, strict=True))]
    return np.pad(cropped, [(max(a, 0), max(b, 0)) for a, b in padding], constant_values=value)


def padded(x, padding, mode="constant", value=0.0):
    """Return a float32 operand with something around it; where a pair is negative, with less of it."""
    return Operand(ops.pad(x.stored, [padding[axis] for axis in x.order], mode, value), x.axes)


@lowers("Pad")
def pad(call, x, pads=None, value=None, axes=None):
    padding, mode = _padding(call, x, pads, axes), call.attribute("mode", "constant")
    sizes = [n + sum(pair) for n, pair in zip(x.shape, padding, strict=True)]
    crops = any(n < 0 for pair in padding for n in pair)
    if x.dtype != np.float32 or 0 in (x.size, *sizes) or (crops and mode != "constant"):
        return NotImplemented
    number = call.attribute("value", 0.0) if value is None or call.known(value).size == 0 else value.constant.item()
    return padded(x, padding, mode, number)


@evaluates("Pad", shaping=(1, 3))
def pad_array(call, x, pads=None, value=None, axes=None):
    padding, mode = _padding(call, x, pads, axes), call.attribute("mode", "constant")
    if mode != "constant":
        return _gathered(x, mode, padding)
    number = call.attribute("value", 0.0) if value is None or value.size == 0 else value.item()
    return padded_array(x, padding, number)


def _centre_padding(call, x, shape):
    padding = [(0, 0)] * x.ndim
    axes = axes_of(call.attribute("axes"), x.ndim)
    for axis, size in zip(axes, numbers(call, shape), strict=True):
        extra = size - x.shape[axis]  # the odd one goes behind
        before = extra // 2 if extra >= 0 else -(-extra // 2)
        padding[axis] = before, extra - before
    within(n + sum(pair) for n, pair in zip(x.shape, padding, strict=True))
    return padding


@lowers("CenterCropPad")
def centre_crop_pad(call, x, shape):
    return padded(x, _centre_padding(call, x, shape)) if x.dtype == np.float32 else NotImplemented


@evaluates("CenterCropPad", shaping=(1,))
def centre_crop_pad_array(call, x, shape):
    return padded_array(x, _centre_padding(call, x, shape))
