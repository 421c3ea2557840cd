"""Depthwise convolutions, which see each channel by itself, and separable ones, which mix the channels after that."""

from .. import initializers, ops
from .convolution import WindowLayer
from .docstring import fill_in
from .images import check_count


class _Depthwise(WindowLayer):
    """A convolution of each channel by itself, with `depth_multiplier` kernels.

    Parameters
    ----------
    kernel_size, strides : int, or one per spatial axis
    padding : {"valid", "same"}, or numbers
    depth_multiplier : int
        Kernels per input channel, M.
    data_format : {"channels_last", "channels_first"}, optional
    dilation_rate : int, or one per spatial axis
        Not together with strides above 1.
    activation : str or callable, optional
    use_bias : bool
    depthwise_initializer, bias_initializer : str, callable or Initializer

    Notes
    -----
    SHAPES
    """

    operation = None  # name of the function in fastconv.ops

    def __init__(
        self,
        kernel_size,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=1,
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
        self._take_regularizers(depthwise_regularizer=depthwise_regularizer, bias_regularizer=bias_regularizer)
        self._only_none(
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
        )
        self.depth_multiplier = check_count(self, depth_multiplier, "depth_multiplier")

    def build(self, input_shape):
        """Make ``kernel`` and ``bias``."""
        channels = self._channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.add_weight(
            shape, self.depthwise_initializer, regularizer=self.depthwise_regularizer, name="kernel"
        )
        self._add_bias(channels * self.depth_multiplier)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        return self._activated(self.operation, inputs, self.kernel, **self._geometry())

    def call(self, inputs):
        """Compute the outputs."""
        self._check_channels(inputs.shape, self.kernel.shape[-2])
        return super().call(inputs)


class DepthwiseConv1D(_Depthwise):
    __doc__ = fill_in(
        _Depthwise,
        SHAPES="""Inputs (N, L, C), outputs (N, OL, C M), those of input channel c at c M ... c M + M - 1; weights ``kernel``
    (K, C, M) and ``bias`` (C M,).""",
    )
    rank = 1
    operation = "depthwise_conv1d"


class DepthwiseConv2D(_Depthwise):
    __doc__ = fill_in(
        _Depthwise,
        SHAPES="""Inputs (N, H, W, C), outputs (N, OH, OW, C M), those of input channel c at c M ... c M + M - 1; weights ``kernel``
    (KH, KW, C, M) and ``bias`` (C M,).""",
    )
    rank = 2
    operation = "depthwise_conv2d"


class _Separable(WindowLayer):
    """A depthwise convolution, then a 1 x 1 convolution that mixes the channels.

    Parameters
    ----------
    filters : int
        Output channels O.
    kernel_size, strides : int, or one per spatial axis
        Of the depthwise convolution.
    padding : {"valid", "same"}, or numbers
    data_format : {"channels_last", "channels_first"}, optional
    dilation_rate : int, or one per spatial axis
        Not together with strides above 1.
    depth_multiplier : int
        Depthwise kernels per input channel, M.
    activation : str or callable, optional
    use_bias : bool
    depthwise_initializer, pointwise_initializer, bias_initializer : str, callable or Initializer

    Notes
    -----
    SHAPES
    """

    operations = None  # names of the functions in fastconv.ops

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(data_format, activity_regularizer=activity_regularizer, **kwargs)
        self._configure(kernel_size, strides, padding, dilation_rate, activation, use_bias, bias_initializer)
        self.depthwise_initializer = self._get(initializers.get, depthwise_initializer, "depthwise_initializer")
        self.pointwise_initializer = self._get(initializers.get, pointwise_initializer, "pointwise_initializer")
        self._take_regularizers(
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer,
        )
        self._only_none(
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
        )
        self.filters = check_count(self, filters, "filters")
        self.depth_multiplier = check_count(self, depth_multiplier, "depth_multiplier")

    def build(self, input_shape):
        """Make ``depthwise_kernel``, ``pointwise_kernel`` and ``bias``."""
        channels = self._channels(input_shape)
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        pointwise = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = self.add_weight(
            depthwise, self.depthwise_initializer, regularizer=self.depthwise_regularizer, name="depthwise_kernel"
        )
        self.pointwise_kernel = self.add_weight(
            pointwise, self.pointwise_initializer, regularizer=self.pointwise_regularizer, name="pointwise_kernel"
        )
        self._add_bias(self.filters)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        depthwise, pointwise = self.operations
        z = getattr(ops, depthwise)(inputs, self.depthwise_kernel, **self._geometry())
        return self._activated(pointwise, z, self.pointwise_kernel)

    def call(self, inputs):
        """Compute the outputs."""
        self._check_channels(inputs.shape, self.depthwise_kernel.shape[-2])
        return super().call(inputs)


class SeparableConv1D(_Separable):
    __doc__ = fill_in(
        _Separable,
        SHAPES="""Inputs (N, L, C), outputs (N, OL, O); weights ``depthwise_kernel`` (K, C, M), ``pointwise_kernel`` (1, C M, O) and
    ``bias`` (O,).""",
    )
    rank = 1
    operations = ("depthwise_conv1d", "conv1d")


class SeparableConv2D(_Separable):
    __doc__ = fill_in(
        _Separable,
        SHAPES="""Inputs (N, H, W, C), outputs (N, OH, OW, O); weights ``depthwise_kernel`` (KH, KW, C, M), ``pointwise_kernel``
    (1, 1, C M, O) and ``bias`` (O,).""",
    )
    rank = 2
    operations = ("depthwise_conv2d", "conv2d")
