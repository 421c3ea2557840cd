"""The protocol of a loss, checks of labels, and losses from a user's function."""

import numpy as np

from ..autograd import Tensor, as_tensor
from ..errors import ArgumentError, ShapeError, UnsupportedOpError
from ..named import snake_case
from ..shapes import fits_as_weights

BLOCK = 1 << 16  # labels looked at in one go: checking a memory-mapped array needs no copy of it
_MEANS = ("sum_over_batch_size", "mean")


def blocks(array):
    """Yield (index of the first sample, part of the array)."""
    for start in range(0, len(array), BLOCK):
        yield start, array[start : start + BLOCK]


def refuse(labels, wrong, what, why):
    """Raise ArgumentError that names the first label for which ``wrong(part)`` holds."""
    for start, part in blocks(labels):
        bad = wrong(part)
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            value = part[index]
            index = (index[0] + start, *index[1:])
            raise ArgumentError(f"{what}[{', '.join(map(str, index))}] is {value}: {why}")


def refuse_not_finite(labels, what):
    """Raise ArgumentError for labels that hold NaN or infinities."""
    if labels.dtype.kind == "f":
        refuse(
            labels,
            lambda part: ~np.isfinite(part),
            what,
            "labels must not be NaN or infinite; drop or fill such samples",
        )


def with_last_axis(shape):
    """Return a shape with at least two dimensions."""
    return (*shape, 1) if len(shape) == 1 else tuple(shape)


class Loss:
    """How far predictions are from labels, as one number to minimise.

    A subclass of one's own defines ``call(y_true, y_pred)``, which takes Tensors of the same float type and returns one
    value a sample (or position).

    Parameters
    ----------
    name : str, optional
    reduction : {"sum_over_batch_size", "mean", "sum", "none", None}
        The first two are the mean over samples (and positions); weights multiply, they do not enter the divisor.
    """

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        if reduction not in (*_MEANS, "sum", "none", None):
            raise ArgumentError(
                f"{type(self).__name__}: reduction must be 'sum_over_batch_size', 'mean', 'sum', 'none' or None, "
                f"got {reduction!r}"
            )
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction

    # ---- labels, on the host

    def check(self, y_true, shape, what="y"):
        """Raise an error that names `what` where labels do not fit predictions of `shape`.

        Parameters
        ----------
        y_true : ndarray
        shape : tuple of int
            Of the predictions, with the number of samples that `y_true` has.
        """
        self._match(y_true, shape, what)
        refuse_not_finite(y_true, what)

    def cast(self, y_true, shape, dtype):
        """Return labels as `call` reads them, for predictions of `shape` and `dtype`."""
        return np.ascontiguousarray(y_true, dtype).reshape(self._match(y_true, shape, "y"))

    def _match(self, y_true, shape, what):
        """Return the shape of the labels, with a last axis of 1 added or dropped to fit the predictions."""
        if y_true.ndim == len(shape) - 1 and shape[-1] == 1:
            return (*y_true.shape, 1)
        if y_true.ndim == len(shape) + 1 and y_true.shape[-1] == 1:
            return y_true.shape[:-1]
        return y_true.shape

    # ---- the loss itself

    def call(self, y_true, y_pred):
        """Return one value a sample or position."""
        raise UnsupportedOpError(f"{type(self).__name__} must define call(self, y_true, y_pred)")

    def mean(self, y_true, y_pred, sample_weight=None):
        """Return sum(weight * loss) / number of losses, a Tensor of shape ()."""
        return self._weighted(y_true, y_pred, sample_weight).mean()

    def _weighted(self, y_true, y_pred, sample_weight):
        losses = as_tensor(self.call(y_true, y_pred))
        if sample_weight is None:
            return losses
        weight = sample_weight if isinstance(sample_weight, Tensor) else as_tensor(sample_weight, losses.dtype)
        return losses * _reshape(weight, _weight_shape(weight.shape, losses.shape))

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Return the reduced loss.

        Parameters
        ----------
        y_true : array_like
            Labels, in any form that `check` accepts.
        y_pred : Tensor or array_like
        sample_weight : array_like, optional
            (N,), or one for each loss.

        Returns
        -------
        Tensor
            Of shape (), unless ``reduction=None``.
        """
        y_pred = as_tensor(y_pred)
        if not (isinstance(y_true, Tensor) and not isinstance(y_true.data, np.ndarray)):
            array = y_true.numpy() if isinstance(y_true, Tensor) else np.asarray(y_true)
            self.check(array, y_pred.shape, "y_true")
            y_true = as_tensor(self.cast(array, y_pred.shape, y_pred.dtype))
        if sample_weight is not None and not isinstance(sample_weight, Tensor):
            sample_weight = as_tensor(sample_weight, y_pred.dtype)
        if self.reduction in _MEANS:
            return self.mean(y_true, y_pred, sample_weight)
        losses = self._weighted(y_true, y_pred, sample_weight)
        return losses.sum() if self.reduction == "sum" else losses

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config):
        """Return a loss from what `get_config` returned."""
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name!r}>"


class LossFunction(Loss):
    """A loss made of a function (y_true, y_pred) -> one value a sample, or one for all."""

    def __init__(self, fn, name=None, reduction="sum_over_batch_size"):
        super().__init__(name or getattr(fn, "__name__", None) or snake_case(type(fn).__name__), reduction)
        self._fn = fn

    def call(self, y_true, y_pred):
        """Return what the function returns."""
        values = self._fn(y_true, y_pred)
        if values is None:
            raise ArgumentError(f"loss: the function {self.name!r} returned None; it must return its value")
        return values


class FusedLoss(Loss):
    """Base of the losses that have an operation of their own for the weighted mean."""

    def _operation(self, y_true, y_pred, sample_weight):
        raise NotImplementedError(f"{type(self).__name__} must define _operation(self, y_true, y_pred, sample_weight)")

    def mean(self, y_true, y_pred, sample_weight=None):
        """Return sum(weight * loss) / number of losses, a Tensor of shape ()."""
        if sample_weight is not None:
            sample_weight = spread(sample_weight, with_last_axis(y_pred.shape)[:-1])
        return self._operation(y_true, y_pred, sample_weight)


def spread(weight, shape):
    """Return weights (N,) or (N, 1) repeated over the positions of each sample: a Tensor of `shape`."""
    if weight.shape == tuple(shape):
        return weight
    weight = _reshape(weight, _weight_shape(weight.shape, shape))
    return weight if weight.shape == tuple(shape) else weight * np.ones(shape, weight.dtype)


def _weight_shape(given, losses):
    """Return `given` with axes of 1 added or dropped at the end until it broadcasts to the shape of the losses."""
    shape = tuple(given)
    while len(shape) > len(losses) and shape[-1] == 1:
        shape = shape[:-1]
    if losses and not fits_as_weights(shape, losses):
        raise ShapeError(
            f"sample_weight has shape {tuple(given)} for losses of shape {tuple(losses)}; give a weight for each "
            f"sample, ({losses[0]},), or for each loss"
        )
    return shape + (1,) * (len(losses) - len(shape))


def _reshape(tensor, shape):
    return tensor if tensor.shape == tuple(shape) else tensor.reshape(shape)
