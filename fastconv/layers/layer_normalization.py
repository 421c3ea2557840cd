"""LayerNormalization and GroupNormalization: mean 0 and variance 1 within each sample."""

from .. import ops
from ..errors import ArgumentError, ShapeError
from .affine import AffineNormalization, ChannelNormalization
from .arguments import check_integer
from .axes import check_axes, resolve_axes


class LayerNormalization(AffineNormalization):
    """Normalise each sample along one axis or several: by its own mean and variance, in training and in inference.

    Parameters
    ----------
    axis : int, or list of int
        The axes that are normalised together: -1, the channels of each pixel by themselves.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are ``beta`` and ``gamma``: the output is ``gamma * normalised + beta``.
    beta_initializer, gamma_initializer : str, callable or Initializer

    Notes
    -----
    Outputs have the shape of the inputs. Weights ``gamma`` and ``beta``, of the sizes of the axes. After Ba, Kiros and Hinton
    2016.

    Examples
    --------
    >>> y = LayerNormalization()(np.random.default_rng(0).random((2, 3, 3, 16))).numpy()
    >>> bool(np.abs(y.mean(-1)).max() < 1e-5)
    True
    """

    def __init__(
        self,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(
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
        self.axis = check_axes(self, axis)

    def build(self, input_shape):
        """Make ``gamma`` and ``beta``."""
        shape = tuple(input_shape[axis] for axis in resolve_axes(self.axis, input_shape))
        if None in shape:
            raise ShapeError(f"the sizes of axis={self.axis} must be known, got the input shape {tuple(input_shape)}")
        self._sizes = shape
        self._add_affine(shape)

    def call(self, inputs):
        """Compute the outputs."""
        axes = resolve_axes(self.axis, inputs.shape)
        if tuple(inputs.shape[axis] for axis in axes) != self._sizes:
            raise ShapeError(
                f"inputs must have the sizes {self._sizes} along axis={self.axis}, as those it was built for, got shape "
                f"{inputs.shape}"
            )
        return ops.layer_normalization(inputs, self.gamma, self.beta, axes, self.epsilon)


class GroupNormalization(ChannelNormalization):
    """Normalise groups of channels of each sample: by their own mean and variance, in training and in inference.

    Parameters
    ----------
    groups : int
        Of neighbouring channels; 1 takes all together, -1 each channel by itself ("instance normalisation").
    axis : int
        The axis of the channels.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there are ``beta`` and ``gamma``: the output is ``gamma * normalised + beta``.
    beta_initializer, gamma_initializer : str, callable or Initializer

    Notes
    -----
    Outputs have the shape of the inputs. Weights ``gamma`` and ``beta``, each (C,). After Wu and He 2018.

    Examples
    --------
    >>> y = GroupNormalization(4)(np.random.default_rng(0).random((2, 8, 8, 16))).numpy()
    >>> bool(np.abs(y.reshape(2, 8, 8, 4, 4).mean((1, 2, 4))).max() < 1e-5)
    True
    """

    def __init__(
        self,
        groups=32,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
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
        self.groups = check_integer(self, groups, "groups")
        if groups < 1 and groups != -1:
            raise ArgumentError(f"{self._title()}: groups must be positive, or -1 for all channels, got {groups!r}")

    def build(self, input_shape):
        """Make ``gamma`` and ``beta``."""
        channels = self._count_channels(input_shape)
        if self.groups != -1 and channels % self.groups:
            raise ShapeError(f"groups must divide the channels, got groups={self.groups} and {channels} channels")
        self._channels = channels
        self._add_affine((channels,))

    def call(self, inputs):
        """Compute the outputs."""
        groups = self._channels if self.groups == -1 else self.groups
        return self._channels_last(
            inputs, lambda x: ops.group_normalization(x, self.gamma, self.beta, groups, self.epsilon)
        )
