"""Places picked along an axis by numbers that are known beforehand."""

from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import move, resample
from ..autograd import apply, as_tensor
from ..errors import ArgumentError
from ..op import Case, Op, Plan, Spec, register

# Copies that one plan may be made of, for elements that are not of four bytes; beyond that NumPy does it.
MAX_COPIES = 256


class Attrs(NamedTuple):
    """`indices`: one place along `axis` of x for each place along that axis of y."""

    axis: int
    indices: tuple[int, ...]


def infer(specs, attrs):
    shape, dtype = specs["x"]
    n = shape[attrs.axis]
    if n is not None and attrs.indices and not (0 <= min(attrs.indices) and max(attrs.indices) < n):
        raise ArgumentError(
            f"take reaches from {min(attrs.indices)} to {max(attrs.indices)}, but axis {attrs.axis} has {n} elements"
        )
    return {"y": Spec((*shape[: attrs.axis], len(attrs.indices), *shape[attrs.axis + 1 :]), dtype)}


def reference(arrays, attrs):
    return {"y": np.take(arrays["x"], np.array(attrs.indices, np.int64), attrs.axis)}


# An element of x gets the sum of the dy of its copies.
def reference_backward(arrays, attrs, needs):
    dx = np.zeros(arrays["x"].shape, arrays["dy"].dtype)
    np.add.at(dx, (slice(None),) * attrs.axis + (list(attrs.indices),), arrays["dy"])
    return {"dx": dx}


def plan(specs, attrs):
    shape, dtype = specs["x"]
    if attrs.indices == tuple(range(shape[attrs.axis])):
        return Plan(alias={"y": "x"})
    outer, inner = shapes.size(shape[: attrs.axis]), shapes.size(shape[attrs.axis + 1 :])
    if dtype in ("float32", "int32") and attrs.indices:
        step = resample.resample("x", "y", outer, shape[attrs.axis], inner, [(i,) for i in attrs.indices])
        return Plan(phases=((step,),))
    places = (range(outer), attrs.indices, range(inner))
    steps = move.take("x", "y", (outer, shape[attrs.axis], inner), places, dtype, MAX_COPIES)
    return None if steps is None else Plan(phases=(steps,))


OP = register(
    Op(
        name="take",
        inputs=("x",),
        outputs=("y",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        attrs=Attrs,
        differentiable=frozenset({"x"}),
        linear=("x",),
        cases=tuple(
            Case({"x": Spec(shape)}, Attrs(axis, indices))
            for shape, axis, indices in [
                ((3,), 0, (0, 1, 2)),
                ((5,), 0, (4, 0, 0)),
                ((2, 3, 4), 1, (2, 0)),
                ((2, 6, 19), 2, (18, 0, 5, 5, 7, 1)),
                ((2, 3, 5000), 1, (2, 2, 0)),
                ((2, 6, 19), 1, ()),
            ]
        ),
        reduction=lambda specs, attrs: max(1, len(attrs.indices)),
    )
)


def take(x, indices, axis=0):
    """Return places along an axis, as `numpy.take` with a list.

    Parameters
    ----------
    x : Tensor or array_like
    indices : sequence of int
        Numbers that are known when a program is traced; negative ones count from the end. For others see `getitem`.
    axis : int

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        When there is no such axis, or no such place along it.

    Examples
    --------
    >>> fastconv.ops.take([[1.0, 2.0, 3.0]], [2, 0, 0], axis=1).numpy()
    array([[3., 1., 1.]], dtype=float32)
    """
    x = as_tensor(x)
    if not -x.ndim <= axis < x.ndim:
        raise ArgumentError(f"take needs an axis of x, whose shape is {x.shape}; got axis {axis}")
    n = x.shape[axis] or 0
    return apply(OP, (x,), Attrs(axis % x.ndim, tuple(int(i) + n if i < 0 else int(i) for i in indices)))
