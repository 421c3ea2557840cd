"""2-D convolution (cross-correlation, as in every deep-learning library), with bias and activation fused.

`plan` has the table of the algorithms, a module each; `algorithm` chooses; the plain NumPy truth is in `reference`.
"""

from ...errors import ShapeError
from ...op import Epilogue, Spec
from .. import _convolution as common
from . import block, excite, squeeze  # noqa: F401  register their operations
from .algorithm import choose
from .family import case, convolve, declare

CASES = (
    case((1, 1, 1, 1), (1, 1, 1, 1)),
    case((3, 5, 7, 3), (3, 3, 3, 5), padding="same", epilogue=Epilogue("relu")),
    case((1, 6, 5, 13), (3, 3, 13, 17), padding="same", bias=False),
    case((2, 7, 7, 16), (3, 3, 16, 16), padding="same", epilogue=Epilogue("leaky_relu", 0.2)),
    case((3, 9, 8, 4), (3, 2, 4, 6), strides=(2, 3), padding="same", epilogue=Epilogue("tanh")),
    case((1, 11, 13, 2), (3, 5, 2, 3), strides=(2, 1), dilation_rate=(2, 1), padding=((2, 1), (0, 3))),
    case((2, 9, 10, 14), (2, 3, 14, 7), dilation_rate=(3, 2), padding=((1, 2), (3, 0))),
    case((1, 8, 9, 12), (1, 1, 12, 9), strides=(3, 2), epilogue=Epilogue("sigmoid")),
    case((3, 6, 6, 12), (3, 3, 4, 15), groups=3, padding="same"),
    case((1, 7, 5, 6), (3, 3, 1, 12), groups=6, strides=2 * (2,), padding="same", epilogue=Epilogue("relu")),
    case((2, 5, 6, 3), (2, 3, 1, 3), groups=3),
    case((1, 7, 7, 4), (7, 7, 4, 3)),
    case((1, 3, 3, 5), (2, 2, 5, 4), strides=(3, 3), padding=((1, 1), (2, 2))),
    case((1, 2, 300, 1), (2, 3, 1, 4), padding="same"),
    case((1, 20, 19, 33), (3, 3, 33, 31), padding="same", epilogue=Epilogue("relu")),
    # More padding than there is image, on every side; and more than a copied row is long.
    case((1, 4, 4, 8), (3, 2, 8, 4), strides=(1, 60), padding=((1, 1), (50, 0))),
    case((2, 3, 2, 3), (2, 3, 3, 5), strides=(7, 1), padding=((9, 0), (0, 11)), epilogue=Epilogue("relu")),
    case((1, 2, 3, 14), (2, 2, 14, 3), strides=(9, 17), padding=((0, 20), (23, 31))),
    case((1, 3, 2, 4), (2, 3, 4, 5), strides=(1, 1), padding=((5, 6), (7, 8)), dilation_rate=(2, 1)),
    case((2, 4, 4, 400), (1, 1, 400, 18)),
    case((2, 5, 4, 150), (3, 3, 150, 40), padding="same"),
    # Groups of 4 and 8 channels, which fill vectors.
    case((2, 5, 9, 32), (3, 3, 8, 32), padding="same", groups=4, epilogue=Epilogue("relu")),
    case((1, 6, 17, 32), (3, 3, 4, 32), padding="same", groups=8),
    case((1, 7, 8, 16), (3, 3, 8, 16), strides=(2, 2), padding="same", groups=2),
    case((2, 5, 6, 16), (2, 6, 4, 16), dilation_rate=(2, 1), padding="same", groups=4, epilogue=Epilogue("tanh")),
    # Winograd: odd and even maps, channels around vectors and panels, padding beyond a tile, several blocks of everything.
    case((2, 6, 5, 12), (3, 3, 12, 31), epilogue=Epilogue("relu")),
    case((1, 8, 4, 16), (3, 3, 16, 32), padding="same", epilogue=Epilogue("sigmoid")),
    case((3, 5, 7, 17), (3, 3, 17, 12), padding=((0, 2), (2, 1)), bias=False),
    case((1, 4, 6, 15), (3, 3, 15, 33), padding=((5, 3), (1, 4)), epilogue=Epilogue("leaky_relu", 0.1)),
    case((1, 3, 11, 13), (3, 3, 13, 64), padding="same"),
    case((2, 24, 21, 12), (3, 3, 12, 13), padding="same", epilogue=Epilogue("relu")),
    case((1, 4, 4, 300), (3, 3, 300, 12), padding="same"),
    case((1, 4, 5, 12), (3, 3, 12, 290), padding="same"),
    # Its tiles of 4 x 4: over odd edges, several blocks of channels and of tiles; in the last two, for dx.
    case((1, 8, 7, 263), (3, 3, 263, 33), padding="same", epilogue=Epilogue("relu")),
    case((2, 10, 14, 256), (3, 3, 256, 20), bias=False),
    case((3, 11, 16, 20), (3, 3, 20, 270), padding="same", epilogue=Epilogue("elu")),
    case((1, 4, 8, 33), (3, 3, 33, 256), padding=((2, 1), (1, 2)), bias=False),
    # The gradient of the kernel too: parts of the batch, blocks of panels.
    case((4, 17, 15, 13), (3, 3, 13, 17), padding=((0, 2), (2, 1)), epilogue=Epilogue("relu")),
    case((3, 17, 17, 33), (3, 3, 33, 12), padding="same", bias=False),
    case((1, 28, 28, 12), (3, 3, 12, 265), padding="same"),
    # First layers: several boxes of an image, rows of one tile and of two, with and without padding.
    case((2, 44, 31, 3), (5, 5, 3, 40), padding="same", epilogue=Epilogue("relu")),
    case((2, 29, 31, 3), (7, 7, 3, 18), strides=(2, 2), padding=((3, 3), (3, 3)), bias=False),
    case((3, 6, 31, 1), (3, 3, 1, 33), epilogue=Epilogue("leaky_relu", 0.1)),
    case((1, 5, 14, 11), (1, 2, 11, 16), epilogue=Epilogue("sigmoid")),
    # One pixel, as in squeeze-excite blocks.
    case((1, 1, 1, 70), (1, 1, 70, 150), epilogue=Epilogue("sigmoid")),
    case((3, 1, 1, 9), (1, 1, 9, 33), bias=False, residual=True),
    case((3, 1, 1, 9), (1, 1, 9, 33), strides=(2, 3)),
    case((2, 3, 5, 9), (1, 1, 9, 7), strides=(2, 2), padding=((0, 2), (0, 4))),  # as many pixels of y as of x
    case((1, 1, 1, 13), (1, 1, 13, 5), strides=(2, 2), padding=((1, 0), (1, 0))),  # of which padding alone is seen
    # A residual, by every algorithm: direct (also in blocks of the reduction), Winograd, shallow, grouped, depthwise.
    case((2, 7, 5, 20), (3, 2, 20, 37), strides=(2, 1), padding="same", residual=True, epilogue=Epilogue("relu")),
    case((1, 3, 5, 700), (1, 1, 700, 18), residual=True, epilogue=Epilogue("relu6")),
    case((1, 4, 3, 30), (2, 2, 10, 6), groups=3, residual=True, bias=False),
    case((2, 7, 5, 17), (3, 3, 17, 33), padding="same", residual=True, epilogue=Epilogue("relu")),
    case((1, 6, 6, 12), (3, 3, 12, 12), padding="same", residual=True, bias=False),
    case((2, 9, 19, 3), (3, 3, 3, 35), strides=(2, 2), padding="same", residual=True, epilogue=Epilogue("sigmoid")),
    case((1, 5, 6, 16), (3, 3, 8, 16), groups=2, padding="same", residual=True, epilogue=Epilogue("relu")),
    case((1, 5, 6, 6), (3, 3, 1, 12), groups=6, padding="same", residual=True),
)

OP = declare("conv2d", CASES)


def conv2d(x, kernel, bias=None, strides=1, padding="valid", dilation_rate=1, groups=1, activation=None, residual=None):
    """2-D convolution of images with a kernel: y = activation(x * kernel + bias + residual).

    Parameters
    ----------
    x : Tensor or array, (N, H, W, C)
    kernel : Tensor or array, (KH, KW, C // groups, O)
    bias : Tensor or array, (O,), optional
    strides, dilation_rate : int or (int, int)
        Distance of neighbouring outputs, and of neighbouring taps, in input pixels.
    padding : {"valid", "same"}, int, (int, int) or ((top, bottom), (left, right))
        Zeros around x; "same" gives ceil(size / stride) outputs.
    groups : int
        Group g of the outputs sees only group g of the input channels.
    activation : str or op.Epilogue, optional
        Fused into the last step: the name of a function of one array in `ops`, with its default numbers, or an Epilogue with
        others. No gradient goes through "silu", "gelu", "mish", "hard_swish" and "softsign" fused.
    residual : Tensor or array, (N, OH, OW, O), optional
        Added before the activation, fused into the last step too.

    Returns
    -------
    Tensor, (N, OH, OW, O)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, channels, groups or dtypes do not fit, or the kernel is larger than its padded input.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones((1, 3, 3, 1), "float32")
    >>> conv2d(x, np.ones((2, 2, 1, 1), "float32"), padding="same").numpy()[0, :, :, 0].tolist()
    [[4.0, 4.0, 2.0], [4.0, 4.0, 2.0], [2.0, 2.0, 1.0]]
    """
    return convolve(OP, (x, kernel, bias, residual), 2, strides, padding, dilation_rate, groups, activation)


def conv2d_algorithm(x_shape, kernel_shape, *, strides=1, padding="valid", dilation_rate=1, groups=1):
    """Name the algorithm by which `conv2d` computes y.

    The choice follows from the arguments and the precision in force, not from the number of images. Where it is
    Winograd's, F(2x2, 3x3) or F(4x4, 3x3) gives the gradient of x too, and F(2x2, 3x3) the gradient of the kernel if that
    is a sum over enough outputs. With the environment variable FASTCONV_WINOGRAD=0, read when fastconv is imported, it is
    never chosen.

    Parameters
    ----------
    x_shape : (N, H, W, C)
        The number of images may be None.
    kernel_shape : (KH, KW, C // groups, O)
    strides, padding, dilation_rate, groups
        As for `conv2d`.

    Returns
    -------
    str
        "direct": a sum over the taps of the kernel. "product": rows by a matrix, where an image is one pixel. "shallow": as
        "direct" for few input channels, from copied rows of the image. "winograd_2x2": Winograd's F(2x2, 3x3), for 3x3 kernels
        with stride 1 and enough channels. "winograd_2x4" and "winograd_4x4": his F(2x4, 3x3) and F(4x4, 3x3), where they are
        faster and the precision permits them, under "highest" only for sums over many channels. "depthwise": each output
        channel reads one input channel. "grouped": groups of 4 or 8 channels that fill vectors. "amx", "amx_shallow": on tiles
        of bfloat16, by as many terms as the precision asks for, over pixels or over kernel rows of few channels; where the
        instruction set in use is "amx" and that is estimated to be faster.

    Raises
    ------
    ShapeError, ArgumentError
        When `conv2d` would refuse the call, or the size of the image is not known.

    Examples
    --------
    >>> import fastconv
    >>> conv2d_algorithm((None, 28, 28, 64), (3, 3, 64, 64), padding="same")
    'winograd_2x4'
    >>> with fastconv.precision("high"):
    ...     conv2d_algorithm((None, 28, 28, 64), (3, 3, 64, 64), padding="same")
    'winograd_4x4'
    >>> conv2d_algorithm((None, 28, 28, 64), (3, 3, 64, 64), padding="same", strides=2)
    'direct'
    """
    attrs = common.attributes("conv2d_algorithm", 2, strides, padding, dilation_rate, groups, None)
    x, kernel = tuple(x_shape), tuple(kernel_shape)
    OP.infer({"x": Spec(x), "kernel": Spec(kernel)}, attrs)
    if None in x[1:]:
        raise ShapeError(f"conv2d_algorithm: height, width and channels of x must be known, got shape {x}")
    return choose(x[3], kernel[3], common.geometry(x, kernel, attrs), attrs)
