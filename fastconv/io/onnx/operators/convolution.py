"""Convolutions."""

import itertools
import math

import numpy as np

from .... import ops
from ....errors import ModelFormatError
from ..operand import channels_first
from ._arrays import in_float32
from ._registry import evaluates, lowers
from ._sampling import sample_linear
from ._shapes import within
from ._windows import at_least, automatic, kernel_of, pads_of, steps, whole_padding, windows

CONVOLUTIONS = {3: "conv1d", 4: "conv2d", 5: "conv3d"}
TRANSPOSED = {3: "conv1d_transpose", 4: "conv2d_transpose", 5: "conv3d_transpose"}


@lowers("Conv")
def conv(call, x, w, b=None):
    return convolve(call, x, w, b)


def convolve(call, x, w, b, activation=None):
    """Return the convolution of a Conv node."""
    if x.ndim not in CONVOLUTIONS:
        return NotImplemented
    place = windows(call, x.shape[2:], kernel_of(call, x, w))
    kernel = call.weight(w, (*range(2, w.ndim), 1, 0))  # (O, I, ...) to (..., I, O)
    bias = None if b is None else call.weight(b)
    function = getattr(ops, CONVOLUTIONS[x.ndim])
    y = function(
        x.channels_last(), kernel, bias, place.strides, place.padding, place.dilations,
        groups=call.attribute("group", 1), activation=activation,
    )  # fmt: skip
    return channels_first(y)


def transposed_padding(call, size, kernel, strides, dilations):
    """Return (padding, output_padding) of a transposed convolution, a pair and a number per axis."""
    rank = len(size)
    added = at_least(0, "output_padding", call.attribute("output_padding", [0] * rank), rank)
    auto, shape = automatic(call), call.attribute("output_shape")
    if auto in ("SAME_UPPER", "SAME_LOWER") and shape is None:
        shape = [n * s for n, s in zip(size, strides, strict=True)]
    if shape is None:
        _check_added("output_padding", added, strides, dilations)
        return pads_of(call, rank) if auto == "NOTSET" else ((0, 0),) * rank, added
    shape = at_least(0, "output_shape", shape, rank)
    padding, output_padding = [], []
    for n, k, s, d, more, out in zip(size, kernel, strides, dilations, added, shape, strict=True):
        total = (n - 1) * s + more + (k - 1) * d + 1 - out
        half = max(total, 0) // 2
        padding.append((half, max(total, 0) - half) if auto == "SAME_UPPER" else (max(total, 0) - half, half))
        output_padding.append(more + max(-total, 0))  # larger than all that is written: zeros behind
    _check_added(f"what output_shape {list(shape)} adds behind the outputs", output_padding, strides, dilations)
    return tuple(padding), tuple(output_padding)


def _check_added(what, added, strides, dilations):
    """Raise where as much is added behind as a further position of x, or of the kernel, would take."""
    most = [max(pair) - 1 for pair in zip(strides, dilations, strict=True)]
    if any(n > m for n, m in zip(added, most, strict=True)):
        raise ModelFormatError(
            f"{what} is {list(added)}, expected at most {most} with strides {list(strides)} and dilations {list(dilations)}"
        )


@lowers("ConvTranspose")
def conv_transpose(call, x, w, b=None):
    if x.ndim not in TRANSPOSED:
        return NotImplemented
    rank = x.ndim - 2
    strides, dilations = steps(call, rank)
    size = kernel_of(call, x, w)
    padding, output_padding = transposed_padding(call, x.shape[2:], size, strides, dilations)
    places = zip(x.shape[2:], size, strides, dilations, padding, output_padding, strict=True)
    within((n - 1) * s + (k - 1) * d + 1 - sum(pair) + more for n, k, s, d, pair, more in places)
    kernel = call.weight(w, (*range(2, w.ndim), 1, 0))  # (C, O // groups, ...) to (..., O // groups, C)
    bias = None if b is None else call.weight(b)
    function = getattr(ops, TRANSPOSED[x.ndim])
    y = function(
        x.channels_last(), kernel, bias, strides, padding, output_padding, dilations, groups=call.attribute("group", 1)
    )
    return channels_first(y)


@evaluates("DeformConv")
@in_float32
def deform_conv(call, x, w, offset, b=None, mask=None):
    rank, groups, parts = x.ndim - 2, call.attribute("group", 1), call.attribute("offset_group", 1)
    place = windows(call, x.shape[2:], kernel_of(call, x, w))
    images, channels = x.shape[:2]
    taps, out = math.prod(place.kernel), place.out
    offset = offset.reshape(images * parts, taps, rank, *out)
    grid = np.indices((*place.kernel, *out)).reshape(2 * rank, taps, *out)
    where = [
        grid[rank + i] * place.strides[i]
        + grid[i] * place.dilations[i]
        - place.padding[i][0]
        + offset[:, :, i].astype(np.float64)
        for i in range(rank)
    ]
    seen = sample_linear(x.reshape(images * parts, channels // parts, *x.shape[2:]), where)
    if mask is not None:
        seen *= mask.reshape(images * parts, 1, taps, *out)
    seen = seen.reshape(images, groups, channels // groups * taps, -1)
    y = w.reshape(groups, w.shape[0] // groups, -1) @ seen
    y = y.reshape(images, w.shape[0], *out)
    return y if b is None else y + b.reshape(-1, *(1,) * rank)


@evaluates("Col2Im", shaping=(1, 2))
def col2im(call, x, image_shape, block_shape):
    size, block = at_least(0, "image_shape", image_shape.tolist()), block_shape.tolist()
    place = windows(call, size, block)
    x = x.reshape(x.shape[0], -1, *block, *place.out)
    padding = whole_padding(place)
    y = np.zeros(within((*x.shape[:2], *(n + sum(pads) for n, pads in zip(size, padding, strict=True)))), x.dtype)
    for tap in itertools.product(*map(range, block)):
        region = [
            slice(t * d, t * d + (count - 1) * s + 1, s)
            for t, d, s, count in zip(tap, place.dilations, place.strides, place.out, strict=True)
        ]
        y[(..., *region)] += x[(slice(None), slice(None), *tap)]
    return y[(..., *(slice(before, before + n) for n, (before, _) in zip(size, padding, strict=True)))]


# ---- com.microsoft


ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}


@lowers("FusedConv", domain="com.microsoft")
def fused_conv(call, x, w, b=None, residual=None):
    name = call.attribute("activation", "")
    if residual is not None or (name and name not in ACTIVATIONS):
        return NotImplemented
    return convolve(call, x, w, b, ACTIVATIONS.get(name))
