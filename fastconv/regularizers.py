"""Penalties on weights, which training adds to the loss: ``Dense(10, kernel_regularizer="l2")``.

A regularizer is called with a weight and returns one number. Every one can be named by string, class or object, and goes into a
saved model as ``{"class_name": ..., "config": {...}}``. The gradient of a penalty goes through the optimizer with that of the
loss; an optimizer's ``weight_decay`` acts on the weights themselves (Loshchilov and Hutter 2019).
"""

import numpy as np

from . import named, ops
from .autograd import as_tensor
from .errors import ArgumentError


class Regularizer:
    """Base class: a subclass has `__call__(weight)`, and keeps its arguments as attributes of the same name.

    Examples
    --------
    >>> class Spread(Regularizer):
    ...     def __call__(self, weight):
    ...         return 0.1 * fastconv.ops.max(fastconv.ops.abs(weight))
    >>> layers.Dense(3, kernel_regularizer=Spread()).kernel_regularizer
    Spread()
    """

    def __call__(self, weight):
        """Return the penalty of a weight, a Tensor of shape ()."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, weight)")

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config):
        """Return a regularizer from what `get_config` returned."""
        return cls(**config)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class L1L2(Regularizer):
    """``l1 * sum(|weight|) + l2 * sum(weight ** 2)``.

    Parameters
    ----------
    l1, l2 : float
        At least 0; None stands for 0.

    Examples
    --------
    >>> L1L2(l1=0.5, l2=0.1)(np.array([-1.0, 2.0], "float32")).numpy()
    array(2., dtype=float32)
    """

    def __init__(self, l1=0.0, l2=0.0):
        self.l1, self.l2 = _factor(self, l1, "l1"), _factor(self, l2, "l2")

    def __call__(self, weight):
        """Return the penalty of a weight, a Tensor of shape ()."""
        return _penalty(weight, self.l1, self.l2)


class L1(Regularizer):
    """``l1 * sum(|weight|)``, which makes small weights zero.

    Parameters
    ----------
    l1 : float
        At least 0.
    """

    def __init__(self, l1=0.01):
        self.l1 = _factor(self, l1, "l1")

    def __call__(self, weight):
        """Return the penalty of a weight, a Tensor of shape ()."""
        return _penalty(weight, self.l1, 0.0)


class L2(Regularizer):
    """``l2 * sum(weight ** 2)``: the gradient is ``2 * l2 * weight``.

    Parameters
    ----------
    l2 : float
        At least 0.
    """

    def __init__(self, l2=0.01):
        self.l2 = _factor(self, l2, "l2")

    def __call__(self, weight):
        """Return the penalty of a weight, a Tensor of shape ()."""
        return _penalty(weight, 0.0, self.l2)


def _factor(owner, value, name):
    value = 0.0 if value is None else value
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < float("inf"):
        raise ArgumentError(f"{type(owner).__name__}: {name} must be a number of at least 0, got {value!r}")
    return float(value)


def _penalty(weight, l1, l2):
    weight = as_tensor(weight)
    terms = [factor * ops.sum(f(weight)) for factor, f in ((l1, ops.abs), (l2, ops.square)) if factor]
    return sum(terms[1:], terms[0]) if terms else as_tensor(np.zeros((), weight.dtype))


CLASSES = {cls.__name__: cls for cls in (L1, L2, L1L2)}
_NAMES = CLASSES | {name.lower(): cls for name, cls in CLASSES.items()} | {"l1_l2": L1L2}


def get(identifier):
    """Return the regularizer that a name, class, configuration, object or function stands for; None stays None.

    Raises
    ------
    ArgumentError
        When there is none of that name.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier in _NAMES:
        return _NAMES[identifier]()
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Regularizer):
        return identifier()
    if callable(identifier):
        return identifier
    raise ArgumentError(
        f"no regularizer is named {identifier!r}; known are {', '.join(sorted(name for name in _NAMES if name.islower()))}; a "
        "factor goes into an object, regularizers.L2(0.001)"
    )


# Keras's second names.
l1, l2, l1_l2 = L1, L2, L1L2


def serialize(regularizer):
    """Return ``{"class_name", "config"}`` of a regularizer."""
    return {"class_name": type(regularizer).__name__, "config": regularizer.get_config()}


def deserialize(config):
    """Return a regularizer from what `serialize` returned, looked up by name among those of this module."""
    return named.deserialize("regularizer", config, CLASSES.values())
