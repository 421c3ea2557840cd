"""What the layers share that normalise, and then scale by ``gamma`` and shift by ``beta``."""

from .. import initializers
from ..errors import ShapeError
from .arguments import check_integer, check_number
from .base import Layer


class AffineNormalization(Layer):
    """A normalisation that is scaled by weights ``gamma`` and shifted by ``beta``. Its subclasses say of what shape."""

    def __init__(
        self,
        *,
        epsilon,
        center,
        scale,
        beta_initializer,
        gamma_initializer,
        beta_regularizer,
        gamma_regularizer,
        beta_constraint,
        gamma_constraint,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.epsilon = check_number(self, epsilon, "epsilon", "a positive number", lambda n: 0 < n < float("inf"))
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = self._get(initializers.get, beta_initializer, "beta_initializer")
        self.gamma_initializer = self._get(initializers.get, gamma_initializer, "gamma_initializer")
        self._take_regularizers(beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer)
        self._only_none(
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
        )
        self.gamma = self.beta = None

    def _add_affine(self, shape):
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, regularizer=self.gamma_regularizer, name="gamma"
            )
        if self.center:
            self.beta = self.add_weight(shape, self.beta_initializer, regularizer=self.beta_regularizer, name="beta")


class ChannelNormalization(AffineNormalization):
    """One whose ``gamma`` and ``beta`` have an element for each channel, on an axis that may be any but the batch."""

    def __init__(self, *, axis, **kwargs):
        super().__init__(**kwargs)
        self.axis = check_integer(self, axis, "axis")

    def _axis(self, shape):
        if not -len(shape) <= self.axis < len(shape) or self.axis % len(shape) == 0:
            raise ShapeError(f"axis={self.axis} is not an axis of channels of inputs of shape {tuple(shape)}")
        return self.axis % len(shape)

    def _count_channels(self, input_shape):
        channels = input_shape[self._axis(input_shape)]
        if channels is None:
            raise ShapeError(f"the number of channels must be known, got the input shape {tuple(input_shape)}")
        return channels

    def _channels_last(self, inputs, normalise):
        """Return what `normalise` makes of the inputs, which it gets and returns with channels last."""
        axis, last = self._axis(inputs.shape), inputs.ndim - 1
        if inputs.shape[axis] != self._channels:
            raise ShapeError(
                f"inputs must have {self._channels} channels on axis {self.axis}, as those it was built for, got shape "
                f"{inputs.shape}"
            )
        if axis == last:
            return normalise(inputs)
        order = [*(i for i in range(inputs.ndim) if i != axis), axis]
        return normalise(inputs.transpose(*order)).transpose(*sorted(range(inputs.ndim), key=order.__getitem__))
