"""Fully connected layer: y = activation(x kernel + bias) over the last axis."""

from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import gemm
from ..autograd import apply
from ..errors import ShapeError
from ..op import Case, Epilogue, Op, Plan, Spec, register
from . import _amx, _amx_cost
from ._checks import check_floats, check_rank, check_shape
from ._epilogue import (
    DECLARATION,
    after_epilogue,
    check_residual,
    epilogue_backward,
    epilogue_of,
    finish,
    plan_epilogue_backward,
)
from ._pairs import is_stored, sums_pairs
from ._product import plan_layer, plan_transposed_pairs


class Attrs(NamedTuple):
    """Attributes of dense."""

    epilogue: Epilogue = Epilogue()


def infer(specs, attrs):
    x, kernel, bias = specs["x"], specs["kernel"], specs.get("bias")
    check_floats("dense", specs)
    check_rank("dense", "kernel", kernel, "(inputs, units)")
    check_rank("dense", "x", x, "(N, ..., inputs)")
    if None in kernel.shape:
        raise ShapeError(f"dense: the shape of the kernel must be known, got {kernel.shape}")
    if x.shape[-1] != kernel.shape[0]:
        raise ShapeError(
            f"dense: the last dimension of x {x.shape} must be {kernel.shape[0]}, the first of the kernel {kernel.shape}"
        )
    if bias is not None:
        check_shape("dense", "bias (a number per unit)", bias.shape, kernel.shape[1:])
    y = Spec((*x.shape[:-1], kernel.shape[1]), x.dtype)
    check_residual("dense", specs, y)
    return {"y": y}


def reference(arrays, attrs):
    return {"y": finish(arrays["x"] @ arrays["kernel"], arrays, attrs.epilogue)}


def reference_backward(arrays, attrs, needs):
    x, kernel = arrays["x"], arrays["kernel"]
    dz = epilogue_backward(arrays["dy"], arrays["y"], attrs.epilogue)
    batch = tuple(range(dz.ndim - 1))
    result = {}
    if "residual" in needs:
        result["dresidual"] = dz
    if "x" in needs:
        result["dx"] = dz @ kernel.T
    if "kernel" in needs:
        result["dkernel"] = np.tensordot(x, dz, (batch, batch))
    if "bias" in needs:
        result["dbias"] = dz.sum(batch)
    return result


def _rows(x):
    return shapes.size(x.shape[:-1])


def plan(specs, attrs):
    (inputs, units), names = specs["kernel"].shape, ("bias", "residual")
    return plan_layer(
        "x",
        "kernel",
        "y",
        _rows(specs["x"]),
        inputs,
        units,
        epilogue=attrs.epilogue,
        stored=is_stored(specs, "x"),
        terms=_amx.terms_of_product(inputs, units, _amx_cost.DENSE_ROWS),
        **{name: name for name in names if name in specs},
    )


def bfloat16(specs, attrs):
    """Return the operands that may be bfloat16: see `Op.bfloat16`."""
    inputs, units = specs["kernel"].shape
    return [] if inputs % 2 or _amx.terms_of_product(inputs, units, _amx_cost.DENSE_ROWS) else [("x",)]


# y = activation(z), z = x kernel + bias + residual, so
#
#   dz = dy * activation'(z) = dresidual    dx = dz kernel^T    dkernel = x^T dz    dbias = column sums of dz
def plan_backward(specs, attrs, needs):
    x, (inputs, units) = specs["x"], specs["kernel"].shape
    rows = _rows(x)
    dz, epilogue = plan_epilogue_backward(specs["y"], attrs.epilogue, needs)
    plans = []
    if "x" in needs:
        terms = _amx.terms_of_product(units, inputs, _amx_cost.DENSE_ROWS)
        plans.append(plan_layer(dz, "kernel", "dx", rows, units, inputs, transpose=True, terms=terms))
    if "kernel" in needs and (terms := _amx.terms_of_product(rows, units, inputs)):
        plans.append(_amx.plan_product("x", dz, "dkernel", inputs, rows, units, terms, transpose_a=True))
    elif "kernel" in needs and sums_pairs(inputs, units):
        plans.append(plan_transposed_pairs("x", dz, "dkernel", inputs, rows, units))
    elif "kernel" in needs:
        step = gemm.transposed_product(
            "x", dz, "dkernel", depth=rows, rows=inputs, columns=units, a_row=inputs, b_row=units, y_row=units
        )
        plans.append(Plan(phases=((step,),)))
    return after_epilogue(dz, epilogue, *plans)


def flops(specs, attrs):
    return 2 * specs["x"].size * specs["kernel"].shape[1]


def reduction(specs, attrs):
    inputs, units = specs["kernel"].shape
    return max(inputs, units, _rows(specs["x"]))


def _case(x, units, bias=True, epilogue=Epilogue(), residual=False):
    specs = {"x": Spec(x), "kernel": Spec((x[-1], units))}
    if bias:
        specs["bias"] = Spec((units,))
    if residual:
        specs["residual"] = Spec((*x[:-1], units))
    return Case(specs, Attrs(epilogue))


CASES = (
    _case((1, 1), 1),
    _case((3, 7), 10, epilogue=Epilogue("relu")),
    _case((5, 40), 33, epilogue=Epilogue("relu6")),
    _case((5, 17), 16, bias=False),
    _case((2, 3, 6), 33, epilogue=Epilogue("sigmoid")),
    _case((7, 12), 5, epilogue=Epilogue("tanh")),
    _case((1, 13), 15, epilogue=Epilogue("leaky_relu", 0.2)),
    _case((34, 400), 20),
    _case((3, 7, 11), 37, epilogue=Epilogue("relu"), residual=True),
    _case((1, 1300), 70, bias=False, residual=True),  # blocks of the reduction, panels together
)

OP = register(
    Op(
        name="dense",
        attrs=Attrs,
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        cases=CASES,
        bfloat16=bfloat16,
        flops=flops,
        reduction=reduction,
        **DECLARATION,
    )
)


def dense(x, kernel, bias=None, activation=None, residual=None):
    """Fully connected layer over the last axis: y = activation(x kernel + bias + residual).

    Parameters
    ----------
    x : Tensor or array, (N, ..., inputs)
    kernel : Tensor or array, (inputs, units)
    bias : Tensor or array, (units,), optional
    activation : str or op.Epilogue, optional
        Fused into the last step: the name of a function of one array in `ops`, with its default numbers, or an Epilogue with
        others. No gradient goes through "silu", "gelu", "mish", "hard_swish" and "softsign" fused.
    residual : Tensor or array, (N, ..., units), optional
        Added before the activation, fused into the last step too.

    Returns
    -------
    Tensor, (N, ..., units)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, sizes or dtypes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1, -2]], "float32")
    >>> dense(x, np.eye(2, dtype="float32"), activation="relu").numpy().tolist()
    [[1.0, 0.0]]
    """
    return apply(OP, (x, kernel, bias, residual), Attrs(epilogue_of(activation)))
