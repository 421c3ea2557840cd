"""Slicing and indexing: x[i], x[1:3, ::2], x[rows, columns], x[mask]. Basic slices are views in eager code.

An index is split: its form (ints, slices, None, ...) goes into the attributes, and arrays, broadcast against each other and
stacked, into one integer operand.
"""

from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import move, runtime
from ..autograd import Tensor, apply, as_tensor
from ..errors import ArgumentError
from ..op import Case, Op, Plan, Spec, register


class Slice(NamedTuple):
    """A slice that can be hashed."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


class Array(NamedTuple):
    """Stands for row `row` of the operand `index`."""

    row: int


class Attrs(NamedTuple):
    """`form`: ints, `Slice`, `Array`, None (a new axis) and Ellipsis."""

    form: tuple


def _index(form, arrays):
    """Return the index that NumPy takes."""
    return tuple(
        slice(*part) if isinstance(part, Slice) else arrays[part.row] if isinstance(part, Array) else part
        for part in form
    )


def _shape(form, shape, index_shape):
    """Index an array of `shape` that takes no memory, with index arrays of zeros."""
    x = np.broadcast_to(np.int8(0), shape)
    return x[_index(form, np.zeros(index_shape, np.int64))].shape


def infer(specs, attrs):
    shape, dtype = specs["x"]
    index_shape = specs["index"].shape if "index" in specs else (0,)
    try:
        # A dimension not known yet is tried with two sizes; what then differs is not known either.
        small, large = (
            _shape(attrs.form, tuple(size if n is None else n for n in shape), index_shape) for size in (10007, 20011)
        )
    except IndexError as error:
        raise ArgumentError(f"cannot index x of shape {shape}: {error}") from None
    return {"y": Spec(tuple(m if m == n else None for m, n in zip(small, large, strict=True)), dtype)}


def reference(arrays, attrs):
    index = arrays.get("index")
    if index is not None:
        rows = [part.row for part in attrs.form if isinstance(part, Array)]
        _check_range(_sizes(attrs.form, arrays["x"].shape), index[rows])
    return {"y": arrays["x"][_index(attrs.form, index)]}


def _sizes(form, shape):
    """Return the sizes of the axes that the index arrays select from."""
    used = sum(part is not None and part is not Ellipsis for part in form)
    sizes, axis = [], 0
    for part in form:
        if part is Ellipsis:
            axis += len(shape) - used
        elif part is not None:
            if isinstance(part, Array):
                sizes.append(shape[axis])
            axis += 1
    return sizes


def _check_range(sizes, rows):
    for size, row in zip(sizes, rows, strict=True):
        if row.size and (row.min() < -size or row.max() >= size):
            raise ArgumentError(
                f"an index array reaches from {row.min()} to {row.max()}, but the axis has {size} elements"
            )


# y picks elements of x; each gets the sum of the dy of its copies. Only index arrays can pick an element twice.
def reference_backward(arrays, attrs, needs):
    dy = arrays["dy"]
    dx = np.zeros(arrays["x"].shape, dy.dtype)
    if "index" in arrays:
        np.add.at(dx, _index(attrs.form, arrays["index"]), dy)
    else:
        dx[_index(attrs.form, None)] = dy
    return {"dx": dx}


def _region(form, shape):
    """Return (where in x y starts, the strides of y's axes in x), in elements."""
    x = np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), shape, move.strides_of(shape))  # never read
    y = x[_index(form if Ellipsis in form else (*form, Ellipsis), None)]  # a view also where one element is left
    start = y.__array_interface__["data"][0] - x.__array_interface__["data"][0] if y.size else 0
    return start, y.strides


def plan(specs, attrs):
    if "index" in specs:
        return None  # what y is made of is known only when it runs
    x, y = specs["x"], infer(specs, attrs)["y"]
    start, strides = _region(attrs.form, x.shape)
    whole, _ = move.collapse(y.shape, [strides, move.strides_of(y.shape)])
    if y.size == x.size and start == 0 and len(whole) <= 1:
        return Plan(alias={"y": "x"})
    step = move.copy("x", "y", y.shape, strides, move.strides_of(y.shape), start, dtype=x.dtype)
    return step and Plan(phases=((step,),))


def plan_backward(specs, attrs, needs):
    if "index" in specs:
        return None
    x, dy = specs["x"], specs["dy"]
    start, strides = _region(attrs.form, x.shape)
    step = move.copy("dy", "dx", dy.shape, move.strides_of(dy.shape), strides, 0, start)
    zero = ((runtime.zero("dx", 4 * shapes.size(x.shape)),),) if dy.size < x.size else ()
    return step and Plan(phases=(*zero, (step,)))


def _picks(rng, shape):
    return rng.integers(-3, 3, shape)


GETITEM = register(
    Op(
        name="getitem",
        inputs=("x", "index?"),
        outputs=("y",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        keeps=lambda attrs, needs: ("index",),
        view=True,
        attrs=Attrs,
        differentiable=frozenset({"x"}),
        linear=("x",),
        cases=(
            *(
                Case({"x": Spec(shape)}, Attrs(form))
                for shape, form in [
                    ((5,), (2,)),
                    ((5, 3), (Slice(1, 4),)),
                    ((5, 3), (Slice(), Slice(None, None, -1))),
                    ((4, 5, 7), (Ellipsis, Slice(0, 7, 3), None)),
                    ((4, 5, 7), (-1, Slice(3, 1), 0)),
                    ((3, 2), ()),
                    ((3, 2), (None, Slice(), None, Slice(0, 9))),
                    ((2, 6, 8, 3), (Slice(), Slice(1, None, 2), Slice(None, None, 2))),
                    ((2, 5, 20), (Ellipsis, Slice(17, 2, -3))),
                    ((2, 5, 6, 4), (1, Slice(None, None, -1), Slice(4, None, -2))),
                ]
            ),
            *(
                Case({"x": Spec(shape), "index": Spec(index, "int64")}, Attrs(form), {"index": _picks})
                for shape, form, index in [
                    ((5,), (Array(0),), (1, 7)),
                    ((3, 4), (Slice(), Array(0)), (1, 2, 3)),
                    ((3, 4, 5), (Array(0), Slice(1, 3), Array(1)), (2, 6)),
                ]
            ),
        ),
        reduction=lambda specs, attrs: specs["index"].size if "index" in specs else 1,
    )
)


def _split(index, ndim):
    """Return (form, list of integer arrays) of what stood between the brackets."""
    form, arrays = [], []
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, Tensor):
            part = part.numpy()
        if part is None or part is Ellipsis:
            form.append(part)
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            form.append(int(part))
        elif isinstance(part, slice):
            form.append(Slice(*(None if n is None else int(n) for n in (part.start, part.stop, part.step))))
        else:
            part = np.asarray(part)
            if part.dtype == bool:
                found = part.nonzero()
            elif part.dtype.kind in "iu" or part.size == 0:
                found = (part.astype(np.int64),)
            else:
                raise ArgumentError(f"an index array must hold integers or booleans, got {part.dtype}")
            for array in found:
                form.append(Array(len(arrays)))
                arrays.append(array)
    if form.count(Ellipsis) > 1:
        raise ArgumentError("an index can hold only one ellipsis (...)")
    used = sum(part is not None and part is not Ellipsis for part in form)
    if used > ndim:
        raise ArgumentError(f"{used} indices are too many for a tensor with {ndim} dimensions")
    return tuple(form), arrays


def getitem(x, index):
    """Return ``x[index]``, with NumPy's rules.

    Parameters
    ----------
    x : Tensor or array_like
    index : int, slice, None, Ellipsis, array of integers or booleans, or a tuple of them
        A boolean array selects where it is true. Integers, slices and None give a view of the same memory in eager code.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        When there are too many indices, or one is out of range.

    Examples
    --------
    >>> fastconv.ops.getitem([[1.0, 2.0], [3.0, 4.0]], (slice(None), 1))
    Tensor([2., 4.], dtype=float32)
    """
    x = as_tensor(x)
    form, arrays = _split(index, x.ndim)
    if not arrays:
        return apply(GETITEM, (x, None), Attrs(form))
    try:
        stacked = np.stack(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ArgumentError(f"index arrays of shapes {shapes} do not broadcast") from None
    return apply(GETITEM, (x, as_tensor(stacked)), Attrs(form))
