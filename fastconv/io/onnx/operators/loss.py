"""Losses, by NumPy: networks that compute one are run to be tested."""

import numpy as np

from ....errors import ShapeError
from ._arrays import in_float32, inside
from ._registry import evaluates
from .activation import log_softmax_array


def _negative_log_likelihood(call, log_probabilities, labels, weight):
    kind = log_probabilities.dtype
    index = call.attribute("ignore_index")
    ignored = np.zeros(labels.shape, bool) if index is None else labels == index
    labels = inside(np.where(ignored, 0, labels), log_probabilities.shape[1], "the classes", lowest=0)
    loss = -np.take_along_axis(log_probabilities, labels[:, None], 1)[:, 0]
    if weight is not None and weight.shape != log_probabilities.shape[1:2]:
        raise ShapeError(f"has weights {list(weight.shape)} for {log_probabilities.shape[1]} classes")
    weights = np.ones(labels.shape, kind) if weight is None else weight[labels]
    weights = np.where(ignored, 0, weights).astype(kind)
    loss = loss * weights
    reduction = call.attribute("reduction", "mean")
    if reduction == "none":
        return loss
    return loss.sum(dtype=kind) / weights.sum(dtype=kind) if reduction == "mean" else loss.sum(dtype=kind)


@evaluates("NegativeLogLikelihoodLoss")
@in_float32
def negative_log_likelihood_loss(call, log_probabilities, labels, weight=None):
    return _negative_log_likelihood(call, log_probabilities, labels, weight)


@evaluates("SoftmaxCrossEntropyLoss")
@in_float32
def softmax_cross_entropy_loss(call, scores, labels, weight=None):
    log_probabilities = np.moveaxis(log_softmax_array(np.moveaxis(scores, 1, -1)), -1, 1)
    return _negative_log_likelihood(call, log_probabilities, labels, weight), log_probabilities
