"""Losses on numbers."""

from .. import ops
from ..errors import ShapeError
from .loss import FusedLoss, with_last_axis


class MeanSquaredError(FusedLoss):
    """Mean of (y_true - y_pred)².

    Examples
    --------
    >>> float(MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]))
    0.5
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None):
        super().__init__(name, reduction)

    def _match(self, y_true, shape, what):
        matched = super()._match(y_true, shape, what)
        if matched != tuple(shape):
            raise ShapeError(f"{what} must have the shape of the predictions, {tuple(shape)}, got {y_true.shape}")
        return matched

    def _operation(self, y_true, y_pred, sample_weight):
        shape = with_last_axis(y_pred.shape)
        return ops.mean_squared_error(y_true.reshape(shape), y_pred.reshape(shape), sample_weight)

    def call(self, y_true, y_pred):
        """Return the squared error of each sample or position: the mean over the last axis."""
        shape = with_last_axis(y_pred.shape)
        return ops.square(y_pred.reshape(shape) - y_true.reshape(shape)).mean(axis=-1)
