"""BatchNormalization: mean 0 and variance 1 per channel."""

from .. import initializers, ops
from .affine import ChannelNormalization
from .arguments import check_number


class BatchNormalization(ChannelNormalization):
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
        super().__init__(
            axis=axis,
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            **kwargs,
        )
        self.momentum = check_number(self, momentum, "momentum", "a number from 0 to 1", lambda n: 0 <= n <= 1)
        self.moving_mean_initializer = self._get(initializers.get, moving_mean_initializer, "moving_mean_initializer")
        self.moving_variance_initializer = self._get(
            initializers.get, moving_variance_initializer, "moving_variance_initializer"
        )
        # One process trains alone here: there is nothing to synchronise with, so either value means the same.
        self.synchronized = bool(synchronized)

    def build(self, input_shape):
        """Make ``gamma``, ``beta``, ``moving_mean`` and ``moving_variance``."""
        self._channels = self._count_channels(input_shape)
        shape = (self._channels,)
        self._add_affine(shape)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs, training=False):
        """Compute the outputs; when training, move the moving statistics."""
        return self._channels_last(inputs, lambda x: self._normalise(x, training))

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
