"""Mean squared error: over the last axis, then weighted over the samples."""

from typing import NamedTuple

import numpy as np

from .._kernels import softmax as kernels
from ..autograd import apply
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float, check_not_empty, check_rank, check_shape
from .softmax_cross_entropy import draw_weights, mean_loss


class Attrs(NamedTuple):
    """Mean squared error has none."""


def check_pair(op, specs):
    """Check y_true, y_pred of one shape (..., C) and dtype, and sample_weight of shape (...)."""
    true, pred, weight = specs["y_true"], specs["y_pred"], specs.get("sample_weight")
    check_float(op, "y_pred", pred)
    check_float(op, "y_true", true, pred.dtype)
    check_rank(op, "y_pred", pred, "(..., C)")
    check_not_empty(op, "y_pred", pred, {-1: "element on the last axis, to take the mean over"})
    check_shape(op, "y_true", true.shape, pred.shape)
    if weight is not None:
        check_float(op, "sample_weight", weight, pred.dtype)
        check_shape(op, "sample_weight", weight.shape, pred.shape[:-1])


def plan_loss(kind, specs, smoothing=0.0):
    """Return the plan of a loss that is a mean over the last axis, then a weighted mean over the rest."""
    columns = specs["y_pred"].shape[-1]
    rows = specs["y_pred"].size // columns
    weight = "sample_weight" if "sample_weight" in specs else None
    # Without weights the elements are all alike: any number of them makes a chunk.
    block = (rows, columns) if weight else (rows * columns, 1)
    chunks = kernels.loss_chunks(*block)
    losses = kernels.loss(kind, "y_pred", "y_true", weight, "partial", *block, smoothing)
    return Plan(
        phases=((losses,), (kernels.loss_mean("partial", "loss", chunks, rows * columns),)),
        workspace={"partial": 8 * chunks},
    )


def loss_backward_step(kind, specs, result, smoothing=0.0, sign=1.0):
    """Return the step that writes the gradient `result` of such a loss."""
    columns = specs["y_pred"].shape[-1]
    rows = specs["y_pred"].size // columns
    weight = "sample_weight" if "sample_weight" in specs else None
    block = (rows, columns) if weight else (rows * columns, 1)
    factor = sign / max(rows * columns, 1)
    return kernels.loss_backward(kind, "y_pred", "y_true", weight, "dloss", result, *block, factor, smoothing)


def gradient_scale(arrays):
    """Return dloss * weight / number of elements, of shape (..., 1)."""
    y_pred = arrays["y_pred"]
    scale = arrays["dloss"] * np.ones((*y_pred.shape[:-1], 1), y_pred.dtype) / max(y_pred.size, 1)
    return scale * arrays["sample_weight"][..., None] if "sample_weight" in arrays else scale


def infer(specs, attrs):
    check_pair("mean_squared_error", specs)
    return {"loss": Spec((), specs["y_pred"].dtype)}


def reference(arrays, attrs):
    losses = np.square(arrays["y_pred"] - arrays["y_true"]).mean(-1)
    return {"loss": mean_loss(np.asarray(losses), arrays.get("sample_weight"))}


# loss = 1/N sum_n w_n 1/C sum_c (pred - true)^2, so dpred = dloss w_n 2 (pred - true) / (N C), and dtrue = -dpred.
def reference_backward(arrays, attrs, needs):
    gradient = 2 * (arrays["y_pred"] - arrays["y_true"]) * gradient_scale(arrays)
    return {"d" + name: gradient if name == "y_pred" else -gradient for name in needs}


def plan(specs, attrs):
    return plan_loss("squared", specs)


def plan_backward(specs, attrs, needs):
    signs = {"y_pred": 1.0, "y_true": -1.0}
    return Plan(
        phases=(tuple(loss_backward_step("squared", specs, "d" + name, 0.0, signs[name]) for name in sorted(needs)),)
    )


def pair_cases(make_attrs, draw=None):
    """Return cases with and without weights; `draw` maps y_true, y_pred to their draws."""
    cases = []
    for shape, weighted in (
        ((1,), False), ((3, 1), False), ((7, 1), True), ((3, 5), True), ((2, 3, 17), True), ((2, 3, 3), False),
        ((1, 33), True), ((1501,), False),
    ):  # fmt: skip
        inputs = {"y_true": Spec(shape), "y_pred": Spec(shape)}
        draws = dict(draw or {})
        if weighted:
            inputs["sample_weight"] = Spec(shape[:-1])
            draws["sample_weight"] = draw_weights
        cases.extend(Case(inputs, attrs, draws) for attrs in make_attrs)
    return tuple(cases)


OP = register(
    Op(
        name="mean_squared_error",
        inputs=("y_true", "y_pred", "sample_weight?"),
        outputs=("loss",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        keeps=lambda attrs, needs: ("y_true", "y_pred", "sample_weight"),
        differentiable=frozenset({"y_true", "y_pred"}),
        attrs=Attrs,
        cases=pair_cases((Attrs(),)),
        flops=lambda specs, attrs: 3 * specs["y_pred"].size,
        reduction=lambda specs, attrs: specs["y_pred"].size,
    )
)


def mean_squared_error(y_true, y_pred, sample_weight=None):
    """Return the mean of (y_pred - y_true)^2 over the last axis, then sum(weight * that) / number of samples.

    Parameters
    ----------
    y_true, y_pred : Tensor or array_like
        Of one shape (N..., C); float32 or float64.
    sample_weight : Tensor or array_like, optional
        Of shape (N...).

    Returns
    -------
    Tensor
        Of shape ().

    Raises
    ------
    ShapeError, DTypeError
        When shapes or types differ; there is no broadcasting.

    Examples
    --------
    >>> fastconv.ops.mean_squared_error([[1.0, 3.0]], [[1.0, 1.0]]).numpy()
    array(2., dtype=float32)
    """
    return apply(OP, (y_true, y_pred, sample_weight), Attrs())
