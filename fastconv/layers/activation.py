"""Activation functions as layers."""

from .. import activations, initializers, ops
from ..errors import ArgumentError, ShapeError
from .arguments import check_integer, check_number
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


def _number(layer, name, value):
    return check_number(layer, value, name, "a number >= 0", lambda n: n >= 0)


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


class ELU(Layer):
    """`x` where positive, else ``alpha * (exp(x) - 1)``.

    Parameters
    ----------
    alpha : float
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = _number(self, "alpha", alpha)

    def call(self, inputs):
        """Compute the outputs."""
        return activations.elu(inputs, self.alpha)


class PReLU(Layer):
    """`x` where positive, else ``alpha * x`` with a learned `alpha` (He et al., 2015).

    Parameters
    ----------
    alpha_initializer : str, callable or Initializer
    shared_axes : list of int, optional
        Axes of the input along which all positions share an `alpha`: [1, 2] makes one per channel of an image.
    """

    def __init__(
        self,
        alpha_initializer="zeros",
        alpha_regularizer=None,
        alpha_constraint=None,
        shared_axes=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.alpha_initializer = self._get(initializers.get, alpha_initializer, "alpha_initializer")
        self._take_regularizers(alpha_regularizer=alpha_regularizer)
        self._only_none(alpha_constraint=alpha_constraint)
        axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or ())
        if not all(isinstance(axis, int) and axis > 0 for axis in axes):
            raise ArgumentError(f"{self._title()}: shared_axes must be axes from 1 on, got {shared_axes!r}")
        self.shared_axes = axes or None
        self.alpha = None

    def build(self, input_shape):
        """Make ``alpha``."""
        shared = self.shared_axes or ()
        shape = tuple(1 if axis in shared else n for axis, n in enumerate(input_shape) if axis)
        if None in shape or max(shared, default=0) >= len(input_shape):
            raise ShapeError(f"alpha of shape {shape} cannot be made for the input shape {tuple(input_shape)}")
        self.alpha = self.add_weight(shape, self.alpha_initializer, regularizer=self.alpha_regularizer, name="alpha")

    def call(self, inputs):
        """Compute the outputs."""
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)


class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along an axis.

    Parameters
    ----------
    axis : int
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = check_integer(self, axis, "axis")

    def call(self, inputs):
        """Compute the outputs."""
        return activations.softmax(inputs, self.axis)
