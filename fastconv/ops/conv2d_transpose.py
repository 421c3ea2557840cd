"""Transposed 2-D convolution, also called deconvolution, with bias and activation fused."""

from ._transposed import case, declare, transpose

CASES = (
    case((1, 1, 1, 1), (1, 1, 1, 1)),
    case((3, 5, 4, 3), (3, 3, 5, 3), strides=2, padding="same", activation="relu"),
    case((1, 6, 5, 13), (4, 4, 17, 13), strides=2, padding=1, bias=False),
    case((2, 7, 3, 16), (3, 2, 16, 16), padding="same", activation="leaky_relu"),
    case((2, 4, 5, 12), (3, 2, 9, 12), strides=(2, 3), output_padding=(1, 0), activation="tanh"),
    case((1, 5, 6, 14), (2, 3, 7, 14), dilation_rate=(3, 2), padding=((1, 0), (2, 3))),
    case((2, 3, 4, 8), (2, 2, 3, 8), strides=(4, 3), padding="same"),  # a stride larger than the kernel
    case((2, 3, 3, 12), (3, 3, 4, 12), strides=2, padding="same", output_padding=(0, 1), groups=3),
    case((1, 4, 3, 10), (3, 3, 1, 10), strides=2, groups=5, activation="sigmoid"),
    case((1, 3, 2, 5), (5, 4, 3, 5), strides=(1, 7), padding=((2, 2), (1, 1)), output_padding=(0, 30)),
    case((1, 9, 10, 33), (3, 3, 34, 33), strides=2, padding="same"),
    case((3, 6, 7, 2), (4, 4, 40, 2), strides=2, padding="same"),
)

OP = declare("conv2d_transpose", CASES)


def conv2d_transpose(
    x, kernel, bias=None, strides=1, padding="valid", output_padding=None, dilation_rate=1, groups=1, activation=None
):
    """Transposed 2-D convolution of images: each position of x adds its multiple of the kernel to y.

    Parameters
    ----------
    x : Tensor or array, (N, H, W, C)
    kernel : Tensor or array, (KH, KW, O // groups, C)
    bias : Tensor or array, (O,), optional
    strides, dilation_rate : int or (int, int)
        Distance in y of what neighbours in x write, and of neighbouring taps.
    padding : {"valid", "same"}, int, (int, int) or ((top, bottom), (left, right))
        What is cut off the result; "same" gives size * stride outputs.
    output_padding : int or (int, int), optional
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
    Tensor, (N, OH, OW, O)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, channels, groups or dtypes do not fit, or nothing is left of y.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1, 2], "float32").reshape(1, 1, 2, 1)
    >>> conv2d_transpose(x, np.ones((2, 2, 1, 1), "float32"), strides=2).numpy()[0, :, :, 0].tolist()
    [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    """
    return transpose(OP, (x, kernel, bias), 2, strides, padding, output_padding, dilation_rate, groups, activation)
