"""Losses: what training minimises.

A loss is named by string (``"sparse_categorical_crossentropy"``, ``"mse"``), class or object, or is any function of
(y_true, y_pred) made of fastconv operations.
"""

from .. import named
from ..errors import ArgumentError
from ..named import snake_case
from .crossentropy import BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy
from .loss import Loss, LossFunction
from .regression import MeanSquaredError

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "LossFunction",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "mean_squared_error",
    "serialize",
    "sparse_categorical_crossentropy",
]

_CLASSES = (BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError, SparseCategoricalCrossentropy)
_BY_NAME = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{snake_case(cls.__name__): cls for cls in _CLASSES},
    **dict.fromkeys(("bce", "BCE"), BinaryCrossentropy),
    **dict.fromkeys(("mse", "MSE"), MeanSquaredError),
}


def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1):
    """Return the cross-entropy of each sample, a Tensor (N,): labels (N,) or (N, 1), predictions (N, classes)."""
    return SparseCategoricalCrossentropy(from_logits, ignore_class, None, axis)(y_true, y_pred)


def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """Return the cross-entropy of each sample, one-hot labels against predictions, both (N, classes): a Tensor (N,)."""
    return CategoricalCrossentropy(from_logits, label_smoothing, axis, None)(y_true, y_pred)


def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """Return the cross-entropy of each sample, its mean over the last axis: a Tensor (N,)."""
    return BinaryCrossentropy(from_logits, label_smoothing, axis, None)(y_true, y_pred)


def mean_squared_error(y_true, y_pred):
    """Return the squared error of each sample, its mean over the last axis: a Tensor (N,)."""
    return MeanSquaredError(None)(y_true, y_pred)


_FUNCTIONS = {
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    binary_crossentropy: BinaryCrossentropy,
    mean_squared_error: MeanSquaredError,
}


def get(identifier):
    """Return a `Loss` from a string, class, object, configuration or function.

    Raises
    ------
    ArgumentError
        When no loss has that name.
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        if identifier in _BY_NAME:
            return _BY_NAME[identifier]()
    elif isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    elif callable(identifier):
        return _FUNCTIONS[identifier]() if identifier in _FUNCTIONS else LossFunction(identifier)
    known = ", ".join(name for name in _BY_NAME if name.islower())
    raise ArgumentError(f"loss: unknown loss {identifier!r}; use one of {known}, a Loss or a function")


def serialize(loss):
    """Return a loss as {"class_name": ..., "config": ...}, or None where it is a user's own."""
    return named.serialize(loss, _CLASSES)


def deserialize(config):
    """Return a loss from what `serialize` returned."""
    return named.deserialize("loss", config, _CLASSES)
