"""Conv1DTranspose, Conv2DTranspose and Conv3DTranspose: convolutions the other way round, from few pixels to many."""

from .. import initializers
from ..errors import ArgumentError
from .convolution import WindowLayer
from .docstring import fill_in
from .images import check_count


class _Transposed(WindowLayer):
    """Transposed convolution, also called deconvolution: each input pixel adds its multiple of the kernel to the output.

    Parameters
    ----------
    filters : int
        Output channels O.
    kernel_size, strides : int, or one per spatial axis
    padding : {"valid", "same"}, or numbers
        What is cut off; "same" gives size * stride outputs.
    data_format : {"channels_last", "channels_first"}, optional
    dilation_rate : int, or one per spatial axis
        Not together with strides above 1.
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str, callable or Initializer
    output_padding : int, or one per spatial axis, optional
        Outputs beyond the smallest number, below the stride; see `fastconv.ops.conv2d_transpose`.

    Notes
    -----
    SHAPES
    """

    operation = None  # name of the function in fastconv.ops

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        output_padding=None,
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
        self.output_padding = self._output_padding(output_padding)

    def _output_padding(self, value):
        if value is None:
            return None
        values = value if isinstance(value, (list, tuple)) else (value,) * self.rank
        if len(values) != self.rank or not all(
            isinstance(n, int) and 0 <= n < stride for n, stride in zip(values, self.strides, strict=True)
        ):
            raise ArgumentError(
                f"{self._title()}: output_padding must be None, or per axis an integer >= 0 and below the stride "
                f"{self.strides}, got {value!r}"
            )
        return tuple(values)

    def build(self, input_shape):
        """Make ``kernel`` and ``bias``."""
        shape = (*self.kernel_size, self.filters, self._channels(input_shape))
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        self._add_bias(self.filters)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        return self._activated(
            self.operation, inputs, self.kernel, output_padding=self.output_padding, **self._geometry()
        )

    def call(self, inputs):
        """Compute the outputs."""
        self._check_channels(inputs.shape, self.kernel.shape[-1])
        return super().call(inputs)


def _doc(shapes):
    return fill_in(_Transposed, SHAPES=shapes)


class Conv1DTranspose(_Transposed):
    __doc__ = _doc("Inputs (N, L, C), outputs (N, OL, O); weights ``kernel`` (K, O, C) and ``bias`` (O,).")
    rank = 1
    operation = "conv1d_transpose"


class Conv2DTranspose(_Transposed):
    __doc__ = _doc("Inputs (N, H, W, C), outputs (N, OH, OW, O); weights ``kernel`` (KH, KW, O, C) and ``bias`` (O,).")
    rank = 2
    operation = "conv2d_transpose"


class Conv3DTranspose(_Transposed):
    __doc__ = _doc(
        "Inputs (N, D, H, W, C), outputs (N, OD, OH, OW, O); weights ``kernel`` (KD, KH, KW, O, C) and ``bias`` (O,)."
    )
    rank = 3
    operation = "conv3d_transpose"
