"""Cross-entropy of probabilities that need not come from a softmax. A host step."""

from typing import NamedTuple

import numpy as np

from ..autograd import apply
from ..op import Op, Spec, register
from ._checks import check_float, check_range
from .softmax_cross_entropy import check_labels, draw_probabilities, loss_cases, make_targets, mean_loss

EPSILON = 1e-7  # Keras's


class Attrs(NamedTuple):
    """`label_smoothing`: the share of every target that is spread evenly over the classes, in [0, 1)."""

    label_smoothing: float = 0.0


def infer(specs, attrs):
    probabilities = specs["probabilities"]
    check_float("cross_entropy", "probabilities", probabilities)
    check_labels("cross_entropy", probabilities, specs)
    check_range("cross_entropy", "label_smoothing", attrs.label_smoothing, 0, 1)
    return {"loss": Spec((), probabilities.dtype)}


def reference(arrays, attrs):
    p = arrays["probabilities"]
    targets = make_targets(arrays["labels"], p.shape[-1], attrs.label_smoothing, p.dtype)
    q = p / p.sum(-1, keepdims=True)
    losses = -(targets * np.log(np.clip(q, EPSILON, 1 - EPSILON))).sum(-1)
    return {"loss": mean_loss(losses, arrays.get("sample_weight"))}


# With s = sum(p) and q = p / s, the loss of a row is l = -sum_i t_i log clip(q_i). The clip stops the gradient outside:
#   dq_i = -t_i / q_i inside, 0 outside,   and   dp = (dq - sum(dq q)) / s.
def reference_backward(arrays, attrs, needs):
    p = arrays["probabilities"]
    targets = make_targets(arrays["labels"], p.shape[-1], attrs.label_smoothing, p.dtype)
    scale = arrays["dloss"] * np.ones(p.shape[:-1], p.dtype) / max(p.size // p.shape[-1], 1)
    if "sample_weight" in arrays:
        scale = scale * arrays["sample_weight"]
    total = p.sum(-1, keepdims=True)
    q = p / total
    outside = (q < EPSILON) | (q > 1 - EPSILON)
    dq = np.where(outside, 0, -targets / np.where(outside, 1, q)) * scale[..., None]
    return {"dprobabilities": (dq - (dq * q).sum(-1, keepdims=True)) / total}


def _draw(rng, shape):
    # Not normalised, so that the division by the sum has something to do.
    return draw_probabilities(rng, shape) * rng.uniform(0.5, 2.0, (*shape[:-1], 1))


OP = register(
    Op(
        name="cross_entropy",
        inputs=("probabilities", "labels", "sample_weight?"),
        outputs=("loss",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        keeps=lambda attrs, needs: ("probabilities", "labels", "sample_weight"),
        differentiable=frozenset({"probabilities"}),
        attrs=Attrs,
        cases=tuple(case for case in loss_cases("probabilities", Attrs, _draw)
                    if case.inputs["probabilities"].shape[-1] > 1),
        flops=lambda specs, attrs: 6 * specs["probabilities"].size,
        reduction=lambda specs, attrs: specs["probabilities"].size,
    )
)  # fmt: skip


def cross_entropy(probabilities, labels, sample_weight=None, label_smoothing=0.0):
    """Return the mean cross-entropy of `probabilities` against `labels`.

    As in Keras, rows are divided by their sum and clipped to [1e-7, 1 - 1e-7] before the logarithm, and the loss is
    sum(weight * loss) / number of samples. From logits, `softmax_cross_entropy` is faster and more accurate.

    Parameters
    ----------
    probabilities : Tensor or array_like
        Of shape (N..., C); float32 or float64.
    labels : Tensor or array_like
        int32 class numbers of shape (N...), or probabilities of the shape and dtype of the first argument. A class
        number out of range makes the loss NaN.
    sample_weight : Tensor or array_like, optional
        Of shape (N...).
    label_smoothing : float
        In [0, 1).

    Returns
    -------
    Tensor
        Of shape ().

    Raises
    ------
    ShapeError, DTypeError
        When labels or weights do not fit the probabilities.
    ArgumentError
        When `label_smoothing` is out of range.

    Examples
    --------
    >>> p = np.array([[0.5, 0.5]], "float32")
    >>> round(float(fastconv.ops.cross_entropy(p, np.array([1], "int32")).numpy()), 4)
    0.6931
    """
    return apply(OP, (probabilities, labels, sample_weight), Attrs(float(label_smoothing)))
