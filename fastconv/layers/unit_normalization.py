"""UnitNormalization: vectors of length 1."""

from .. import ops
from .axes import check_axes, resolve_axes
from .base import Layer


def unit(x, axes, epsilon):
    """Return x over its Euclidean norm along `axes`, or over `epsilon` where that is larger."""
    square = ops.sum(ops.square(x), axes, keepdims=True)
    # The limit stands inside of the root, whose slope at 0 is infinite.
    return ops.divide(x, ops.sqrt(ops.maximum(square, epsilon**2)))


class UnitNormalization(Layer):
    """Divide by the Euclidean norm along one axis or several. Vectors of zeros stay.

    Parameters
    ----------
    axis : int, or list of int
        The axes whose elements make a vector.

    Notes
    -----
    Outputs have the shape of the inputs.

    Examples
    --------
    >>> UnitNormalization()(np.array([[3.0, 4.0], [0.0, 0.0]])).numpy()
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = check_axes(self, axis)

    def call(self, inputs):
        """Compute the outputs."""
        return unit(inputs, resolve_axes(self.axis, inputs.shape), 1e-12)
