"""Depthwise 1-D convolution: every channel by its own kernels, with bias and activation fused."""

from ..autograd import apply
from ..op import Epilogue
from ._convolution import attributes
from .depthwise_conv2d import case, declare

CASES = (
    case((1, 1, 1), (1, 1, 1)),
    case((3, 12, 17), (3, 17, 1), padding="same", epilogue=Epilogue("relu")),
    case((2, 101, 5), (5, 5, 2), strides=(2,), padding=((4, 0),), bias=False),
    case((1, 9, 33), (2, 33, 1), dilation_rate=(3,), epilogue=Epilogue("tanh")),
    case((2, 9, 33), (3, 33, 1), padding="same", residual=True),
)

OP = declare("depthwise_conv1d", CASES)


def depthwise_conv1d(x, kernel, bias=None, strides=1, padding="valid", dilation_rate=1, activation=None, residual=None):
    """Depthwise 1-D convolution: output channel c * M + m is channel c of x by kernel[..., c, m].

    Parameters
    ----------
    x : Tensor or array, (N, L, C)
    kernel : Tensor or array, (K, C, M)
        M is the depth multiplier.
    bias : Tensor or array, (C * M,), optional
    strides, dilation_rate : int
    padding : {"valid", "same"}, int or ((before, after),)
    activation : str or op.Epilogue, optional
        Fused into the last step: the name of a function of one array in `ops`, with its default numbers, or an Epilogue with
        others. No gradient goes through "silu", "gelu", "mish", "hard_swish" and "softsign" fused.
    residual : Tensor or array, (N, OL, C * M), optional
        Added before the activation, fused into the last step too.

    Returns
    -------
    Tensor, (N, OL, C * M)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, channels or dtypes do not fit, or the kernel is larger than its padded input.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(6, dtype="float32").reshape(1, 3, 2)
    >>> depthwise_conv1d(x, np.array([[[1], [10]], [[1], [0]]], "float32")).numpy()[0].tolist()
    [[2.0, 10.0], [6.0, 30.0]]
    """
    attrs = attributes(OP.name, 1, strides, padding, dilation_rate, 1, activation)
    return apply(OP, (x, kernel, bias, residual), attrs)
