"""Rescaling: another range of numbers."""

import numpy as np

from .. import ops
from ..autograd import as_tensor
from .arguments import check_numbers
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
        self.scale, self.offset = check_numbers(self, scale, "scale"), check_numbers(self, offset, "offset")

    def call(self, inputs):
        """Compute the outputs."""
        y = ops.multiply(inputs, as_tensor(self.scale, inputs.dtype))
        return ops.add(y, as_tensor(self.offset, inputs.dtype)) if np.any(self.offset) else y
