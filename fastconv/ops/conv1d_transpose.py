"""Transposed 1-D convolution, also called deconvolution, with bias and activation fused."""

from ._transposed import case, declare, transpose

CASES = (
    case((1, 1, 1), (1, 1, 1)),
    case((3, 7, 3), (4, 5, 3), strides=2, padding="same", activation="relu"),
    case((2, 13, 16), (5, 17, 16), strides=3, output_padding=1, bias=False),
    case((1, 50, 14), (3, 33, 14), dilation_rate=2, padding=2, activation="tanh"),
    case((2, 9, 6), (2, 5, 6), strides=5, groups=2),  # a stride larger than the kernel
    case((1, 4, 13), (3, 2, 13), strides=2, padding=((3, 1),), output_padding=7),
)

OP = declare("conv1d_transpose", CASES)


def conv1d_transpose(
    x, kernel, bias=None, strides=1, padding="valid", output_padding=None, dilation_rate=1, groups=1, activation=None
):
    """Transposed 1-D convolution of sequences: each position of x adds its multiple of the kernel to y.

    Parameters
    ----------
    x : Tensor or array, (N, L, C)
    kernel : Tensor or array, (K, O // groups, C)
    bias : Tensor or array, (O,), optional
    strides, dilation_rate : int
        Distance in y of what neighbours in x write, and of neighbouring taps.
    padding : {"valid", "same"}, int or ((before, after),)
        What is cut off the result; "same" gives size * stride outputs.
    output_padding : int, optional
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
    Tensor, (N, OL, O)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, channels, groups or dtypes do not fit, or nothing is left of y.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1, 2, 3], "float32").reshape(1, 3, 1)
    >>> conv1d_transpose(x, np.ones((2, 1, 1), "float32"), strides=2).numpy().ravel().tolist()
    [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    """
    return transpose(OP, (x, kernel, bias), 1, strides, padding, output_padding, dilation_rate, groups, activation)
