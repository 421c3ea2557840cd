"""Depthwise 2-D convolution: every channel by its own kernels, with bias and activation fused."""

import numpy as np

from ..autograd import apply
from ..errors import ShapeError
from ..op import Case, Epilogue, Op, Spec, register
from . import _convolution as common
from ._convolution import Attrs, attributes
from ._depthwise import plan_forward, plan_gradients
from ._epilogue import DECLARATION, apply_epilogue, epilogue_backward


def infer(specs, attrs):
    common.check_operands(specs, "depthwise_conv2d", 2, "C, M")
    channels, (*_, depth, multiplier) = specs["x"].shape[3], specs["kernel"].shape
    if depth != channels:
        raise ShapeError(
            f"depthwise_conv2d: kernel {specs['kernel'].shape} is for {depth} channels, but x {specs['x'].shape} has "
            f"{channels}; its third dimension must be {channels}"
        )
    return {"y": common.infer_output(specs, attrs, "depthwise_conv2d", channels * multiplier)}


def reference(arrays, attrs):
    x, kernel = arrays["x"], arrays["kernel"]
    out = common.geometry(x.shape, kernel.shape, attrs).out
    y = np.zeros((x.shape[0], *out, *kernel.shape[2:]), x.dtype)
    for tap, sees, is_seen in common.taps(common.geometry(x.shape, kernel.shape, attrs), attrs):
        y[is_seen] += x[sees][..., None] * kernel[tap]
    y = y.reshape(*y.shape[:3], x.shape[3] * kernel.shape[3])
    if "bias" in arrays:
        y += arrays["bias"]
    return {"y": apply_epilogue(y, attrs.epilogue)}


def reference_backward(arrays, attrs, needs):
    x, kernel = arrays["x"], arrays["kernel"]
    geometry = common.geometry(x.shape, kernel.shape, attrs)
    dz = epilogue_backward(arrays["dy"], arrays["y"], attrs.epilogue)
    result = {"dbias": dz.sum((0, 1, 2))} if "bias" in needs else {}
    dz = dz.reshape(*dz.shape[:3], *kernel.shape[2:])
    if "kernel" in needs:
        dkernel = np.zeros(kernel.shape, dz.dtype)
        for tap, sees, is_seen in common.taps(geometry, attrs):
            dkernel[tap] = (x[sees][..., None] * dz[is_seen]).sum((0, 1, 2))
        result["dkernel"] = dkernel
    if "x" in needs:
        result["dx"] = dx = np.zeros(x.shape, dz.dtype)
        for tap, sees, is_seen in common.taps(geometry, attrs):
            dx[sees] += (dz[is_seen] * kernel[tap]).sum(-1)
    return result


def plan(specs, attrs):
    x, y = specs["x"].shape, infer(specs, attrs)["y"].shape
    return plan_forward(x, specs["kernel"].shape, y[3] // x[3], "bias" in specs, attrs)


# y[c M + m] = activation(bias + sum over taps of x[c, tap] kernel[tap, c, m]); with x repeated M times it is one product
# per element, so dz = dy activation'(y), dkernel[tap] = sum over pixels of x[tap] dz, and dx, before its M neighbours are
# added, gathers dz by flipped taps, in stride x stride phases as in conv2d.
def plan_backward(specs, attrs, needs):
    x, y = specs["x"].shape, specs["y"]
    return plan_gradients(x, specs["kernel"].shape, y.shape[3] // x[3], y, attrs, needs)


def flops(specs, attrs):
    kh, kw, _, _ = specs["kernel"].shape
    return 2 * infer(specs, attrs)["y"].size * kh * kw


def reduction(specs, attrs):
    kh, kw, _, multiplier = specs["kernel"].shape
    n, oh, ow, _ = infer(specs, attrs)["y"].shape
    return max(kh * kw * multiplier, n * oh * ow)


def _case(x, kernel, bias=True, **attrs):
    specs = {"x": Spec(x), "kernel": Spec(kernel)}
    return Case(specs | ({"bias": Spec((kernel[2] * kernel[3],))} if bias else {}), Attrs(**attrs))


CASES = (
    _case((1, 1, 1, 1), (1, 1, 1, 1)),
    _case((3, 5, 6, 7), (3, 3, 7, 1), padding="same", epilogue=Epilogue("relu")),
    _case((1, 7, 6, 17), (3, 3, 17, 1), strides=(2, 2), padding="same", bias=False),
    _case((2, 6, 5, 3), (3, 2, 3, 2), strides=(1, 2), padding=((1, 0), (0, 2)), epilogue=Epilogue("tanh")),
    _case((1, 9, 8, 5), (2, 3, 5, 3), dilation_rate=(2, 3), epilogue=Epilogue("leaky_relu", 0.2)),
    _case((1, 11, 11, 33), (5, 5, 33, 1), padding="same", epilogue=Epilogue("sigmoid")),
    _case((1, 4, 4, 2), (1, 1, 2, 1), strides=(3, 2)),
    _case((1, 4, 29, 18), (3, 3, 18, 1), padding="same", epilogue=Epilogue("relu")),  # blocks of a row overlap
    _case((2, 5, 16, 20), (5, 5, 20, 1), strides=(2, 2), padding="same"),
    _case((1, 8, 15, 97), (7, 7, 97, 1), padding="same", epilogue=Epilogue("tanh")),  # more than a block of channels
    _case((1, 9, 10, 16), (6, 6, 16, 1), strides=(3, 1), padding="same", bias=False),
    _case((2, 7, 9, 6), (3, 3, 6, 4), strides=(2, 2), padding="same"),
    _case((1, 3, 2, 3), (2, 3, 3, 1), strides=(5, 19), padding=((7, 9), (30, 11))),  # more padding than image
)

OP = register(
    Op(
        name="depthwise_conv2d",
        attrs=Attrs,
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        cases=CASES,
        flops=flops,
        reduction=reduction,
        **DECLARATION,
    )
)


def depthwise_conv2d(x, kernel, bias=None, strides=1, padding="valid", dilation_rate=1, activation=None):
    """Depthwise 2-D convolution: output channel c * M + m is channel c of x by kernel[..., c, m].

    Parameters
    ----------
    x : Tensor or array, (N, H, W, C)
    kernel : Tensor or array, (KH, KW, C, M)
        M is the depth multiplier.
    bias : Tensor or array, (C * M,), optional
    strides, dilation_rate : int or (int, int)
    padding : {"valid", "same"}, int, (int, int) or ((top, bottom), (left, right))
    activation : {None, "relu", "relu6", "leaky_relu", "sigmoid", "tanh"}
        Fused into the last step; "leaky_relu" with slope 0.2.

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
    return apply(
        OP, (x, kernel, bias), attributes("depthwise_conv2d", 2, strides, padding, dilation_rate, 1, activation)
    )
