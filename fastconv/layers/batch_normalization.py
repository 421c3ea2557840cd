"""BatchNormalization: mean 0 and variance 1 per channel."""

import numpy as np

from .. import initializers, ops
from ..errors import ArgumentError, ShapeError
from .base import Layer


def is_number(value):
    """Tell whether an argument is one number."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


class BatchNormalization(Layer):
    """Normalise each channel by the batch's statistics when training, by moving averages of them otherwise.

    Parameters
    ----------
    axis : int
        The axis of the channels.
    momentum : float
        What the moving statistics keep of themselves at each training step.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are ``beta`` and ``gamma``: the output is ``gamma * normalised + beta``.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer
        str, callable or Initializer.

    Notes
    -----
    Weights ``gamma``, ``beta``, ``moving_mean``, ``moving_variance``, each (C,). With ``trainable = False`` the layer uses
    the moving statistics also when training, and leaves them as they are. After Ioffe and Szegedy 2015.
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        synchronized=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ArgumentError(f"{self._title()}: axis must be an integer, got {axis!r}")
        if not is_number(momentum) or not 0 <= momentum <= 1:
            raise ArgumentError(f"{self._title()}: momentum must be a number from 0 to 1, got {momentum!r}")
        if not is_number(epsilon) or not 0 < epsilon < float("inf"):
            raise ArgumentError(f"{self._title()}: epsilon must be a positive number, got {epsilon!r}")
        self.axis, self.momentum, self.epsilon = axis, float(momentum), float(epsilon)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = self._get(initializers.get, beta_initializer, "beta_initializer")
        self.gamma_initializer = self._get(initializers.get, gamma_initializer, "gamma_initializer")
        self.moving_mean_initializer = self._get(initializers.get, moving_mean_initializer, "moving_mean_initializer")
        self.moving_variance_initializer = self._get(
            initializers.get, moving_variance_initializer, "moving_variance_initializer"
        )
        self._only_none(
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
        )
        # One process trains alone here: there is nothing to synchronise with, so either value means the same.
        self.synchronized = bool(synchronized)
        self.gamma = self.beta = None

    def _axis(self, shape):
        if not -len(shape) <= self.axis < len(shape) or self.axis % len(shape) == 0:
            raise ShapeError(f"axis={self.axis} is not an axis of channels of inputs of shape {tuple(shape)}")
        return self.axis % len(shape)

    def build(self, input_shape):
        """Make ``gamma``, ``beta``, ``moving_mean`` and ``moving_variance``."""
        channels = input_shape[self._axis(input_shape)]
        if channels is None:
            raise ShapeError(f"the number of channels must be known, got the input shape {tuple(input_shape)}")
        if self.scale:
            self.gamma = self.add_weight((channels,), self.gamma_initializer, name="gamma")
        if self.center:
            self.beta = self.add_weight((channels,), self.beta_initializer, name="beta")
        self.moving_mean = self.add_weight(
            (channels,), self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            (channels,), self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs, training=False):
        """Compute the outputs; when training, move the moving statistics."""
        axis = self._axis(inputs.shape)
        expected = self.moving_mean.shape[0]
        if inputs.shape[axis] != expected:
            raise ShapeError(
                f"inputs must have {expected} channels on axis {self.axis}, as those it was built for, "
                f"got shape {inputs.shape}"
            )
        last = inputs.ndim - 1
        if axis == last:
            return self._normalise(inputs, training)
        order = [*(i for i in range(inputs.ndim) if i != axis), axis]
        back = sorted(range(inputs.ndim), key=order.__getitem__)
        return self._normalise(inputs.transpose(*order), training).transpose(*back)

    def _normalise(self, x, training):
        training = bool(training) and self.trainable
        moving = self.moving_mean, self.moving_variance
        result = ops.batch_normalization(
            x, self.gamma, self.beta, *moving, training=training, momentum=self.momentum, epsilon=self.epsilon
        )
        if not training:
            return result
        y, *new = result
        for variable, value in zip(moving, new, strict=True):
            variable.assign(value)
        return y
