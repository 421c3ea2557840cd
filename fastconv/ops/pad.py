"""Elements around an array, or less of it: each axis grows or shrinks at both ends.

A step copies each part that x is seen in (one, or with "edge", "reflect" and "wrap" a few per axis), others fill the rest.
"""

from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import move, runtime
from ..autograd import apply, as_tensor
from ..errors import ArgumentError, ShapeError
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float

MODES = ("constant", "edge", "reflect", "wrap")

# Copies that one plan may be made of; beyond that NumPy does it.
MAX_COPIES = 1024


class Attrs(NamedTuple):
    """`padding`: a pair (before, after) per axis; a negative number cuts off. `value` is what "constant" puts there."""

    padding: tuple[tuple[int, int], ...]
    mode: str = "constant"
    value: float = 0.0


def infer(specs, attrs):
    x = specs["x"]
    check_float("pad", "x", x)
    if len(x.shape) != len(attrs.padding):
        raise ShapeError(f"pad: {len(attrs.padding)} pairs of padding do not fit x of shape {x.shape}")
    size = tuple(None if n is None else n + sum(pair) for n, pair in zip(x.shape, attrs.padding, strict=True))
    for n, pair in zip(x.shape, attrs.padding, strict=True):
        if n is not None and n + sum(min(p, 0) for p in pair) < min(n, 1):
            raise ShapeError(f"pad: nothing would be left of x of shape {x.shape} with padding {attrs.padding}")
        if n == 0 and attrs.mode != "constant" and sum(pair):
            raise ShapeError(f"pad: x of shape {x.shape} has nothing to repeat with mode {attrs.mode!r}")
    return {"y": Spec(size, x.dtype)}


def _regions(x_shape, attrs):
    """Return the slices of x that stay, and of y where they go."""
    kept = [(max(0, -before), n - max(0, -after)) for n, (before, after) in zip(x_shape, attrs.padding, strict=True)]
    starts = [max(0, before) for before, _ in attrs.padding]
    return (
        tuple(slice(first, end) for first, end in kept),
        tuple(slice(start, start + end - first) for start, (first, end) in zip(starts, kept, strict=True)),
    )


def _indices(x_shape, attrs):
    """Return which element of x stands where along each axis of y, with a mode that repeats x."""
    kept, _ = _regions(x_shape, attrs)
    return [
        np.pad(np.arange(n)[part], [max(p, 0) for p in pair], mode=attrs.mode)
        for n, part, pair in zip(x_shape, kept, attrs.padding, strict=True)
    ]


def reference(arrays, attrs):
    x = arrays["x"]
    if attrs.mode != "constant":
        return {"y": x[np.ix_(*_indices(x.shape, attrs))]}
    y = np.full(infer({"x": Spec(x.shape, x.dtype.name)}, attrs)["y"].shape, attrs.value, x.dtype)
    kept, place = _regions(x.shape, attrs)
    y[place] = x[kept]
    return {"y": y}


# y is x elsewhere, so dx is the part of dy that came from x, the sum of it where x came several times, and zeros where x was
# cut off.
def reference_backward(arrays, attrs, needs):
    dx = np.zeros(arrays["x"].shape, arrays["dy"].dtype)
    if attrs.mode != "constant":
        np.add.at(dx, np.ix_(*_indices(dx.shape, attrs)), arrays["dy"])
        return {"dx": dx}
    kept, place = _regions(dx.shape, attrs)
    dx[kept] = arrays["dy"][place]
    return {"dx": dx}


def _copy(source, target, source_shape, target_shape, source_region, target_region):
    """Return the step that copies one region of `source` into one of `target`."""
    from_strides, to_strides = move.strides_of(source_shape), move.strides_of(target_shape)
    first, to = (
        sum(part.start * stride for part, stride in zip(region, strides, strict=True))
        for region, strides in ((source_region, from_strides), (target_region, to_strides))
    )
    return move.copy(
        source, target, [part.stop - part.start for part in source_region], from_strides, to_strides, first, to
    )


def _fills(y_shape, place, value):
    """Yield the steps that fill y outside `place`: before and after it along each axis, within it along the axes before."""
    strides = move.strides_of(y_shape)
    for axis, inside in enumerate(place):
        for start, stop in ((0, inside.start), (inside.stop, y_shape[axis])):
            if start < stop:
                box = [*place[:axis], slice(start, stop), *(slice(0, n) for n in y_shape[axis + 1 :])]
                first = sum(part.start * stride for part, stride in zip(box, strides, strict=True))
                sizes = [part.stop - part.start for part in box]
                yield move.fill("y", sizes, strides, first, np.float32(value), "float32")


def plan(specs, attrs):
    x, y = specs["x"].shape, infer(specs, attrs)["y"].shape
    if attrs.mode == "constant":
        kept, place = _regions(x, attrs)
        steps = (_copy("x", "y", x, y, kept, place), *_fills(y, place, attrs.value))
    else:
        steps = move.take("x", "y", x, [index.tolist() for index in _indices(x, attrs)], "float32", MAX_COPIES)
    return None if steps is None or None in steps else Plan(phases=(steps,))


def plan_backward(specs, attrs, needs):
    if attrs.mode != "constant":
        return None
    x, y = specs["x"].shape, specs["dy"].shape
    kept, place = _regions(x, attrs)
    step = _copy("dy", "dx", y, x, place, kept)
    if step is None or all(part == slice(0, n) for part, n in zip(kept, x, strict=True)):
        return step and Plan(phases=((step,),))
    return Plan(phases=((runtime.zero("dx", 4 * shapes.size(x)),), (step,)))


OP = register(
    Op(
        name="pad",
        inputs=("x",),
        outputs=("y",),
        attrs=Attrs,
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        differentiable=frozenset({"x"}),
        linear=("x",),
        reduction=lambda specs, attrs: 1 + sum(max(p, 0) for pair in attrs.padding for p in pair),
        cases=tuple(
            Case({"x": Spec(shape)}, Attrs(padding, *mode))
            for shape, padding, *mode in [
                ((5,), ((1, 2),)),
                ((3, 4), ((0, 0), (0, 0))),
                ((2, 5, 3), ((0, 0), (2, 1), (0, 0))),
                ((3, 4, 5, 7), ((0, 0), (1, 0), (2, 3), (0, 0))),
                ((3, 4, 5, 7), ((0, 0), (-1, -2), (0, -1), (0, 0))),
                ((2, 6, 5, 17), ((0, 0), (-2, 1), (3, -4), (0, 0))),
                ((1, 3, 4, 5, 2), ((0, 0), (1, 1), (0, 2), (1, 0), (0, 0))),
                ((2, 3, 4), ((1, 0), (0, 0), (0, 3))),
                ((2, 5, 4, 3), ((0, 0), (1, 2), (-1, 3), (0, 0)), "constant", 1.5),
                ((5,), ((3, 2),), "edge"),
                ((2, 5, 4, 3), ((0, 0), (1, 2), (3, 0), (0, 0)), "edge"),
                ((2, 5, 4, 3), ((0, 0), (1, 2), (3, 0), (0, 0)), "reflect"),
                ((1, 3, 4), ((0, 0), (5, 4), (0, 0)), "reflect"),  # farther than x is long
                ((2, 5, 4, 3), ((0, 0), (-2, 1), (3, 2), (0, 0)), "wrap"),
            ]
        ),
    )
)


def pad(x, padding, mode="constant", value=0.0):
    """Elements around `x`; or, where a number is negative, that much less of it.

    Parameters
    ----------
    x : Tensor or array_like
        Of float32 or float64.
    padding : sequence of (int, int)
        (before, after) for each axis.
    mode : {"constant", "edge", "reflect", "wrap"}
        What is put there: `value`, or elements of x as `numpy.pad` takes them.
    value : float

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
    >>> fastconv.ops.pad([1.0, 2.0, 3.0], ((2, 1),), mode="reflect").numpy()
    array([3., 2., 1., 2., 3., 2.], dtype=float32)
    """
    try:
        pairs = tuple((int(before), int(after)) for before, after in padding)
    except (TypeError, ValueError):
        raise ArgumentError(f"padding must be a pair of integers (before, after) per axis, got {padding!r}") from None
    if mode not in MODES:
        raise ArgumentError(f"pad knows the modes {', '.join(MODES)}; got {mode!r}")
    return apply(OP, (as_tensor(x),), Attrs(pairs, mode, float(value) if mode == "constant" else 0.0))
