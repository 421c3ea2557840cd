"""Sliding windows: where ONNX's attributes put them, and what NumPy sees through them."""

import operator
from typing import NamedTuple

import numpy as np

from ....errors import ModelFormatError, ShapeError
from ._shapes import within


class Windows(NamedTuple):
    """Windows over the spatial axes of images (N, C, ...); a number, or a pair of them, for each axis.

    Attributes
    ----------
    padding : tuple of (int, int)
        Before and after.
    beyond : tuple of int
        How far, with `ceil_mode`, the last window reaches beyond the padding. It counts as nothing.
    """

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    beyond: tuple[int, ...]
    out: tuple[int, ...]


def at_least(least, name, values, count=None):
    """Return whole numbers as a tuple, none of them less than `least`: memory is addressed by them.

    There are `count` of them, unless that is None.
    """
    try:
        values = tuple(map(operator.index, values))
    except TypeError:
        raise ModelFormatError(f"{name} is {values!r}, expected whole numbers") from None
    if any(n < least for n in values):
        raise ModelFormatError(f"{name} is {list(values)}, expected numbers of at least {least}")
    if count is not None and len(values) != count:
        raise ModelFormatError(f"{name} is {list(values)}, {len(values)} numbers, where {count} are needed")
    return values


def steps(call, rank):
    """Return (strides, dilations) of a node over images with `rank` axes."""
    return tuple(at_least(1, name, call.attribute(name, [1] * rank), rank) for name in ("strides", "dilations"))


def pads_of(call, rank):
    """Return the pair (before, after) that the attribute "pads" names for each of `rank` axes."""
    pads = at_least(0, "pads", call.attribute("pads", [0] * 2 * rank), 2 * rank)
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def automatic(call):
    """Return the attribute "auto_pad"."""
    auto = call.attribute("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"):
        raise ModelFormatError(f"auto_pad is {auto!r}, expected NOTSET, SAME_UPPER, SAME_LOWER or VALID")
    return auto


def kernel_of(call, x, w):
    """Return the spatial shape of the weights `w` of a convolution of `x`, which the node may repeat."""
    if w.ndim != x.ndim or x.ndim < 3:
        raise ShapeError(
            f"images {x.shape} and weights {w.shape}: both have a batch or outputs, channels, and as many axes"
        )
    named = call.attribute("kernel_shape")
    if named is not None and tuple(named) != w.shape[2:]:
        raise ModelFormatError(
            f"kernel_shape is {named}, but the kernel of the weights {w.shape} is {list(w.shape[2:])}"
        )
    return w.shape[2:]


def windows(call, size, kernel):
    """Return the `Windows` of a node over images of a size."""
    rank = len(size)
    kernel = at_least(1, "the kernel", kernel, rank)
    strides, dilations = steps(call, rank)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    auto = automatic(call)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max((-(-n // s) - 1) * s + e - n, 0) for n, s, e in zip(size, strides, extents, strict=True)]
        padding = [(t // 2, t - t // 2) if auto == "SAME_UPPER" else (t - t // 2, t // 2) for t in totals]
    elif auto == "VALID":
        padding = [(0, 0)] * rank
    else:
        padding = pads_of(call, rank)
    beyond, out = [], []
    for n, s, e, (before, after) in zip(size, strides, extents, padding, strict=True):
        count = (n + before + after - e) // s + 1
        # One more, unless it would begin behind the image.
        if (
            call.attribute("ceil_mode", 0)
            and auto != "VALID"
            and (n + before + after - e) % s
            and count * s < n + before
        ):
            count += 1
        out.append(count)
        beyond.append(max((count - 1) * s + e - (n + before + after), 0))
    if min(out, default=0) < 0:
        raise ModelFormatError(
            f"windows of {extents}, every {list(strides)}, do not fit images of {list(size)} padded by {padding}"
        )
    w = Windows(tuple(size), kernel, strides, dilations, tuple(padding), tuple(beyond), tuple(out))
    within(n + sum(pair) for n, pair in zip(size, whole_padding(w), strict=True))
    return w


def pooled(call, x):
    """Return the `Windows` of a pooling node over images (N, C, ...), each of which sees a pixel."""
    w = windows(call, x.shape[2:], call.required("kernel_shape"))
    for pads, k, d in zip(w.padding, w.kernel, w.dilations, strict=True):
        if max(pads) > (k - 1) * d:
            raise ModelFormatError(
                f"windows of {list(w.kernel)} may lie in the padding {list(w.padding)} alone: pads must be smaller than "
                f"the kernel{' with its dilations' if d > 1 else ''}"
            )
    return w


def pad(x, w, value):
    """Return images (N, C, ...) with a value around them, all that windows see."""
    within((*x.shape[:2], *(n + sum(pair) for n, pair in zip(w.size, whole_padding(w), strict=True))))
    return np.pad(x, ((0, 0), (0, 0), *whole_padding(w)), constant_values=value)


def whole_padding(w):
    """Return the padding, and what `ceil_mode` adds to it."""
    return tuple((before, after + more) for (before, after), more in zip(w.padding, w.beyond, strict=True))


def views(x, w, value=0):
    """Return what windows see of images (N, C, ...): a view (N, C, *out, *kernel)."""
    x = pad(x, w, value)
    spatial = x.strides[2:]
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *w.out, *w.kernel),
        (
            *x.strides[:2],
            *(a * b for a, b in zip(spatial, w.strides, strict=True)),
            *(a * b for a, b in zip(spatial, w.dilations, strict=True)),
        ),
        writeable=False,
    )


def columns(x, w, value=0):
    """Return what windows see, copied: (N, C, *out, positions in the window)."""
    within((*x.shape[:2], *w.out, *w.kernel))
    seen = views(x, w, value)
    return seen.reshape(*seen.shape[: 2 + len(w.out)], -1)


def counts(w, with_padding):
    """Return how many pixels each window holds, (*out); with the padding or without."""
    result = np.ones((), np.int64)
    for n, k, s, d, (before, after), count in zip(
        w.size, w.kernel, w.strides, w.dilations, w.padding, w.out, strict=True
    ):
        places = np.arange(count)[:, None] * s + np.arange(k) * d - before
        low, high = (-before, n + after) if with_padding else (0, n)
        result = np.multiply.outer(result, ((places >= low) & (places < high)).sum(1))
    return result
