"""Rescaling: another range of numbers."""

import numpy as np

from .. import ops
from ..autograd import as_tensor
from ..errors import ArgumentError
from .base import Layer


class Rescaling(Layer):
    """``inputs * scale + offset``, as the first layer of a network whose images are bytes.

    Parameters
    ----------
    scale, offset : float, or list of float
        Several are one per channel: whatever broadcasts with the inputs.

    Notes
    -----
    Outputs are floats of the shape of the inputs, also when training.

    Examples
    --------
    >>> Rescaling(1 / 127.5, offset=-1)(np.array([0, 255], "uint8")).numpy()
    array([-1.,  1.], dtype=float32)
    """

    def __init__(self, scale, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale, self.offset = self._numbers(scale, "scale"), self._numbers(offset, "offset")

    def _numbers(self, value, name):
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.array(None)
        if array.dtype.kind not in "fiu":
            raise ArgumentError(f"{self._title()}: {name} must be a number or a list of them, got {value!r:.200}")
        return array.tolist()

    def call(self, inputs):
        """Compute the outputs."""
        y = ops.multiply(inputs, as_tensor(self.scale, inputs.dtype))
        return ops.add(y, as_tensor(self.offset, inputs.dtype)) if np.any(self.offset) else y
