"""Softmax over the last axis, and its logarithm."""

from functools import partial
from typing import NamedTuple

import numpy as np

from .._kernels import softmax as kernels
from ..autograd import apply
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float, check_not_empty, check_rank


class Attrs(NamedTuple):
    """Softmax has none."""


def infer(name, specs, attrs):
    x = specs["x"]
    check_float(name, "x", x)
    check_rank(name, "x", x, "(..., C)")
    check_not_empty(name, "x", x, {-1: "class on its last axis"})
    return {"y": x}


def reference(log_result, arrays, attrs):
    x = arrays["x"]
    # Subtracting the maximum changes nothing in the quotient and keeps exp from overflowing.
    shifted = x - x.max(-1, keepdims=True)
    exps = np.exp(shifted)
    total = exps.sum(-1, keepdims=True)
    return {"y": shifted - np.log(total) if log_result else exps / total}


# softmax: y_i = e_i / sum(e), so dy_i/dx_j = y_i (i == j) - y_i y_j and dx = y * (dy - sum(dy * y)).
# log_softmax: y_i = x_i - log(sum(e)), so dx = dy - exp(y) * sum(dy).
def reference_backward(log_result, arrays, attrs, needs):
    y, dy = arrays["y"], arrays["dy"]
    if log_result:
        return {"dx": dy - np.exp(y) * dy.sum(-1, keepdims=True)}
    return {"dx": y * (dy - (dy * y).sum(-1, keepdims=True))}


def _rows(spec):
    columns = spec.shape[-1]
    return spec.size // max(columns, 1), columns


def plan(log_result, specs, attrs):
    return Plan(phases=((kernels.softmax("x", "y", *_rows(specs["x"]), log_result),),), inplace={"y": "x"})


def plan_backward(log_result, specs, attrs, needs):
    step = kernels.softmax_backward("y", "dy", "dx", *_rows(specs["dy"]), log_result)
    return Plan(phases=((step,),), inplace={"dx": "dy"})


_SHAPES = ((1,), (3, 1), (1, 10), (3, 7), (2, 3, 8), (5, 17), (3, 33), (431, 10))


def _make(name):
    log_result = name == "log_softmax"
    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            infer=partial(infer, name),
            reference=partial(reference, log_result),
            reference_backward=partial(reference_backward, log_result),
            plan=partial(plan, log_result),
            plan_backward=partial(plan_backward, log_result),
            keeps=lambda attrs, needs: ("y",),
            differentiable=frozenset({"x"}),
            attrs=Attrs,
            cases=tuple(Case({"x": Spec(shape)}, Attrs()) for shape in _SHAPES),
            flops=lambda specs, attrs: 4 * specs["x"].size,
            reduction=lambda specs, attrs: specs["x"].shape[-1],
        )
    )


OPS = {name: _make(name) for name in ("softmax", "log_softmax")}


def softmax(x):
    """Return exp(x) / sum(exp(x)) over the last axis.

    Parameters
    ----------
    x : Tensor or array_like
        Of shape (..., C); float32 or float64.

    Returns
    -------
    Tensor
        Of the shape of `x`: positive rows that sum to 1.

    Raises
    ------
    ShapeError
        When `x` has no last axis, or none of positive size.

    Examples
    --------
    >>> fastconv.ops.softmax([[0.0, 0.0]]).numpy()
    array([[0.5, 0.5]], dtype=float32)
    """
    return apply(OPS["softmax"], (x,), Attrs())


def log_softmax(x):
    """Return log(softmax(x)) over the last axis, without the underflow of taking the logarithm after.

    Parameters
    ----------
    x : Tensor or array_like
        Of shape (..., C); float32 or float64.

    Returns
    -------
    Tensor
        Of the shape of `x`.

    Raises
    ------
    ShapeError
        When `x` has no last axis, or none of positive size.

    Examples
    --------
    >>> fastconv.ops.log_softmax([[0.0, 0.0]]).numpy().round(4)
    array([[-0.6931, -0.6931]], dtype=float32)
    """
    return apply(OPS["log_softmax"], (x,), Attrs())
