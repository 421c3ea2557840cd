"""Distances between numbers."""

import numpy as np

from .metric import MeanMetric, same_rank


def mean_squared_error(y_true, y_pred):
    """Return the mean of (y_true - y_pred)² over the last axis."""
    return np.square(same_rank(y_true, y_pred, "mean_squared_error") - y_pred).mean(axis=-1)


def mean_absolute_error(y_true, y_pred):
    """Return the mean of |y_true - y_pred| over the last axis."""
    return np.abs(same_rank(y_true, y_pred, "mean_absolute_error") - y_pred).mean(axis=-1)


class MeanSquaredError(MeanMetric):
    """Mean of (y_true - y_pred)²."""

    def __init__(self, name="mean_squared_error"):
        super().__init__(mean_squared_error, name)


class MeanAbsoluteError(MeanMetric):
    """Mean of |y_true - y_pred|."""

    def __init__(self, name="mean_absolute_error"):
        super().__init__(mean_absolute_error, name)
