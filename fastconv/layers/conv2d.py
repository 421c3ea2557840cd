"""Conv2D and DepthwiseConv2D: windows of weights over images."""

from .. import activations, initializers, ops
from ..errors import ArgumentError
from .images import ImageLayer, check_count, check_padding, check_pair

# Activations that a kernel applies as it stores. Not sigmoid: a loss may want what it is computed from.
FUSED = ("relu", "relu6", "leaky_relu", "tanh")


def fused_name(activation):
    """Return the name of an activation that a kernel can apply itself, else None."""
    name = activations.name_of(activation)
    return name if name in FUSED else None


class _Convolution(ImageLayer):
    """What both have in common: geometry, bias, activation."""

    def _configure(self, kernel_size, strides, padding, dilation_rate, activation, use_bias, bias_initializer):
        self.kernel_size = check_pair(self, kernel_size, "kernel_size")
        self.strides = check_pair(self, strides, "strides")
        self.padding = check_padding(self, padding)
        self.dilation_rate = check_pair(self, dilation_rate, "dilation_rate")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                f"{self._title()}: strides={self.strides} and dilation_rate={self.dilation_rate} exclude each other: "
                "one of them must be 1"
            )
        self.activation = self._get(activations.get, activation, "activation")
        self.use_bias = bool(use_bias)
        self.bias_initializer = self._get(initializers.get, bias_initializer, "bias_initializer")
        self.bias = None

    def _add_bias(self, channels):
        if self.use_bias:
            self.bias = self.add_weight((channels,), self.bias_initializer, name="bias")

    def _convolve(self, convolution, inputs, **attributes):
        fused = fused_name(self.activation)
        y = convolution(
            inputs,
            self.kernel,
            self.bias,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            activation=fused,
            **attributes,
        )
        return y if fused else self.activation(y)


class Conv2D(_Convolution):
    """2-D convolution (as everywhere in this field: cross-correlation, the kernel is not flipped).

    Parameters
    ----------
    filters : int
        Output channels O.
    kernel_size : int or (int, int)
    strides : int or (int, int)
    padding : {"valid", "same"}, or numbers
        Also an int, (vertical, horizontal), ((top, bottom), (left, right)).
    data_format : {"channels_last", "channels_first"}, optional
    dilation_rate : int or (int, int)
        Not together with strides above 1.
    groups : int
        Divides the input channels C and `filters`: output channels of a group see the inputs of that group.
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str, callable or Initializer

    Notes
    -----
    Inputs (N, H, W, C), outputs (N, OH, OW, O); weights ``kernel`` (KH, KW, C / groups, O) and ``bias`` (O,).

    Examples
    --------
    >>> Conv2D(8, 3, padding="same", activation="relu")(np.zeros((1, 28, 28, 1), "float32")).shape
    (1, 28, 28, 8)
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1),
        groups=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(data_format, activity_regularizer=activity_regularizer, **kwargs)
        self._configure(kernel_size, strides, padding, dilation_rate, activation, use_bias, bias_initializer)
        self.kernel_initializer = self._get(initializers.get, kernel_initializer, "kernel_initializer")
        self._only_none(
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )
        self.filters = check_count(self, filters, "filters")
        self.groups = check_count(self, groups, "groups")
        if self.filters % self.groups:
            raise ArgumentError(f"{self._title()}: filters={filters} must be a multiple of groups={groups}")

    def build(self, input_shape):
        """Make ``kernel`` and ``bias``."""
        channels = self._channels(input_shape)
        if channels % self.groups:
            raise ArgumentError(f"the {channels} channels of its input must be a multiple of groups={self.groups}")
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        self._add_bias(self.filters)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs (N, H, W, C)."""
        return self._convolve(ops.conv2d, inputs, groups=self.groups)

    def call(self, inputs):
        """Compute the outputs."""
        self._check_channels(inputs.shape, self.kernel.shape[2] * self.groups)
        return super().call(inputs)


class DepthwiseConv2D(_Convolution):
    """A convolution of each channel by itself, with `depth_multiplier` kernels.

    Parameters
    ----------
    kernel_size : int or (int, int)
    strides : int or (int, int)
    padding : {"valid", "same"}, or numbers
        Also an int, (vertical, horizontal), ((top, bottom), (left, right)).
    depth_multiplier : int
        Kernels per input channel, M.
    data_format : {"channels_last", "channels_first"}, optional
    dilation_rate : int or (int, int)
        Not together with strides above 1.
    activation : str or callable, optional
    use_bias : bool
    depthwise_initializer, bias_initializer : str, callable or Initializer

    Notes
    -----
    Inputs (N, H, W, C), outputs (N, OH, OW, C M), those of input channel c at c M ... c M + M - 1; weights ``kernel``
    (KH, KW, C, M) and ``bias`` (C M,).
    """

    def __init__(
        self,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=(1, 1),
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(data_format, activity_regularizer=activity_regularizer, **kwargs)
        self._configure(kernel_size, strides, padding, dilation_rate, activation, use_bias, bias_initializer)
        self.depthwise_initializer = self._get(initializers.get, depthwise_initializer, "depthwise_initializer")
        self._only_none(
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
        )
        self.depth_multiplier = check_count(self, depth_multiplier, "depth_multiplier")

    def build(self, input_shape):
        """Make ``kernel`` and ``bias``."""
        channels = self._channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.add_weight(shape, self.depthwise_initializer, name="kernel")
        self._add_bias(channels * self.depth_multiplier)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs (N, H, W, C)."""
        return self._convolve(ops.depthwise_conv2d, inputs)

    def call(self, inputs):
        """Compute the outputs."""
        self._check_channels(inputs.shape, self.kernel.shape[2])
        return super().call(inputs)
