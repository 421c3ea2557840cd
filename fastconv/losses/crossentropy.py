"""Cross-entropies: of class numbers, of one-hot rows, of independent yes-no answers.

Predictions are logits (``from_logits=True``) or probabilities. Probabilities that an activation made carry their logits
(`Tensor.logits`); the loss is then computed from those, in one operation with the softmax, without rounding at 0 and 1.
"""

import numpy as np

from .. import ops
from ..autograd import as_tensor
from ..errors import ArgumentError, ShapeError, UnsupportedOpError
from .loss import FusedLoss, refuse, refuse_not_finite, with_last_axis

EPSILON = 1e-7


def logits_of(y_pred, activation, from_logits):
    """Return the logits behind predictions, or None where only probabilities are known."""
    if from_logits:
        return y_pred
    # The logits of another activation would give another loss.
    return y_pred.logits if y_pred.logits is not None and y_pred.logits_of == activation else None


def _check_smoothing(value, owner):
    if not isinstance(value, (int, float, np.number)) or not 0 <= value < 1:
        raise ArgumentError(f"{owner}: label_smoothing must be at least 0 and less than 1, got {value!r}")
    return float(value)


def _check_axis(axis, owner):
    if axis != -1:
        raise UnsupportedOpError(f"{owner}: axis={axis!r} is not supported; put the classes on the last axis (axis=-1)")


class _Crossentropy(FusedLoss):
    label_smoothing = 0.0
    from_logits = False

    def _operation(self, y_true, y_pred, sample_weight):
        logits = logits_of(y_pred, "softmax", self.from_logits)
        if logits is None:
            return ops.cross_entropy(y_pred, y_true, sample_weight, self.label_smoothing)
        return ops.softmax_cross_entropy(logits, y_true, sample_weight, self.label_smoothing)[0]

    def call(self, y_true, y_pred):
        """Return the cross-entropy of each sample or position."""
        targets = (
            self._targets(y_true.numpy(), y_pred) * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[-1]
        )
        logits = logits_of(y_pred, "softmax", self.from_logits)
        if logits is not None:
            log_p = ops.log_softmax(logits)
        else:
            p = y_pred / y_pred.sum(axis=-1, keepdims=True)
            log_p = ops.log(ops.minimum(ops.maximum(p, EPSILON), 1 - EPSILON))
        return -(log_p * as_tensor(targets, y_pred.dtype)).sum(axis=-1)


class SparseCategoricalCrossentropy(_Crossentropy):
    """Cross-entropy of class numbers (N,) or (N, 1) against predictions (N, classes).

    Also one number for each position, (N, H, W), against (N, H, W, classes).

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits. They are probabilities otherwise.
    ignore_class : None
        Keras's; only None is supported.
    reduction, name
        As in `Loss`.

    Examples
    --------
    >>> loss = SparseCategoricalCrossentropy()
    >>> round(float(loss([1, 2], [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])), 4)
    1.1769
    """

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name="sparse_categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(name, reduction)
        _check_axis(axis, type(self).__name__)
        if ignore_class is not None:
            raise UnsupportedOpError(
                "SparseCategoricalCrossentropy: ignore_class is not supported; give those samples the sample_weight 0"
            )
        self.from_logits = bool(from_logits)

    def check(self, y_true, shape, what="y"):
        """Raise where labels are no class numbers of predictions of `shape`."""
        self._match(y_true, shape, what)
        refuse_not_finite(y_true, what)
        classes = shape[-1]
        if y_true.dtype.kind == "f":
            refuse(y_true, lambda part: part != np.floor(part), what, "class numbers must be whole")
        if y_true.dtype.kind != "b":
            why = f"class numbers must be from 0 to {classes - 1}, as there are {classes} outputs"
            refuse(y_true, lambda part: (part < 0) | (part >= classes), what, why)

    def cast(self, y_true, shape, dtype):
        """Return class numbers as int32, without an axis of 1."""
        return np.ascontiguousarray(y_true, "int32").reshape(self._match(y_true, shape, "y"))

    def _match(self, y_true, shape, what):
        if len(shape) < 2:
            raise ShapeError(f"{self.name}: predictions of shape {shape} have no axis of classes")
        if y_true.shape == shape and shape[-1] > 1:
            raise ShapeError(
                f"{what} has the shape {y_true.shape} of one-hot labels; {self.name} takes class numbers {shape[:-1]}: "
                "use 'categorical_crossentropy', or argmax(axis=-1) of the labels"
            )
        if y_true.shape not in (shape[:-1], (*shape[:-1], 1)):
            raise ShapeError(
                f"{what} must have the shape {shape[:-1]} or {(*shape[:-1], 1)} for {self.name} of predictions "
                f"{shape}, got {y_true.shape}"
            )
        return shape[:-1]

    def _targets(self, labels, y_pred):
        return labels[..., None] == np.arange(y_pred.shape[-1])

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return {**super().get_config(), "from_logits": self.from_logits}


class CategoricalCrossentropy(_Crossentropy):
    """Cross-entropy of one-hot (or soft) labels against predictions, both (N, classes).

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits. They are probabilities otherwise.
    label_smoothing : float
        The share of each label that is spread evenly over the classes.
    reduction, name
        As in `Loss`.

    Examples
    --------
    >>> loss = CategoricalCrossentropy()
    >>> round(float(loss([[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1]])), 4)
    1.1769
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(name, reduction)
        _check_axis(axis, type(self).__name__)
        self.from_logits = bool(from_logits)
        self.label_smoothing = _check_smoothing(label_smoothing, type(self).__name__)

    def _match(self, y_true, shape, what):
        if y_true.shape != tuple(shape):
            numbers = y_true.shape in (tuple(shape[:-1]), (*shape[:-1], 1))
            hint = ": use 'sparse_categorical_crossentropy', or utils.to_categorical(labels)" if numbers else ""
            raise ShapeError(
                f"{what} must be one-hot of shape {tuple(shape)} for {self.name}, got {y_true.shape}{hint}"
            )
        return tuple(shape)

    def _targets(self, labels, y_pred):
        return labels

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return {**super().get_config(), "from_logits": self.from_logits, "label_smoothing": self.label_smoothing}


class BinaryCrossentropy(FusedLoss):
    """Cross-entropy of labels between 0 and 1 against as many predictions, averaged over the last axis.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits. They are probabilities otherwise.
    label_smoothing : float
        Moves labels towards 1/2 by this share.
    reduction, name
        As in `Loss`.

    Examples
    --------
    >>> loss = BinaryCrossentropy(from_logits=True)
    >>> round(float(loss([0, 1, 0, 0], [[-18.6], [0.51], [2.94], [-12.8]])), 3)
    0.865
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_crossentropy",
        dtype=None,
    ):
        super().__init__(name, reduction)
        _check_axis(axis, type(self).__name__)
        self.from_logits = bool(from_logits)
        self.label_smoothing = _check_smoothing(label_smoothing, type(self).__name__)

    def check(self, y_true, shape, what="y"):
        """Raise where labels are not between 0 and 1, or not as many as predictions of `shape`."""
        super().check(y_true, shape, what)
        if y_true.dtype.kind != "b":
            refuse(y_true, lambda part: (part < 0) | (part > 1), what, f"labels of {self.name} must be from 0 to 1")

    def _match(self, y_true, shape, what):
        matched = super()._match(y_true, shape, what)
        if matched != tuple(shape):
            raise ShapeError(f"{what} must have the shape {tuple(shape)} for {self.name}, got {y_true.shape}")
        return matched

    def _prepare(self, y_true, y_pred):
        logits = logits_of(y_pred, "sigmoid", self.from_logits)
        x = y_pred if logits is None else logits
        shape = with_last_axis(x.shape)
        return y_true.reshape(shape), x.reshape(shape), logits is not None

    def _operation(self, y_true, y_pred, sample_weight):
        y_true, x, from_logits = self._prepare(y_true, y_pred)
        return ops.binary_cross_entropy(y_true, x, sample_weight, from_logits, self.label_smoothing)

    def call(self, y_true, y_pred):
        """Return the cross-entropy of each sample or position: the mean over the last axis."""
        t, x, from_logits = self._prepare(y_true, y_pred)
        t = t * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        if from_logits:
            # -t log s(x) - (1 - t) log(1 - s(x)), rearranged so that exp never overflows.
            values = ops.maximum(x, 0.0) - x * t + ops.log(1.0 + ops.exp(-abs(x)))
        else:
            yes, no = (ops.minimum(ops.maximum(p, EPSILON), 1 - EPSILON) for p in (x, 1.0 - x))
            values = -(t * ops.log(yes) + (1.0 - t) * ops.log(no))
        return values.mean(axis=-1)

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return {**super().get_config(), "from_logits": self.from_logits, "label_smoothing": self.label_smoothing}
