"""1-D convolution (cross-correlation) with bias and activation fused: conv2d over one row of pixels."""

from ..op import Epilogue
from .conv2d.family import case, convolve, declare

CASES = (
    case((1, 1, 1), (1, 1, 1)),
    case((3, 7, 3), (3, 3, 5), padding="same", epilogue=Epilogue("relu")),
    case((2, 13, 16), (5, 16, 17), padding=((4, 0),), bias=False),
    case((1, 97, 14), (4, 14, 33), strides=(3,), padding="same", epilogue=Epilogue("tanh")),
    case((2, 29, 6), (3, 3, 10), groups=2, dilation_rate=(4,), padding=((1, 6),)),
    case((3, 11, 5), (3, 1, 10), groups=5, padding="same", epilogue=Epilogue("leaky_relu", 0.2)),
    case((1, 300, 1), (9, 1, 8), strides=(2,)),
    case((1, 3, 13), (3, 13, 4), strides=(40,), padding=((9, 80),)),  # more padding than there is signal
    case((2, 9, 14), (3, 14, 9), padding="same", residual=True, epilogue=Epilogue("relu")),
    case((1, 290, 40), (7, 40, 190), padding="same", strides=(1,), dilation_rate=(3,)),
)

OP = declare("conv1d", CASES)


def conv1d(x, kernel, bias=None, strides=1, padding="valid", dilation_rate=1, groups=1, activation=None, residual=None):
    """1-D convolution of sequences with a kernel: y = activation(x * kernel + bias + residual).

    Parameters
    ----------
    x : Tensor or array, (N, L, C)
    kernel : Tensor or array, (K, C // groups, O)
    bias : Tensor or array, (O,), optional
    strides, dilation_rate : int
        Distance of neighbouring outputs, and of neighbouring taps, in input positions.
    padding : {"valid", "same"}, int or ((before, after),)
        Zeros around x; "same" gives ceil(length / stride) outputs. A causal convolution has
        (((K - 1) * dilation_rate, 0),).
    groups : int
        Group g of the outputs sees only group g of the input channels.
    activation : str or op.Epilogue, optional
        Fused into the last step: the name of a function of one array in `ops`, with its default numbers, or an Epilogue with
        others. No gradient goes through "silu", "gelu", "mish", "hard_swish" and "softsign" fused.
    residual : Tensor or array, (N, OL, O), optional
        Added before the activation, fused into the last step too.

    Returns
    -------
    Tensor, (N, OL, O)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, channels, groups or dtypes do not fit, or the kernel is larger than its padded input.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(5, dtype="float32").reshape(1, 5, 1)
    >>> conv1d(x, np.ones((3, 1, 1), "float32"), padding="same").numpy().ravel().tolist()
    [1.0, 3.0, 6.0, 9.0, 7.0]
    """
    return convolve(OP, (x, kernel, bias, residual), 1, strides, padding, dilation_rate, groups, activation)
