"""Metrics: what `fit` and `evaluate` report beside the loss. Plain NumPy, no gradients.

A metric is named by string (``"accuracy"``), class, object, or is any function of (y_true, y_pred).
"""

from .. import named
from ..errors import ArgumentError
from ..named import snake_case
from .accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    accuracy_for,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
)
from .metric import Mean, MeanMetric, Metric
from .regression import MeanAbsoluteError, MeanSquaredError, mean_absolute_error, mean_squared_error

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "Mean",
    "MeanAbsoluteError",
    "MeanMetric",
    "MeanSquaredError",
    "Metric",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "accuracy_for",
    "binary_accuracy",
    "categorical_accuracy",
    "deserialize",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
]

_CLASSES = (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
)
_BY_NAME = {cls.__name__: cls for cls in _CLASSES} | {snake_case(cls.__name__): cls for cls in _CLASSES}
_SHORT = {"mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError, "MAE": MeanAbsoluteError}


def get(identifier, true_shape=None, pred_shape=None):
    """Return a `Metric` from a string, class, object, configuration or function.

    Parameters
    ----------
    identifier : str, type, Metric, dict or callable
        ``"accuracy"`` and ``"acc"`` depend on the shapes of labels and predictions. A string is also the metric's name.
    true_shape, pred_shape : tuple of int, optional

    Raises
    ------
    ArgumentError
        When no metric has that name.
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        if identifier.lower() in ("accuracy", "acc") and true_shape is not None:
            return accuracy_for(true_shape, pred_shape, identifier)
        if identifier in _SHORT or identifier in _BY_NAME:
            # The string is the key in the history: "mse" stays "mse".
            cls = _SHORT.get(identifier) or _BY_NAME[identifier]
            return cls(name=identifier if identifier != cls.__name__ else snake_case(identifier))
    elif isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    elif callable(identifier):
        return MeanMetric(identifier)
    known = ["acc", *(name for name in _BY_NAME if name.islower()), *_SHORT]
    raise ArgumentError(
        f"metrics: unknown metric {identifier!r}; use one of {', '.join(known)}, a Metric or a function"
    )


def serialize(metric):
    """Return a metric as {"class_name": ..., "config": ...}, or None where it is a user's own."""
    return named.serialize(metric, _CLASSES)


def deserialize(config):
    """Return a metric from what `serialize` returned."""
    return named.deserialize("metrics", config, _CLASSES)
