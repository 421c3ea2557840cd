"""Flatten and Reshape: the same numbers under another shape."""

import math

from .. import ops
from ..errors import ArgumentError, ShapeError
from .base import Layer
from .images import check_data_format


class Flatten(Layer):
    """Inputs (N, ...) as (N, product of the rest).

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
        With channels first the order of the outputs is as if the input were channels last.
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = check_data_format(self, data_format)

    def call(self, inputs):
        """Compute the outputs."""
        if inputs.ndim < 1:
            raise ShapeError("inputs must have a batch axis, got a number")
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = inputs.transpose(0, *range(2, inputs.ndim), 1)
        return ops.flatten(inputs) if inputs.ndim > 1 else inputs.reshape(-1, 1)


class Reshape(Layer):
    """Inputs (N, ...) as (N, *target_shape).

    Parameters
    ----------
    target_shape : tuple of int
        Without the batch; one of them may be -1, which takes what is left.
    """

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        target_shape = (target_shape,) if isinstance(target_shape, int) else target_shape
        try:
            self.target_shape = tuple(int(n) for n in target_shape)
        except (TypeError, ValueError):
            raise ArgumentError(f"{self._title()}: target_shape must be integers, got {target_shape!r}") from None
        if self.target_shape.count(-1) > 1 or any(n < 1 and n != -1 for n in self.target_shape):
            raise ArgumentError(
                f"{self._title()}: target_shape must hold positive integers and at most one -1, got {target_shape!r}"
            )

    def _target(self, shape):
        """Return the target with its -1 worked out; -1 stays where the input is not known."""
        if None in shape[1:]:
            if -1 not in self.target_shape:
                return self.target_shape
            raise ShapeError(f"-1 in target_shape needs an input whose every dimension is known, got {shape}")
        size, known = math.prod(shape[1:]), math.prod(n for n in self.target_shape if n != -1)
        if size != known if -1 not in self.target_shape else size % known:
            raise ShapeError(
                f"inputs of shape {shape}, {size} elements each, do not fit target_shape={self.target_shape}"
            )
        return tuple(size // known if n == -1 else n for n in self.target_shape)

    def call(self, inputs):
        """Compute the outputs."""
        return inputs.reshape(-1 if inputs.shape[0] is None else inputs.shape[0], *self._target(inputs.shape))
