"""Conv1D, Conv2D and Conv3D, and what every layer of windows of weights shares."""

from .. import activations, initializers, ops
from ..errors import ArgumentError
from .images import ImageLayer, check_count, check_padding, check_per_axis


class WindowLayer(ImageLayer):
    """What the convolutions have in common: geometry, bias, activation."""

    paddings = ("valid", "same")  # by name; numbers always

    def _configure(self, kernel_size, strides, padding, dilation_rate, activation, use_bias, bias_initializer):
        self.kernel_size = check_per_axis(self, kernel_size, "kernel_size")
        self.strides = check_per_axis(self, strides, "strides")
        self.padding = check_padding(self, padding, self.paddings)
        self.dilation_rate = check_per_axis(self, dilation_rate, "dilation_rate")
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
            self.bias = self.add_weight(
                (channels,), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )

    def _geometry(self):
        """Return the arguments of an operation that say where the windows are."""
        padding = self.padding
        if padding == "causal":
            padding = tuple(((k - 1) * d, 0) for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))
        return {"strides": self.strides, "padding": padding, "dilation_rate": self.dilation_rate}

    def _activated(self, operation, inputs, kernel, **attributes):
        """Return activation(operation + bias), the activation by the kernel where it can."""
        fused = activations.fused_name(self.activation)
        y = getattr(ops, operation)(inputs, kernel, self.bias, activation=fused, **attributes)
        return y if fused else self.activation(y)


class _Convolution(WindowLayer):
    operation = None  # name of the function in fastconv.ops

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
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
        self._take_regularizers(kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer)
        self._only_none(
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
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        self._add_bias(self.filters)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        return self._activated(self.operation, inputs, self.kernel, groups=self.groups, **self._geometry())

    def call(self, inputs):
        """Compute the outputs."""
        self._check_channels(inputs.shape, self.kernel.shape[-2] * self.groups)
        return super().call(inputs)


class Conv1D(_Convolution):
    """1-D convolution of sequences (cross-correlation: the kernel is not flipped).

    Parameters
    ----------
    filters : int
        Output channels O.
    kernel_size : int
    strides : int
    padding : {"valid", "same", "causal"}, or numbers
        Also an int, ((before, after),). With "causal" an output sees no later input.
    data_format : {"channels_last", "channels_first"}, optional
    dilation_rate : int
        Not together with strides above 1.
    groups : int
        Divides the input channels C and `filters`: output channels of a group see the inputs of that group.
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str, callable or Initializer

    Notes
    -----
    Inputs (N, L, C), outputs (N, OL, O); weights ``kernel`` (K, C / groups, O) and ``bias`` (O,).

    Examples
    --------
    >>> Conv1D(8, 3, padding="causal", activation="relu")(np.zeros((1, 100, 4), "float32")).shape
    (1, 100, 8)
    """

    rank = 1
    operation = "conv1d"
    paddings = ("valid", "same", "causal")


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

    rank = 2
    operation = "conv2d"


class Conv3D(_Convolution):
    """3-D convolution of volumes (cross-correlation: the kernel is not flipped).

    Parameters
    ----------
    filters : int
        Output channels O.
    kernel_size : int or (int, int, int)
    strides : int or (int, int, int)
    padding : {"valid", "same"}, or numbers
        Also an int, three of them, three pairs (before, after).
    data_format : {"channels_last", "channels_first"}, optional
    dilation_rate : int or (int, int, int)
        Not together with strides above 1.
    groups : int
        Divides the input channels C and `filters`: output channels of a group see the inputs of that group.
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str, callable or Initializer

    Notes
    -----
    Inputs (N, D, H, W, C), outputs (N, OD, OH, OW, O); weights ``kernel`` (KD, KH, KW, C / groups, O) and ``bias`` (O,).

    Examples
    --------
    >>> Conv3D(8, 3, strides=2, padding="same")(np.zeros((1, 16, 16, 16, 1), "float32")).shape
    (1, 8, 8, 8, 8)
    """

    rank = 3
    operation = "conv3d"
