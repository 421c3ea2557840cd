"""Transposed 3-D convolution, also called deconvolution, with bias and activation fused."""

from ._transposed import case, declare, transpose

CASES = (
    case((1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    case((2, 3, 4, 3, 3), (3, 3, 3, 5, 3), strides=2, padding="same", activation="relu"),
    case((1, 2, 3, 4, 13), (2, 3, 4, 17, 13), strides=(2, 1, 2), padding=((0, 1), (1, 1), (0, 2)), bias=False),
    case((2, 3, 2, 3, 12), (3, 2, 2, 3, 12), strides=(1, 3, 2), output_padding=(0, 2, 1), groups=2, activation="tanh"),
    case((1, 4, 3, 3, 16), (3, 3, 3, 8, 16), dilation_rate=(2, 1, 1), padding="same"),
    case((1, 2, 2, 2, 20), (1, 2, 2, 14, 20), strides=(3, 2, 4)),  # strides larger than the kernel
)

OP = declare("conv3d_transpose", CASES)


def conv3d_transpose(
    x, kernel, bias=None, strides=1, padding="valid", output_padding=None, dilation_rate=1, groups=1, activation=None
):
    """Transposed 3-D convolution of volumes: each position of x adds its multiple of the kernel to y.

    Parameters
    ----------
    x : Tensor or array, (N, D, H, W, C)
    kernel : Tensor or array, (KD, KH, KW, O // groups, C)
    bias : Tensor or array, (O,), optional
    strides, dilation_rate : int or (int, int, int)
        Distance in y of what neighbours in x write, and of neighbouring taps.
    padding : {"valid", "same"}, int, three ints or three pairs (before, after)
        What is cut off the result; "same" gives size * stride outputs.
    output_padding : int or (int, int, int), optional
        Added behind: (size - 1) * stride + kernel - padding + output_padding outputs. Not given: as much as a stride
        larger than the kernel leaves untouched. With "same", Keras's rule: (size - 1) * stride + kernel % 2 +
        output_padding.
    groups : int
        Group g of the outputs sees only group g of the input channels.
    activation : str or op.Epilogue, optional
        Fused into the last step: the name of a function of one array in `ops`, with its default numbers, or an Epilogue with
        others. No gradient goes through "silu", "gelu", "mish", "hard_swish" and "softsign" fused.

    Returns
    -------
    Tensor, (N, OD, OH, OW, O)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, channels, groups or dtypes do not fit, or nothing is left of y.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones((1, 2, 2, 2, 8), "float32")
    >>> conv3d_transpose(x, np.ones((3, 3, 3, 4, 8), "float32"), strides=2, padding="same").shape
    (1, 4, 4, 4, 4)
    """
    return transpose(OP, (x, kernel, bias), 3, strides, padding, output_padding, dilation_rate, groups, activation)
