"""A choice between two arrays, element by element."""

import functools
from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import pointwise
from ..autograd import Tensor, apply, as_tensor
from ..autograd.tensor import FLOATS
from ..errors import DTypeError
from ..op import Case, Op, Plan, Spec, register
from .elementwise import common_dtype, operand, unbroadcast


class Attrs(NamedTuple):
    """A choice has none."""


def infer(specs, attrs):
    condition, a, b = specs["condition"], specs["a"], specs["b"]
    if condition.dtype != "bool":
        raise DTypeError(f"where needs a condition of bool, got {condition.dtype}; compare it with 0 first")
    if a.dtype != b.dtype:
        raise DTypeError(f"where needs a and b of one dtype, got {a.dtype} and {b.dtype}")
    return {"y": Spec(functools.reduce(shapes.broadcast, (condition.shape, a.shape, b.shape)), a.dtype)}


def reference(arrays, attrs):
    return {"y": np.where(arrays["condition"], arrays["a"], arrays["b"])}


# dy goes to the one that was taken, summed over the axes along which that was repeated.
def reference_backward(arrays, attrs, needs):
    dy, taken = arrays["dy"], {"a": arrays["condition"], "b": ~arrays["condition"]}
    return {"d" + name: unbroadcast(np.where(taken[name], dy, 0), arrays[name].shape) for name in needs}


def plan(specs, attrs):
    y = infer(specs, attrs)["y"]
    if y.dtype not in ("float32", "int32"):
        return None
    step = pointwise.where(
        "condition", "a", "b", "y", *(specs[name].shape for name in ("condition", "a", "b")), y.shape
    )
    whole = [name for name in ("a", "b") if specs[name].shape == y.shape]
    return step and Plan(phases=((step,),), inplace={"y": whole[0]} if whole else {})


OP = register(
    Op(
        name="where",
        inputs=("condition", "a", "b"),
        outputs=("y",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        keeps=lambda attrs, needs: ("condition",),
        attrs=Attrs,
        differentiable=frozenset({"a", "b"}),
        cases=tuple(
            Case({"condition": Spec(condition, "bool"), "a": Spec(a), "b": Spec(b)}, Attrs())
            for condition, a, b in [
                ((), (), ()),
                ((2, 3, 5), (2, 3, 5), (2, 3, 5)),
                ((3, 1), (3, 20), ()),
                ((20,), (3, 1), (20,)),
                ((2, 1, 4), (3, 1), (1,)),
                ((17000,), (17000,), (1,)),
            ]
        ),
        reduction=lambda specs, attrs: max(spec.size for spec in specs.values()),
    )
)


def where(condition, a, b):
    """Return `a` where the condition is true and `b` elsewhere, element by element.

    Parameters
    ----------
    condition : Tensor or array_like of bool
    a, b : Tensor or array_like
        Of one dtype; the three shapes broadcast as in NumPy.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError, DTypeError
        When the shapes do not broadcast, or the dtypes do not fit.

    Examples
    --------
    >>> fastconv.ops.where([True, False], [1.0, 2.0], 0.0).numpy()
    array([1., 0.], dtype=float32)
    """
    if not any(getattr(value, "dtype", None) in FLOATS or isinstance(value, float) for value in (a, b)):
        a, b = (value if isinstance(value, Tensor) else as_tensor(np.asarray(value)) for value in (a, b))
    dtype = common_dtype((a, b))
    return apply(OP, (as_tensor(condition), operand(a, dtype), operand(b, dtype)), Attrs())
