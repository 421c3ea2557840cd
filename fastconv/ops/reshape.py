"""Reshape and flatten: the same bytes under another shape, so the plan is an alias."""

import math
from typing import NamedTuple

import numpy as np

from ..autograd import apply, as_tensor
from ..errors import ArgumentError, ShapeError
from ..op import Case, Op, Plan, Spec, register


class Attrs(NamedTuple):
    """`shape`: the new shape; one dimension may be -1, which takes what is left."""

    shape: tuple[int, ...]


class FlattenAttrs(NamedTuple):
    """Flatten has none."""


def _infer_reshape(specs, attrs):
    old, dtype = specs["x"]
    known = math.prod(n for n in attrs.shape if n != -1)
    if None in old:
        return {"y": Spec(tuple(None if n == -1 else n for n in attrs.shape), dtype)}
    size = math.prod(old)
    if -1 in attrs.shape and known and size % known == 0:
        return {"y": Spec(tuple(size // known if n == -1 else n for n in attrs.shape), dtype)}
    if -1 in attrs.shape or size != known:
        raise ShapeError(f"cannot reshape x of shape {old} ({size} elements) to {attrs.shape}")
    return {"y": Spec(attrs.shape, dtype)}


def _infer_flatten(specs, attrs):
    shape, dtype = specs["x"]
    if len(shape) < 1:
        raise ShapeError("flatten needs a batch dimension; x has no dimensions")
    return {"y": Spec((shape[0], None if None in shape[1:] else math.prod(shape[1:])), dtype)}


def _make(name, infer, attrs_type, linear_cases):
    def reference(arrays, attrs):
        x = arrays["x"]
        return {"y": x.reshape(infer({"x": Spec(x.shape)}, attrs)["y"].shape)}

    # y is x, so dx is dy in the old shape.
    def reference_backward(arrays, attrs, needs):
        return {"dx": arrays["dy"].reshape(arrays["x"].shape)}

    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            infer=infer,
            reference=reference,
            reference_backward=reference_backward,
            plan=lambda specs, attrs: Plan(alias={"y": "x"}),
            plan_backward=lambda specs, attrs, needs: Plan(alias={"dx": "dy"}),
            attrs=attrs_type,
            differentiable=frozenset({"x"}),
            bfloat16=lambda specs, attrs: [("x", "y")],
            linear=("x",),
            cases=linear_cases,
        )
    )


RESHAPE = _make(
    "reshape",
    _infer_reshape,
    Attrs,
    tuple(
        Case({"x": Spec(old)}, Attrs(new))
        for old, new in [((), (1,)), ((2, 3, 5), (6, 5)), ((2, 3, 5), (-1, 3)), ((7,), (7, 1, 1)), ((0, 3), (3, 0))]
    ),
)
FLATTEN = _make(
    "flatten",
    _infer_flatten,
    FlattenAttrs,
    tuple(Case({"x": Spec(shape)}, FlattenAttrs()) for shape in [(3,), (1, 2, 3, 5), (3, 7, 1, 2), (0, 2, 2)]),
)


def reshape(x, *shape):
    """Return `x` under another shape; a view of the same memory where `x` is contiguous.

    Parameters
    ----------
    x : Tensor or array_like
    shape : ints, or one sequence of ints
        One of them may be -1.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        When the number of elements differs.

    Examples
    --------
    >>> fastconv.ops.reshape([1.0, 2.0, 3.0, 4.0], 2, -1).shape
    (2, 2)
    """
    given = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
    try:
        new = tuple(int(n) for n in given)
    except (TypeError, ValueError):
        raise ArgumentError(f"shape must be integers, got {given!r}") from None
    if any(n < -1 for n in new) or new.count(-1) > 1:
        raise ArgumentError(f"shape must hold sizes >= 0 and at most one -1, got {new}")
    return apply(RESHAPE, (as_tensor(x),), Attrs(new))


def flatten(x):
    """Return `x` of shape (N, ...) as (N, product of the rest); a view where `x` is contiguous.

    Examples
    --------
    >>> fastconv.ops.flatten(np.zeros((2, 3, 4))).shape
    (2, 12)
    """
    return apply(FLATTEN, (as_tensor(x),), FlattenAttrs())
