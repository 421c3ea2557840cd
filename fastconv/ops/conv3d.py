"""3-D convolution (cross-correlation) with bias and activation fused."""

from ..op import Epilogue
from .conv2d.family import case, convolve, declare

CASES = (
    case((1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    case((2, 4, 5, 6, 3), (3, 3, 3, 3, 5), padding="same", epilogue=Epilogue("relu")),  # few channels
    case((1, 5, 4, 3, 1), (2, 1, 2, 1, 4), strides=(2, 1, 1), padding=((0, 1), (1, 0), (0, 0))),
    case((2, 3, 6, 5, 13), (3, 3, 3, 13, 17), padding="same", bias=False),
    case((1, 6, 7, 5, 14), (2, 3, 2, 14, 7), strides=(2, 3, 2), dilation_rate=(2, 1, 2), epilogue=Epilogue("tanh")),
    case((2, 9, 3, 4, 12), (3, 2, 1, 4, 9), groups=3, dilation_rate=(3, 1, 1), padding=((2, 3), (0, 1), (0, 0))),
    case((1, 4, 5, 4, 4), (3, 2, 3, 1, 8), groups=4, padding="same", epilogue=Epilogue("sigmoid")),
    case((1, 2, 3, 2, 13), (3, 3, 3, 13, 5), strides=(5, 1, 9), padding=((7, 6), (4, 3), (9, 20))),  # mostly padding
    case((1, 1, 9, 8, 20), (3, 3, 3, 20, 16), padding="same"),  # taps that see padding alone
    case((3, 2, 2, 2, 16), (1, 1, 1, 16, 33), strides=(2, 1, 2)),
    case((1, 5, 4, 4, 48), (3, 3, 3, 48, 56), padding="same"),
    case((1, 2, 5, 4, 14), (2, 3, 3, 14, 6), padding="same", residual=True, epilogue=Epilogue("relu")),
    case((1, 3, 4, 5, 2), (2, 2, 3, 2, 5), residual=True),
)

OP = declare("conv3d", CASES)


def conv3d(x, kernel, bias=None, strides=1, padding="valid", dilation_rate=1, groups=1, activation=None, residual=None):
    """3-D convolution of volumes with a kernel: y = activation(x * kernel + bias + residual).

    Parameters
    ----------
    x : Tensor or array, (N, D, H, W, C)
    kernel : Tensor or array, (KD, KH, KW, C // groups, O)
    bias : Tensor or array, (O,), optional
    strides, dilation_rate : int or (int, int, int)
        Distance of neighbouring outputs, and of neighbouring taps, in input pixels.
    padding : {"valid", "same"}, int, three ints or three pairs (before, after)
        Zeros around x; "same" gives ceil(size / stride) outputs.
    groups : int
        Group g of the outputs sees only group g of the input channels.
    activation : str or op.Epilogue, optional
        Fused into the last step: the name of a function of one array in `ops`, with its default numbers, or an Epilogue with
        others. No gradient goes through "silu", "gelu", "mish", "hard_swish" and "softsign" fused.
    residual : Tensor or array, (N, OD, OH, OW, O), optional
        Added before the activation, fused into the last step too.

    Returns
    -------
    Tensor, (N, OD, OH, OW, O)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, channels, groups or dtypes do not fit, or the kernel is larger than its padded input.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones((1, 3, 3, 3, 1), "float32")
    >>> conv3d(x, np.ones((3, 3, 3, 1, 1), "float32"), padding="same").numpy()[0, 1, 1, :, 0].tolist()
    [18.0, 27.0, 18.0]
    """
    return convolve(OP, (x, kernel, bias, residual), 3, strides, padding, dilation_rate, groups, activation)
