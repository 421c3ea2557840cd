"""Convolutions."""

from .... import ops
from ..operand import channels_first
from ._registry import lowers

CONVOLUTIONS = {3: ops.conv1d, 4: ops.conv2d, 5: ops.conv3d}


def window_padding(call, size, kernel, strides, dilations):
    """Return ((before, after), ...) of a sliding window, from `pads` or `auto_pad`."""
    auto = call.attribute("auto_pad", "NOTSET")
    rank = len(size)
    if auto == "NOTSET":
        pads = call.attribute("pads", [0] * 2 * rank)
        return tuple(zip(pads[:rank], pads[rank:], strict=True))
    if auto == "VALID":
        return ((0, 0),) * rank
    totals = [
        max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        for n, k, s, d in zip(size, kernel, strides, dilations, strict=True)
    ]
    return tuple((t // 2, t - t // 2) if auto == "SAME_UPPER" else (t - t // 2, t // 2) for t in totals)


@lowers("Conv")
def conv(call, x, w, b=None):
    rank = x.ndim - 2
    strides = tuple(call.attribute("strides", [1] * rank))
    dilations = tuple(call.attribute("dilations", [1] * rank))
    padding = window_padding(call, x.shape[2:], w.shape[2:], strides, dilations)
    kernel = call.weight(w, (*range(2, w.ndim), 1, 0))  # (O, I, ...) to (..., I, O)
    bias = None if b is None else call.weight(b)
    y = CONVOLUTIONS[x.ndim](
        x.channels_last(), kernel, bias, strides, padding, dilations, groups=call.attribute("group", 1)
    )
    return channels_first(y)
