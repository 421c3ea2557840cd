"""Add and Concatenate: several inputs become one."""

import functools

from .. import ops
from ..errors import ArgumentError, ShapeError
from .base import Layer


def _check_list(inputs, least):
    if not isinstance(inputs, (list, tuple)) or len(inputs) < least:
        raise ArgumentError(f"inputs must be a list of at least {least} tensors, got {inputs!r:.200}")


class Add(Layer):
    """The sum of a list of inputs, of one shape or of shapes that broadcast.

    Examples
    --------
    >>> Add()([np.ones((1, 2)), np.ones((1, 2))]).numpy()
    array([[2., 2.]], dtype=float32)
    """

    def call(self, inputs):
        """Compute the outputs."""
        _check_list(inputs, 2)
        if all(x.shape == inputs[0].shape for x in inputs):
            return ops.add_n(inputs)
        return functools.reduce(ops.add, inputs)


class Concatenate(Layer):
    """A list of inputs, one after another along an axis.

    Parameters
    ----------
    axis : int
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ArgumentError(f"{self._title()}: axis must be an integer, got {axis!r}")
        self.axis = axis

    def call(self, inputs):
        """Compute the outputs."""
        _check_list(inputs, 1)
        first = inputs[0]
        if not -first.ndim <= self.axis < first.ndim:
            raise ShapeError(f"axis={self.axis} is not an axis of inputs of shape {first.shape}")
        return inputs[0] if len(inputs) == 1 else ops.concatenate(inputs, axis=self.axis)


def add(inputs, **kwargs):
    """Return the sum of a list of inputs: `Add` as a function."""
    return Add(**kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """Return a list of inputs, one after another along an axis: `Concatenate` as a function."""
    return Concatenate(axis=axis, **kwargs)(inputs)
