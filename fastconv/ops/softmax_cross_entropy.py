"""Softmax and cross-entropy in one: the loss from logits, with the probabilities for free."""

from typing import NamedTuple

import numpy as np

from .._kernels import softmax as kernels
from ..autograd import apply
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float, check_not_empty, check_range, check_rank, check_shape


class Attrs(NamedTuple):
    """`label_smoothing`: the share of every target that is spread evenly over the classes, in [0, 1)."""

    label_smoothing: float = 0.0


def check_labels(op, scores, specs):
    """Check labels (int32 class numbers, or probabilities like `scores`) and sample_weight against (..., C)."""
    labels, weight = specs["labels"], specs.get("sample_weight")
    check_rank(op, "its scores", scores, "(..., C)")
    check_not_empty(op, "its scores", scores, {-1: "class on the last axis"})
    if labels.dtype == "int32":
        check_shape(op, "labels (class numbers)", labels.shape, scores.shape[:-1])
    else:
        check_float(op, "labels (int32 class numbers, or probabilities)", labels, scores.dtype)
        check_shape(op, "labels (probabilities)", labels.shape, scores.shape)
    if weight is not None:
        check_float(op, "sample_weight", weight, scores.dtype)
        check_shape(op, "sample_weight", weight.shape, scores.shape[:-1])


def make_targets(labels, classes, smoothing, dtype):
    """Return labels as smoothed probabilities (..., C); a class number out of range gives a row of NaN."""
    if labels.dtype.kind == "f":
        targets = labels
    else:
        targets = (labels[..., None] == np.arange(classes)).astype(dtype)
        targets[(labels < 0) | (labels >= classes)] = np.nan
    return targets * (1 - smoothing) + smoothing / classes


def mean_loss(losses, sample_weight):
    """Return sum(weight * loss) / number of losses, summed in float64; of no losses, NaN."""
    weighted = losses if sample_weight is None else losses * sample_weight
    mean = weighted.sum(dtype="float64") / losses.size if losses.size else np.nan
    return np.asarray(mean, losses.dtype)


def infer(specs, attrs):
    logits = specs["logits"]
    check_float("softmax_cross_entropy", "logits", logits)
    check_labels("softmax_cross_entropy", logits, specs)
    check_range("softmax_cross_entropy", "label_smoothing", attrs.label_smoothing, 0, 1)
    return {"loss": Spec((), logits.dtype), "probabilities": logits}


def reference(arrays, attrs):
    logits, labels = arrays["logits"], arrays["labels"]
    shifted = logits - logits.max(-1, keepdims=True)
    exps = np.exp(shifted)
    total = exps.sum(-1, keepdims=True)
    log_p = shifted - np.log(total)
    targets = make_targets(labels, logits.shape[-1], attrs.label_smoothing, logits.dtype)
    # A class number takes nothing of the other classes: not 0 * -inf, which is NaN.
    unused = (targets == 0) & (labels.dtype.kind == "i")
    losses = -np.where(unused, 0, targets * log_p).sum(-1)
    return {"loss": mean_loss(losses, arrays.get("sample_weight")), "probabilities": exps / total}


# With p = softmax(x) and targets t, the loss of a row is l = -sum_i t_i log p_i. As d log p_i / dx_j = (i == j) - p_j,
#   dl/dx_j = p_j sum(t) - t_j
# and a gradient dp that reaches the probabilities adds softmax's own p (dp - sum(dp p)).
def reference_backward(arrays, attrs, needs):
    p, dp = arrays["probabilities"], arrays["dprobabilities"]
    targets = make_targets(arrays["labels"], p.shape[-1], attrs.label_smoothing, p.dtype)
    scale = arrays["dloss"] * np.ones(p.shape[:-1], p.dtype) / max(p.size // p.shape[-1], 1)
    if "sample_weight" in arrays:
        scale = scale * arrays["sample_weight"]
    dlogits = (p * targets.sum(-1, keepdims=True) - targets) * scale[..., None]
    return {"dlogits": dlogits + p * (dp - (dp * p).sum(-1, keepdims=True))}


def _operands(specs):
    sparse = specs["labels"].dtype == "int32"
    return ("labels" if sparse else None, None if sparse else "labels",
            "sample_weight" if "sample_weight" in specs else None)  # fmt: skip


def plan(specs, attrs):
    columns = specs["logits"].shape[-1]
    rows = specs["logits"].size // columns
    chunks = kernels.loss_chunks(rows, columns)
    losses = kernels.softmax_loss(
        "logits", *_operands(specs), "probabilities", "partial", rows, columns, attrs.label_smoothing
    )
    return Plan(
        phases=((losses,), (kernels.loss_mean("partial", "loss", chunks, rows),)),
        workspace={"partial": 8 * chunks},
        inplace={"probabilities": "logits"},
    )


def plan_backward(specs, attrs, needs):
    columns = specs["probabilities"].shape[-1]
    step = kernels.softmax_loss_backward(
        "probabilities", *_operands(specs), "dprobabilities", "dloss", "dlogits",
        specs["probabilities"].size // columns, columns, attrs.label_smoothing,
    )  # fmt: skip
    return Plan(phases=((step,),), inplace={"dlogits": "dprobabilities"})


def draw_labels(classes):
    """Return a `Case.draw` of int32 class numbers."""
    return lambda rng, shape: rng.integers(0, classes, shape).astype("int32")


def draw_probabilities(rng, shape):
    """Draw positive rows that sum to 1, none near 0."""
    x = rng.uniform(0.2, 1.0, shape)
    return x / x.sum(-1, keepdims=True)


def draw_weights(rng, shape):
    """Draw weights, every third of them 0 but the first not."""
    weights = np.asarray(rng.uniform(0.5, 2.0, shape))
    weights.reshape(-1)[1::3] = 0
    return weights


def loss_cases(scores, attrs, draw=None):
    """Return cases over shapes, kinds of labels, weights and smoothing, for the input called `scores`."""
    cases = []
    for shape, sparse, weighted, smoothing in (
        ((1, 1), True, False, 0.0),
        ((3, 10), True, False, 0.0),
        ((1, 7), True, True, 0.1),
        ((5, 17), False, False, 0.0),
        ((3, 10), False, True, 0.2),
        ((2, 3, 5, 4), True, True, 0.0),
        ((2, 3, 33), False, True, 0.0),
        ((431, 10), True, False, 0.0),
    ):
        inputs = {scores: Spec(shape), "labels": Spec(shape[:-1], "int32") if sparse else Spec(shape)}
        draws = {"labels": draw_labels(shape[-1]) if sparse else draw_probabilities}
        if draw:
            draws[scores] = draw
        if weighted:
            inputs["sample_weight"] = Spec(shape[:-1])
            draws["sample_weight"] = draw_weights
        cases.append(Case(inputs, attrs(smoothing), draws))
    return tuple(cases)


OP = register(
    Op(
        name="softmax_cross_entropy",
        inputs=("logits", "labels", "sample_weight?"),
        outputs=("loss", "probabilities"),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        keeps=lambda attrs, needs: ("probabilities", "labels", "sample_weight"),
        differentiable=frozenset({"logits"}),
        attrs=Attrs,
        cases=loss_cases("logits", Attrs),
        flops=lambda specs, attrs: 6 * specs["logits"].size,
        reduction=lambda specs, attrs: specs["logits"].size,
    )
)


def softmax_cross_entropy(logits, labels, sample_weight=None, label_smoothing=0.0):
    """Return the mean cross-entropy of softmax(logits) against `labels`, and the probabilities.

    The loss is sum(weight * loss) / number of samples, as Keras's ``"sum_over_batch_size"``.

    Parameters
    ----------
    logits : Tensor or array_like
        Of shape (N..., C); float32 or float64.
    labels : Tensor or array_like
        int32 class numbers of shape (N...), or probabilities of the shape and dtype of `logits`. A class number out of
        range makes the loss NaN.
    sample_weight : Tensor or array_like, optional
        Of shape (N...).
    label_smoothing : float
        In [0, 1): the share of each target that is spread evenly over the classes (Szegedy et al., arXiv 1512.00567).

    Returns
    -------
    loss : Tensor
        Of shape ().
    probabilities : Tensor
        Of the shape of `logits`.

    Raises
    ------
    ShapeError, DTypeError
        When labels or weights do not fit the logits.
    ArgumentError
        When `label_smoothing` is out of range.

    Examples
    --------
    >>> labels = np.array([1], "int32")
    >>> loss, p = fastconv.ops.softmax_cross_entropy(np.zeros((1, 2), "float32"), labels)
    >>> round(float(loss.numpy()), 4), p.numpy()
    (0.6931, array([[0.5, 0.5]], dtype=float32))
    """
    return apply(OP, (logits, labels, sample_weight), Attrs(float(label_smoothing)))
