"""How operations that move elements, or interpolate between them, are written as ONNX nodes; see `export_ops`."""

import numpy as np

from ...errors import UnsupportedOpError
from ...ops.getitem import Array, Slice
from .emitter import FAR, Table, channels_first_order, flat_pads, number, same_order

TABLE = _exports = Table()


@_exports("reshape", "flatten")
def _reshape(e, node):
    x, y = node.inputs["x"], node.outputs["y"]
    old, new = e.shape(x), e.shape(y)
    # 0 copies a dimension, which leaves no doubt; -1 is what is left.
    target = [-1 if n is None else n for n in new]
    for i in range(min(x.ndim, y.ndim)):
        if old[i] is new[i] is None and x.shape[i] == y.shape[i]:
            target[i] = 0
    if target.count(-1) > 1:
        raise UnsupportedOpError(f"a reshape of {old} to {new}, in which several dimensions depend on what is open")
    e.define(y, e.node("Reshape", e.flat(x), e.integers(target)))


@_exports("transpose")
def _transpose(e, node):
    x, y, axes = node.inputs["x"], node.outputs["y"], node.attrs.axes
    if e.array(x) is not None:
        e.define(y, e.tensor(x), [axes.index(axis) for axis in range(x.ndim)])
        return
    order = e.order(x)
    e.define(y, e.tensor(x, order), [axes.index(axis) for axis in order])


@_exports("concatenate")
def _concatenate(e, node):
    values = [node.inputs[f"x{i}"] for i in range(len(node.inputs))]
    order = same_order(e, values)
    name = e.node("Concat", *(e.tensor(value, order) for value in values), axis=order.index(node.attrs.axis))
    e.define(node.outputs["y"], name, order)


@_exports("tile")
def _tile(e, node):
    x, y = node.inputs["x"], node.outputs["y"]
    order = same_order(e, [x])
    name = e.node("Tile", e.tensor(x, order), e.integers([node.attrs.repeats[axis] for axis in order]))
    e.define(y, name, order)


@_exports("pad")
def _pad(e, node):
    x, y = node.inputs["x"], node.outputs["y"]
    order = same_order(e, [x])
    pads = flat_pads([node.attrs.padding[axis] for axis in order])
    value, mode = e.constant(number(node.attrs.value, y)), node.attrs.mode
    name = e.node("Pad", e.tensor(x, order), e.integers(pads), value, mode=mode)
    e.define(y, name, order)


@_exports("upsample")
def _upsample(e, node):
    x, y = node.inputs["x"], node.outputs["y"]
    order = channels_first_order(x.ndim)
    scales = e.constant(np.array([node.attrs.repeats[axis] for axis in order], "float32"))
    name = e.node(
        "Resize",
        e.tensor(x, order),
        None,
        scales,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    e.define(y, name, order)


@_exports("resize")
def _resize(e, node):
    x, y, attrs = node.inputs["x"], node.outputs["y"], node.attrs
    how = f"resize with mode={attrs.mode!r}"
    if attrs.size is not None and attrs.scale is not None:
        raise UnsupportedOpError(f"{how} to a size by scales of their own: give it one of them")
    known = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    if attrs.coordinates not in known and (e.opset < 19 or attrs.coordinates != "half_pixel_symmetric"):
        raise UnsupportedOpError(f"{how} and coordinates={attrs.coordinates!r} at opset {e.opset}")
    if attrs.antialias and e.opset < 18:
        raise UnsupportedOpError(f"{how} and antialias before opset 18, got {e.opset}")
    order = channels_first_order(x.ndim)
    place, name = order.index(attrs.axis), e.tensor(x, order)
    scales = sizes = None
    if attrs.size is None:
        scales = np.ones(x.ndim, "float32")
        scales[place] = attrs.scale
        scales = e.constant(scales)
    else:
        sizes = _sizes(e, name, [e.shape(x)[axis] for axis in order], place, attrs.size)
    name = e.node(
        "Resize",
        name,
        None,
        scales,
        sizes,
        mode=attrs.mode,
        coordinate_transformation_mode=attrs.coordinates,
        nearest_mode=attrs.rounding if attrs.mode == "nearest" else None,
        cubic_coeff_a=attrs.cubic_coefficient if attrs.mode == "cubic" else None,
        exclude_outside=int(attrs.exclude_outside) or None,
        antialias=int(attrs.antialias) or None,
    )
    e.define(y, name, order)


def _sizes(e, name, shape, place, size):
    """Return a tensor's shape with one size in place of another, read from the tensor where it is open."""
    wanted = [*shape[:place], size, *shape[place + 1 :]]
    if None not in wanted:
        return e.integers(wanted)
    shape, zero = e.node("Shape", name), e.integers([0])
    before = e.node("Slice", shape, zero, e.integers([place]), zero)
    after = [e.node("Slice", shape, e.integers([place + 1]), e.integers([FAR]), zero)][: place + 1 < len(wanted)]
    return e.node("Concat", before, e.integers([size]), *after, axis=0)


@_exports("getitem")
def _getitem(e, node):
    x, y, form = node.inputs["x"], node.outputs["y"], list(node.attrs.form)
    used = sum(part is not None and part is not Ellipsis for part in form)
    if Ellipsis not in form:
        form.append(Ellipsis)
    place = form.index(Ellipsis)
    form[place : place + 1] = [Slice()] * (x.ndim - used)
    arrays = [part for part in form if isinstance(part, Array)]
    if len(arrays) > 1 or (arrays and any(isinstance(part, int) for part in form)):
        raise UnsupportedOpError("indexing by several arrays, or by an array and a number, at once")
    name = e.tensor(x)
    starts, ends, steps, axes, single, new, axis, position = [], [], [], [], [], [], 0, 0
    for part in form:
        if part is None:
            new.append(position)
            position += 1
            continue
        if isinstance(part, Array):
            index = e.array(node.inputs["index"])
            if index is None:
                raise UnsupportedOpError("indexing by an array that is computed")
            name = e.node("Gather", name, e.constant(index[part.row].astype("int64")), axis=position)
            # As many axes as the index has take the place of one.
            position += index[part.row].ndim
            axis += 1
            continue
        start, stop, step = (part, part + 1, 1) if isinstance(part, int) else _bounds(part, e.shape(x)[axis])
        if isinstance(part, int) and part == -1:
            stop = FAR
        if (start, stop, step) != (0, FAR, 1):
            starts.append(start)
            ends.append(stop)
            steps.append(step)
            axes.append(axis)
        if isinstance(part, int):
            single.append(axis)
        else:
            position += 1
        axis += 1
    if arrays and (starts or new):
        raise UnsupportedOpError("indexing by an array and slices at once")
    if starts:
        name = e.node("Slice", name, *map(e.integers, (starts, ends, axes, steps)))
    if single:
        name = e.node("Squeeze", name, e.integers(single))
    if new:
        name = e.node("Unsqueeze", name, e.integers(new))
    e.define(y, name)


def _bounds(part, n):
    """Return (start, stop, step) of a slice of an axis of n (None: not known) as ONNX wants them."""
    step = 1 if part.step is None else part.step
    if step < 0 and n is not None and part.start is not None and part.start < -n:
        return 0, 0, 1  # nothing lies there, which ONNX would take for the first element
    first, last = (0, FAR) if step > 0 else (FAR, -FAR)
    return first if part.start is None else part.start, last if part.stop is None else part.stop, step
