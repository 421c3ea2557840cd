"""Accuracy, in the forms that labels come in."""

import numpy as np

from ..errors import ArgumentError, ShapeError
from .metric import MeanMetric, check_last_axis, same_rank


def accuracy(y_true, y_pred):
    """Return 1.0 where labels and predictions are equal."""
    return (same_rank(y_true, y_pred, "accuracy") == y_pred).astype(np.float32)


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """Return 1.0 where ``y_pred > threshold`` agrees with the 0/1 label."""
    return (same_rank(y_true, y_pred, "binary_accuracy") == (y_pred > threshold)).astype(np.float32)


def categorical_accuracy(y_true, y_pred):
    """Return 1.0 where the largest prediction is at the largest entry of a one-hot label."""
    y_true = same_rank(y_true, y_pred, "categorical_accuracy")
    return (y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)).astype(np.float32)


def _sparse_labels(y_true, y_pred, name):
    """Return labels as (..., ) for predictions (..., classes); accepts a last axis of 1."""
    check_last_axis(y_pred, name)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if y_true.shape != y_pred.shape[:-1]:
        raise ShapeError(f"{name}: y_true must have shape {y_pred.shape[:-1]}, got {y_true.shape}")
    return y_true


def sparse_categorical_accuracy(y_true, y_pred):
    """Return 1.0 where the largest prediction is at the class that the label names."""
    return (_sparse_labels(y_true, y_pred, "sparse_categorical_accuracy") == y_pred.argmax(axis=-1)).astype(np.float32)


def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Return 1.0 where fewer than `k` classes score higher than the one that the label names."""
    labels = _sparse_labels(y_true, y_pred, "sparse_top_k_categorical_accuracy").astype(np.int64)
    classes = y_pred.shape[-1]
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ArgumentError(
            f"sparse_top_k_categorical_accuracy: class numbers must be from 0 to {classes - 1}, as there are {classes} "
            f"outputs, got {labels.min()} to {labels.max()}"
        )
    score = np.take_along_axis(y_pred, labels[..., None], axis=-1)
    return ((y_pred > score).sum(axis=-1) < k).astype(np.float32)


class Accuracy(MeanMetric):
    """How often labels and predictions are equal."""

    def __init__(self, name="accuracy"):
        super().__init__(accuracy, name)


class BinaryAccuracy(MeanMetric):
    """How often ``y_pred > threshold`` agrees with a 0/1 label."""

    def __init__(self, name="binary_accuracy", threshold=0.5):
        if not isinstance(threshold, (int, float, np.number)) or not 0 < threshold < 1:
            raise ArgumentError(f"BinaryAccuracy: threshold must be between 0 and 1, got {threshold!r}")
        super().__init__(lambda y_true, y_pred: binary_accuracy(y_true, y_pred, threshold), name)
        self.threshold = threshold

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return {"name": self.name, "threshold": self.threshold}


class CategoricalAccuracy(MeanMetric):
    """How often the largest prediction is at the 1 of a one-hot label."""

    def __init__(self, name="categorical_accuracy"):
        super().__init__(categorical_accuracy, name)


class SparseCategoricalAccuracy(MeanMetric):
    """How often the largest prediction is at the class of an integer label, (N,) or (N, 1).

    Examples
    --------
    >>> metric = SparseCategoricalAccuracy()
    >>> metric([[2], [1]], [[0.1, 0.6, 0.3], [0.05, 0.95, 0.0]])
    0.5
    """

    def __init__(self, name="sparse_categorical_accuracy"):
        super().__init__(sparse_categorical_accuracy, name)


class SparseTopKCategoricalAccuracy(MeanMetric):
    """How often the class of an integer label is among the `k` largest predictions."""

    def __init__(self, k=5, name="sparse_top_k_categorical_accuracy"):
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ArgumentError(f"SparseTopKCategoricalAccuracy: k must be an integer >= 1, got {k!r}")
        super().__init__(lambda y_true, y_pred: sparse_top_k_categorical_accuracy(y_true, y_pred, k), name)
        self.k = k

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return {"k": self.k, "name": self.name}


def accuracy_for(true_shape, pred_shape, name="accuracy"):
    """Return the metric that the string ``"accuracy"`` means for labels and predictions of these shapes, as in Keras.

    Binary where there is one output, sparse where labels have no axis of classes (or one of size 1), else one-hot.
    """
    if pred_shape[-1] == 1:
        return BinaryAccuracy(name)
    if len(true_shape) < len(pred_shape) or true_shape[-1] == 1:
        return SparseCategoricalAccuracy(name)
    return CategoricalAccuracy(name)
