"""Repetition: an array broadcast to a larger shape, or laid out several times along its axes."""

from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import move
from ..autograd import apply, as_tensor
from ..errors import ArgumentError, ShapeError
from ..op import Case, Op, Plan, Spec, register
from .elementwise import unbroadcast


class BroadcastAttrs(NamedTuple):
    """`shape`: of y."""

    shape: tuple[int, ...]


class TileAttrs(NamedTuple):
    """`repeats`: along each axis of x."""

    repeats: tuple[int, ...]


# ---- broadcast_to


def _infer_broadcast(specs, attrs):
    shape, dtype = specs["x"]
    if shapes.broadcast(shape, attrs.shape) != attrs.shape:
        raise ShapeError(f"broadcast_to cannot make {attrs.shape} of x of shape {shape}: an axis of x must be 1 or fit")
    return {"y": Spec(attrs.shape, dtype)}


def _plan_broadcast(specs, attrs):
    x = specs["x"]
    if x.size == shapes.size(attrs.shape):
        return Plan(alias={"y": "x"})
    strides = [0 if n == 1 else stride for n, stride in zip(x.shape, move.strides_of(x.shape), strict=True)]
    strides = [0] * (len(attrs.shape) - len(strides)) + strides
    step = move.copy("x", "y", attrs.shape, strides, move.strides_of(attrs.shape), dtype=x.dtype)
    return step and Plan(phases=((step,),))


BROADCAST = register(
    Op(
        name="broadcast_to",
        inputs=("x",),
        outputs=("y",),
        infer=_infer_broadcast,
        reference=lambda arrays, attrs: {"y": np.broadcast_to(arrays["x"], attrs.shape).copy()},
        # An element of x gets the dy of all its copies.
        reference_backward=lambda arrays, attrs, needs: {"dx": unbroadcast(arrays["dy"], arrays["x"].shape)},
        plan=_plan_broadcast,
        attrs=BroadcastAttrs,
        differentiable=frozenset({"x"}),
        linear=("x",),
        cases=tuple(
            Case({"x": Spec(old)}, BroadcastAttrs(new))
            for old, new in [
                ((), (3,)),
                ((5,), (5,)),
                ((1, 5), (2, 3, 5)),
                ((3, 1), (3, 19)),
                ((2, 1, 3, 1), (2, 4, 3, 5)),
                ((1,), (20000,)),
            ]
        ),
        reduction=lambda specs, attrs: shapes.size(attrs.shape),
    )
)


# ---- tile


def _infer_tile(specs, attrs):
    shape, dtype = specs["x"]
    if len(shape) != len(attrs.repeats):
        raise ShapeError(f"tile needs one repeat per axis of x, whose shape is {shape}; got {attrs.repeats}")
    return {"y": Spec(tuple(None if n is None else n * m for n, m in zip(shape, attrs.repeats, strict=True)), dtype)}


# An element of x gets the dy of all its copies: y is (m0, n0, m1, n1, ...) with every m repeated.
def _backward_tile(arrays, attrs, needs):
    shape = arrays["x"].shape
    pairs = [n for pair in zip(attrs.repeats, shape, strict=True) for n in pair]
    return {"dx": arrays["dy"].reshape(pairs).sum(tuple(range(0, 2 * len(shape), 2)))}


def _plan_tile(specs, attrs):
    shape = specs["x"].shape
    pairs = [n for pair in zip(attrs.repeats, shape, strict=True) for n in pair]
    strides = [n for stride in move.strides_of(shape) for n in (0, stride)]
    step = move.copy("x", "y", pairs, strides, move.strides_of(pairs), dtype=specs["x"].dtype)
    return step and Plan(phases=((step,),))


TILE = register(
    Op(
        name="tile",
        inputs=("x",),
        outputs=("y",),
        infer=_infer_tile,
        reference=lambda arrays, attrs: {"y": np.tile(arrays["x"], attrs.repeats)},
        reference_backward=_backward_tile,
        plan=_plan_tile,
        attrs=TileAttrs,
        differentiable=frozenset({"x"}),
        linear=("x",),
        cases=tuple(
            Case({"x": Spec(shape)}, TileAttrs(repeats))
            for shape, repeats in [((3,), (2,)), ((2, 3), (1, 4)), ((2, 3), (3, 1)), ((2, 1, 5, 3), (1, 2, 3, 2))]
        ),
        reduction=lambda specs, attrs: shapes.size(attrs.repeats),
    )
)


# ---- for users


def broadcast_to(x, shape):
    """Return `x` repeated to `shape`, with NumPy's rules of broadcasting.

    Parameters
    ----------
    x : Tensor or array_like
    shape : sequence of int

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        When x does not broadcast to the shape.

    Examples
    --------
    >>> fastconv.ops.broadcast_to([[1.0], [2.0]], (2, 3)).numpy().tolist()
    [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    """
    return apply(BROADCAST, (as_tensor(x),), BroadcastAttrs(tuple(int(n) for n in shape)))


def tile(x, repeats):
    """Return copies of `x` side by side.

    Parameters
    ----------
    x : Tensor or array_like
    repeats : sequence of int
        How many along each axis; at least 0.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError, ArgumentError
        When there is not one number per axis, or one is negative.

    Examples
    --------
    >>> fastconv.ops.tile([[1.0, 2.0]], (2, 2)).numpy().tolist()
    [[1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 1.0, 2.0]]
    """
    repeats = tuple(int(n) for n in repeats)
    if any(n < 0 for n in repeats):
        raise ArgumentError(f"tile needs repeats of at least 0, got {repeats}")
    return apply(TILE, (as_tensor(x),), TileAttrs(repeats))
