"""Optimizers: how weights follow gradients. Named by string (``"adam"``), class or object."""

from .. import named
from ..errors import ArgumentError
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "deserialize", "get", "serialize"]

_CLASSES = (SGD, Adam, AdamW, RMSprop)
_BY_NAME = {cls.__name__.lower(): cls for cls in _CLASSES}


def get(identifier):
    """Return an `Optimizer` from a string (any case), class, object or configuration.

    Raises
    ------
    ArgumentError
        When no optimizer has that name.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    if isinstance(identifier, str) and identifier.lower() in _BY_NAME:
        return _BY_NAME[identifier.lower()]()
    raise ArgumentError(
        f"optimizer: unknown optimizer {identifier!r}; use one of {', '.join(_BY_NAME)}, or an Optimizer"
    )


def serialize(optimizer):
    """Return an optimizer as {"class_name": ..., "config": ...}, or None where it is a user's own."""
    return named.serialize(optimizer, _CLASSES)


def deserialize(config):
    """Return an optimizer from what `serialize` returned."""
    return named.deserialize("optimizer", config, _CLASSES)
