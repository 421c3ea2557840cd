"""The protocol of a metric, and the running mean that all of the others are."""

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..named import snake_case
from ..shapes import fits_as_weights


class Metric:
    """A number that is updated batch by batch: `update_state`, `result`, `reset_state`.

    A subclass defines those three; `update_state` gets NumPy arrays.
    """

    def __init__(self, name=None):
        self.name = name or snake_case(type(self).__name__)

    def update_state(self, *args, **kwargs):
        """Take one batch into account."""
        raise NotImplementedError(f"{type(self).__name__} must define update_state()")

    def result(self):
        """Return the value over everything seen since `reset_state`, a float."""
        raise NotImplementedError(f"{type(self).__name__} must define result()")

    def check(self, y_true, y_pred):
        """Raise where labels do not fit predictions, NumPy arrays of a first sample. Changes nothing."""

    def reset_state(self):
        """Forget everything seen."""
        raise NotImplementedError(f"{type(self).__name__} must define reset_state()")

    def __call__(self, *args, **kwargs):
        """Update with one batch and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config):
        """Return a metric from what `get_config` returned."""
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name!r}>"


class Mean(Metric):
    """The weighted mean of values.

    Examples
    --------
    >>> mean = Mean()
    >>> mean.update_state([1.0, 3.0])
    >>> mean.result()
    2.0
    """

    def __init__(self, name="mean"):
        super().__init__(name)
        self.reset_state()

    def update_state(self, values, sample_weight=None):
        """Add `values`; `sample_weight` has their shape, or a prefix of it, or 1 in place of some of the later sizes."""
        values = np.asarray(values, np.float64)
        if sample_weight is None:
            self.total += float(values.sum())
            self.count += values.size
            return
        weights = np.asarray(sample_weight, np.float64)
        if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
            weights = weights[..., 0]
        if not fits_as_weights(weights.shape, values.shape):
            raise ShapeError(f"{self.name}: sample_weight of shape {weights.shape} for values of {values.shape}")
        weights = np.broadcast_to(weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim)), values.shape)
        self.total += float((values * weights).sum())
        self.count += float(weights.sum())

    def result(self):
        """Return the mean, 0.0 before the first value."""
        return self.total / self.count if self.count else 0.0

    def reset_state(self):
        """Forget everything seen."""
        self.total, self.count = 0.0, 0.0


class MeanMetric(Mean):
    """The mean of a function of labels and predictions; also made from a user's function.

    Parameters
    ----------
    fn : callable
        (y_true, y_pred) -> array of one value a sample (or position), NumPy.
    name : str, optional
        The function's name if left out.
    """

    def __init__(self, fn, name=None):
        super().__init__(name or getattr(fn, "__name__", None) or snake_case(type(fn).__name__))
        self._fn = fn

    def check(self, y_true, y_pred):
        """Raise where labels do not fit predictions; a user's function is not called for that."""
        if type(self) is not MeanMetric:
            self._fn(y_true, y_pred)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take one batch of labels and predictions into account."""
        y_true, y_pred = (np.asarray(a.numpy() if hasattr(a, "numpy") else a) for a in (y_true, y_pred))
        values = self._fn(y_true, y_pred)
        if values is None:
            raise ArgumentError(f"metrics: the function {self.name!r} returned None; it must return its value")
        super().update_state(values.numpy() if hasattr(values, "numpy") else values, sample_weight)


def same_rank(y_true, y_pred, name):
    """Return labels with a last axis of 1 added or dropped so that they have the shape of the predictions."""
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        y_true = y_true[..., None]
    elif y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if y_true.shape != y_pred.shape:
        raise ShapeError(f"{name}: y_true has shape {y_true.shape} but y_pred has {y_pred.shape}")
    return y_true


def check_last_axis(y_pred, name):
    """Raise ArgumentError unless predictions have an axis of classes."""
    if y_pred.ndim < 2:
        raise ArgumentError(f"{name}: y_pred must have a last axis of classes, got shape {y_pred.shape}")
