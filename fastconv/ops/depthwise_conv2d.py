"""Depthwise 2-D convolution: every channel by its own kernels, with bias and activation fused.

All but the cases and the public function serves depthwise_conv1d as well.
"""

from functools import partial
from math import prod

import numpy as np

from ..autograd import apply
from ..errors import ShapeError
from ..op import Epilogue, Op, register
from . import _convolution as common
from ._convolution import Attrs, attributes
from ._epilogue import DECLARATION, check_residual, epilogue_backward, finish
from .conv2d import depthwise
from .conv2d.call import Call
from .conv2d.plan import plan_forward, plan_gradients


def infer(name, specs, attrs):
    rank = len(attrs.strides)
    common.check_operands(specs, name, rank, "C, M")
    channels, (*_, depth, multiplier) = specs["x"].shape[-1], specs["kernel"].shape
    if depth != channels:
        raise ShapeError(
            f"{name}: kernel {specs['kernel'].shape} is for {depth} channels, but x {specs['x'].shape} has "
            f"{channels}; its {('second', 'third')[rank - 1]} dimension must be {channels}"
        )
    y = common.infer_output(specs, attrs, name, channels * multiplier)
    check_residual(name, specs, y)
    return {"y": y}


def reference(arrays, attrs):
    x, kernel = arrays["x"], arrays["kernel"]
    geometry = common.geometry(x.shape, kernel.shape, attrs)
    y = np.zeros((x.shape[0], *geometry.out, *kernel.shape[-2:]), x.dtype)
    for tap, sees, is_seen in common.taps(geometry, attrs):
        y[is_seen] += x[sees][..., None] * kernel[tap]
    y = y.reshape(*y.shape[:-2], x.shape[-1] * kernel.shape[-1])
    return {"y": finish(y, arrays, attrs.epilogue)}


def reference_backward(arrays, attrs, needs):
    x, kernel = arrays["x"], arrays["kernel"]
    geometry = common.geometry(x.shape, kernel.shape, attrs)
    dz = epilogue_backward(arrays["dy"], arrays["y"], attrs.epilogue)
    pixels = tuple(range(dz.ndim - 1))
    result = {"dresidual": dz} if "residual" in needs else {}
    if "bias" in needs:
        result["dbias"] = dz.sum(pixels)
    dz = dz.reshape(*dz.shape[:-1], *kernel.shape[-2:])
    if "kernel" in needs:
        dkernel = np.zeros(kernel.shape, dz.dtype)
        for tap, sees, is_seen in common.taps(geometry, attrs):
            dkernel[tap] = (x[sees][..., None] * dz[is_seen]).sum(pixels)
        result["dkernel"] = dkernel
    if "x" in needs:
        result["dx"] = dx = np.zeros(x.shape, dz.dtype)
        for tap, sees, is_seen in common.taps(geometry, attrs):
            dx[sees] += (dz[is_seen] * kernel[tap]).sum(-1)
    return result


def _call(specs, attrs):
    """Return the call as that of a convolution, with a group for each channel."""
    x, kernel = specs["x"].shape, specs["kernel"].shape
    channels, multiplier = kernel[-2:]
    sizes = common.geometry(x, kernel, attrs)
    return Call(x[0], channels, channels * multiplier, sizes, attrs._replace(groups=channels))


def plan(specs, attrs):
    return plan_forward(specs, _call(specs, attrs), depthwise)


# y[c M + m] = activation(bias + sum over taps of x[c, tap] kernel[tap, c, m]); with x repeated M times it is one product
# per element, so dz = dy activation'(y), dkernel[tap] = sum over pixels of x[tap] dz, and dx, before its M neighbours are
# added, gathers dz by flipped taps, in stride x stride phases as in conv2d.
def plan_backward(specs, attrs, needs):
    return plan_gradients(specs, _call(specs, attrs), depthwise, depthwise, needs)


def bfloat16(specs, attrs):
    """Return the operands that may be bfloat16: see `Op.bfloat16`."""
    return depthwise.bfloat16(_call(specs, attrs), "residual" in specs)


def _sizes(specs, attrs):
    """Return the numbers of taps and of output pixels of all images."""
    x, kernel = specs["x"].shape, specs["kernel"].shape
    return prod(kernel[:-2]), x[0] * prod(common.geometry(x, kernel, attrs).out)


def flops(specs, attrs):
    taps, pixels = _sizes(specs, attrs)
    return 2 * taps * pixels * prod(specs["kernel"].shape[-2:])


def reduction(specs, attrs):
    taps, pixels = _sizes(specs, attrs)
    return max(taps * specs["kernel"].shape[-1], pixels)


def case(x, kernel, bias=True, residual=False, **attrs):
    """Return a sample call; strides and so on are 1 where they are not given."""
    ones, none = (1,) * (len(x) - 2), ((0, 0),) * (len(x) - 2)
    attrs = Attrs(**{"strides": ones, "padding": none, "dilation_rate": ones, **attrs})
    return common.case(x, kernel, kernel[-2] * kernel[-1], bias, attrs, residual)


def declare(name, cases):
    """Register a depthwise convolution; `cases` are of `case`."""
    return register(
        Op(
            name=name,
            attrs=Attrs,
            infer=partial(infer, name),
            reference=reference,
            reference_backward=reference_backward,
            plan=plan,
            plan_backward=plan_backward,
            cases=cases,
            bfloat16=bfloat16,
            flops=flops,
            reduction=reduction,
            **DECLARATION,
        )
    )


CASES = (
    case((1, 1, 1, 1), (1, 1, 1, 1)),
    case((3, 5, 6, 7), (3, 3, 7, 1), padding="same", epilogue=Epilogue("relu")),
    case((1, 7, 6, 17), (3, 3, 17, 1), strides=(2, 2), padding="same", bias=False),
    case((2, 6, 5, 3), (3, 2, 3, 2), strides=(1, 2), padding=((1, 0), (0, 2)), epilogue=Epilogue("tanh")),
    case((1, 9, 8, 5), (2, 3, 5, 3), dilation_rate=(2, 3), epilogue=Epilogue("leaky_relu", 0.2)),
    case((1, 11, 11, 33), (5, 5, 33, 1), padding="same", epilogue=Epilogue("sigmoid")),
    case((1, 4, 4, 2), (1, 1, 2, 1), strides=(3, 2)),
    case((1, 4, 29, 18), (3, 3, 18, 1), padding="same", epilogue=Epilogue("relu")),  # blocks of a row overlap
    case((2, 5, 16, 20), (5, 5, 20, 1), strides=(2, 2), padding="same"),
    case((1, 8, 15, 97), (7, 7, 97, 1), padding="same", epilogue=Epilogue("tanh")),  # more than a block of channels
    case((1, 9, 10, 16), (6, 6, 16, 1), strides=(3, 1), padding="same", bias=False),
    case((2, 7, 9, 6), (3, 3, 6, 4), strides=(2, 2), padding="same"),
    case((1, 3, 2, 3), (2, 3, 3, 1), strides=(5, 19), padding=((7, 9), (30, 11))),  # more padding than image
    case((2, 4, 29, 18), (3, 3, 18, 1), padding="same", residual=True, epilogue=Epilogue("relu")),
    case((1, 5, 3, 5), (2, 3, 5, 2), residual=True, bias=False, epilogue=Epilogue("tanh")),
)

OP = declare("depthwise_conv2d", CASES)


def depthwise_conv2d(x, kernel, bias=None, strides=1, padding="valid", dilation_rate=1, activation=None, residual=None):
    """Depthwise 2-D convolution: output channel c * M + m is channel c of x by kernel[..., c, m].

    Parameters
    ----------
    x : Tensor or array, (N, H, W, C)
    kernel : Tensor or array, (KH, KW, C, M)
        M is the depth multiplier.
    bias : Tensor or array, (C * M,), optional
    strides, dilation_rate : int or (int, int)
    padding : {"valid", "same"}, int, (int, int) or ((top, bottom), (left, right))
    activation : str or op.Epilogue, optional
        Fused into the last step: the name of a function of one array in `ops`, with its default numbers, or an Epilogue with
        others. No gradient goes through "silu", "gelu", "mish", "hard_swish" and "softsign" fused.
    residual : Tensor or array, (N, OH, OW, C * M), optional
        Added before the activation, fused into the last step too.

    Returns
    -------
    Tensor, (N, OH, OW, C * M)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, channels or dtypes do not fit, or the kernel is larger than its padded input.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(4, dtype="float32").reshape(1, 1, 2, 2)
    >>> depthwise_conv2d(x, np.array([1, 10], "float32").reshape(1, 1, 2, 1)).numpy().ravel().tolist()
    [0.0, 10.0, 2.0, 30.0]
    """
    attrs = attributes(OP.name, 2, strides, padding, dilation_rate, 1, activation)
    return apply(OP, (x, kernel, bias, residual), attrs)
