"""Activation functions as layers."""

from .. import activations
from ..errors import ArgumentError
from .base import Layer


class Activation(Layer):
    """Apply an activation function.

    Parameters
    ----------
    activation : str or callable

    Examples
    --------
    >>> Activation("relu")(np.array([-1.0, 2.0])).numpy()
    array([0., 2.], dtype=float32)
    """

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = self._get(activations.get, activation, "activation")

    def call(self, inputs):
        """Compute the outputs."""
        return self.activation(inputs)


def _number(layer, name, value, least=0.0):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
        raise ArgumentError(f"{layer._title()}: {name} must be a number >= {least}, got {value!r}")
    return float(value)


class ReLU(Layer):
    """``max(x, 0)``.

    Parameters
    ----------
    max_value : float, optional
        The largest value that comes out: 6 makes a ReLU6.
    negative_slope : float
        Factor of ``x - threshold`` below the threshold.
    threshold : float
        Where x begins to go through.
    """

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _number(self, "max_value", max_value)
        self.negative_slope = _number(self, "negative_slope", 0.0 if negative_slope is None else negative_slope)
        self.threshold = _number(self, "threshold", 0.0 if threshold is None else threshold)

    def call(self, inputs):
        """Compute the outputs."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """`x` where positive, else ``negative_slope * x``.

    Parameters
    ----------
    negative_slope : float
    """

    def __init__(self, negative_slope=0.3, **kwargs):
        super().__init__(**kwargs)
        self.negative_slope = _number(self, "negative_slope", negative_slope)

    def call(self, inputs):
        """Compute the outputs."""
        return activations.leaky_relu(inputs, self.negative_slope)


class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along an axis.

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
        return activations.softmax(inputs, self.axis)
