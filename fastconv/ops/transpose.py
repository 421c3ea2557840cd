"""Permutation of axes: a view in eager code; in a program a copy, or nothing where only axes of size 1 move."""

from typing import NamedTuple

import numpy as np

from .._kernels import move
from ..autograd import apply, as_tensor
from ..errors import ArgumentError
from ..op import Case, Op, Plan, Spec, register


class Attrs(NamedTuple):
    """`axes`: which axis of x each axis of y is."""

    axes: tuple[int, ...]


def infer(specs, attrs):
    shape, dtype = specs["x"]
    return {"y": Spec(tuple(shape[axis] for axis in attrs.axes), dtype)}


def reference(arrays, attrs):
    return {"y": arrays["x"].transpose(attrs.axes)}


# y[i] has the axes of x in the order `axes`; the inverse permutation brings dy back.
def reference_backward(arrays, attrs, needs):
    return {"dx": arrays["dy"].transpose(np.argsort(attrs.axes))}


def _copy(source, target, spec, axes):
    """Return the plan that permutes `source`, of `spec`, into `target`."""
    long = [axis for axis in axes if spec.shape[axis] != 1]
    if long == sorted(long):
        return Plan(alias={target: source})
    strides, shape = move.strides_of(spec.shape), [spec.shape[axis] for axis in axes]
    step = move.copy(source, target, shape, [strides[axis] for axis in axes], move.strides_of(shape), dtype=spec.dtype)
    return step and Plan(phases=((step,),))


def plan(specs, attrs):
    return _copy("x", "y", specs["x"], attrs.axes)


def plan_backward(specs, attrs, needs):
    return _copy("dy", "dx", specs["dy"], tuple(int(axis) for axis in np.argsort(attrs.axes)))


TRANSPOSE = register(
    Op(
        name="transpose",
        inputs=("x",),
        outputs=("y",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        view=True,
        attrs=Attrs,
        differentiable=frozenset({"x"}),
        linear=("x",),
        cases=tuple(
            Case({"x": Spec(shape)}, Attrs(axes))
            for shape, axes in [
                ((), ()),
                ((5,), (0,)),
                ((3, 5), (1, 0)),
                ((2, 3, 5, 7), (0, 3, 1, 2)),
                ((1, 4, 3), (2, 0, 1)),
                ((2, 1, 5, 1), (1, 0, 3, 2)),  # nothing moves
                ((2, 300, 3), (0, 2, 1)),  # few channels to planes, and back
                ((2, 3, 17, 19), (0, 2, 3, 1)),
                ((1, 35, 70), (0, 2, 1)),  # blocks, whole and partial
                ((2, 3, 4, 5, 6), (0, 2, 4, 1, 3)),  # no axis stays contiguous
                ((2, 4, 2, 5, 2, 3), (0, 1, 3, 5, 2, 4)),  # space to depth
                ((1, 3, 6000), (0, 2, 1)),  # several chunks
            ]
        ),
    )
)


def transpose(x, *axes):
    """Return `x` with its axes in another order; a view of the same memory in eager code.

    Parameters
    ----------
    x : Tensor or array_like
    axes : ints, or one sequence of ints
        Each axis of `x` once, negative ones count from the end. Default: in reverse order.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        When `axes` is not a permutation.

    Examples
    --------
    >>> fastconv.ops.transpose(np.zeros((2, 3, 5)), 0, 2, 1).shape
    (2, 5, 3)
    """
    x = as_tensor(x)
    given = axes[0] if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)) else axes
    if not given:
        given = range(x.ndim)[::-1]
    order = tuple(int(axis) + x.ndim if axis < 0 else int(axis) for axis in given)
    if sorted(order) != list(range(x.ndim)):
        raise ArgumentError(f"axes must hold each of the {x.ndim} axes of x once, got {tuple(given)}")
    return apply(TRANSPOSE, (x,), Attrs(order))
