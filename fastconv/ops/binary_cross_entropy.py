"""Binary cross-entropy of probabilities or logits: over the last axis, then weighted over the samples."""

from typing import NamedTuple

import numpy as np

from ..autograd import apply
from ..op import Op, Plan, Spec, register
from ._checks import check_range
from .mean_squared_error import check_pair, gradient_scale, loss_backward_step, mean_loss, pair_cases, plan_loss

EPSILON = 1e-7  # Keras's


class Attrs(NamedTuple):
    """`from_logits`: y_pred are logits, not probabilities. `label_smoothing`: moves targets towards 1/2, in [0, 1)."""

    from_logits: bool = False
    label_smoothing: float = 0.0


def _kind(attrs):
    return "binary_logits" if attrs.from_logits else "binary"


def infer(specs, attrs):
    check_pair("binary_cross_entropy", specs)
    check_range("binary_cross_entropy", "label_smoothing", attrs.label_smoothing, 0, 1)
    return {"loss": Spec((), specs["y_pred"].dtype)}


def _operands(arrays, attrs):
    return arrays["y_pred"], arrays["y_true"] * (1 - attrs.label_smoothing) + 0.5 * attrs.label_smoothing


def reference(arrays, attrs):
    x, t = _operands(arrays, attrs)
    if attrs.from_logits:
        # -t log s(x) - (1 - t) log(1 - s(x)) with s the sigmoid, rearranged so that exp never overflows.
        values = np.where(x < 0, 0, x) - x * t + np.log1p(np.exp(-np.abs(x)))
    else:
        # 1 - x is clipped, not taken from the clipped x: near 1 float32 has no room for 1 - 1e-7.
        yes, no = np.clip(x, EPSILON, 1 - EPSILON), np.clip(1 - x, EPSILON, 1 - EPSILON)
        values = -(t * np.log(yes) + (1 - t) * np.log(no))
    return {"loss": mean_loss(np.asarray(values.mean(-1)), arrays.get("sample_weight"))}


# From logits: d/dx (max(x, 0) - x t + log(1 + exp(-|x|))) = sigmoid(x) - t.
# From probabilities: d/dx -(t log x + (1 - t) log(1 - x)) = (1 - t) / (1 - x) - t / x inside of the clip, 0 outside.
def reference_backward(arrays, attrs, needs):
    x, t = _operands(arrays, attrs)
    if attrs.from_logits:
        e = np.exp(-np.abs(x))
        slope = np.where(x < 0, e, 1) / (1 + e) - t
    else:
        outside = (x < EPSILON) | (1 - x < EPSILON)
        inner = np.where(outside, 0.5, x)
        slope = np.where(outside, 0, (1 - t) / (1 - inner) - t / inner)
    return {"dy_pred": slope * gradient_scale(arrays)}


def plan(specs, attrs):
    return plan_loss(_kind(attrs), specs, attrs.label_smoothing)


def plan_backward(specs, attrs, needs):
    return Plan(phases=((loss_backward_step(_kind(attrs), specs, "dy_pred", attrs.label_smoothing),),))


def _targets(rng, shape):
    return rng.integers(0, 2, shape)


def _probabilities(rng, shape):
    return rng.uniform(0.05, 0.95, shape)


_CASES = (
    *pair_cases((Attrs(False), Attrs(False, 0.1)), {"y_true": _targets, "y_pred": _probabilities}),
    *pair_cases((Attrs(True), Attrs(True, 0.1)), {"y_true": _targets}),
)

OP = register(
    Op(
        name="binary_cross_entropy",
        inputs=("y_true", "y_pred", "sample_weight?"),
        outputs=("loss",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        keeps=lambda attrs, needs: ("y_true", "y_pred", "sample_weight"),
        differentiable=frozenset({"y_pred"}),
        attrs=Attrs,
        cases=_CASES,
        flops=lambda specs, attrs: 8 * specs["y_pred"].size,
        reduction=lambda specs, attrs: specs["y_pred"].size,
    )
)


def binary_cross_entropy(y_true, y_pred, sample_weight=None, from_logits=False, label_smoothing=0.0):
    """Return the binary cross-entropy: over the last axis the mean of -(t log p + (1 - t) log(1 - p)).

    Then sum(weight * that) / number of samples, as Keras's ``"sum_over_batch_size"``.

    Parameters
    ----------
    y_true : Tensor or array_like
        Targets t in [0, 1], of shape (N..., C); float32 or float64.
    y_pred : Tensor or array_like
        Of the shape and dtype of `y_true`: probabilities p, clipped to [1e-7, 1 - 1e-7] as Keras does; or logits.
    sample_weight : Tensor or array_like, optional
        Of shape (N...).
    from_logits : bool
        Whether `y_pred` holds logits, p = sigmoid(y_pred); nothing is clipped then.
    label_smoothing : float
        In [0, 1): targets become t (1 - label_smoothing) + label_smoothing / 2.

    Returns
    -------
    Tensor
        Of shape ().

    Raises
    ------
    ShapeError, DTypeError
        When shapes or types differ; there is no broadcasting.
    ArgumentError
        When `label_smoothing` is out of range.

    Examples
    --------
    >>> round(float(fastconv.ops.binary_cross_entropy([[1.0]], [[0.0]], from_logits=True).numpy()), 4)
    0.6931
    """
    return apply(OP, (y_true, y_pred, sample_weight), Attrs(bool(from_logits), float(label_smoothing)))
