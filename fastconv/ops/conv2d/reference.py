"""Convolutions in plain NumPy, in any number of dimensions: one matrix product per tap and group."""

import numpy as np

from .. import _convolution as common
from .._epilogue import epilogue_backward, finish


def group_slices(channels, groups):
    """Return the slices of the channels that belong to each group."""
    size = channels // groups
    return [slice(g * size, (g + 1) * size) for g in range(groups)]


def correlate(x, kernel, geometry, attrs):
    """Return y[i] = sum over taps of x[i s + t d - p] kernel[t]."""
    y = np.zeros((x.shape[0], *geometry.out, kernel.shape[-1]), x.dtype)
    inputs, outputs = group_slices(x.shape[-1], attrs.groups), group_slices(kernel.shape[-1], attrs.groups)
    for tap, sees, is_seen in common.taps(geometry, attrs):
        for i, o in zip(inputs, outputs, strict=True):
            y[is_seen][..., o] += x[sees][..., i] @ kernel[tap][:, o]
    return y


def correlate_backward_x(dy, kernel, geometry, attrs):
    """Return dx, to which each tap of each output adds where it has read."""
    channels = kernel.shape[-2] * attrs.groups
    dx = np.zeros((dy.shape[0], *geometry.size, channels), dy.dtype)
    inputs, outputs = group_slices(channels, attrs.groups), group_slices(kernel.shape[-1], attrs.groups)
    for tap, sees, is_seen in common.taps(geometry, attrs):
        for i, o in zip(inputs, outputs, strict=True):
            dx[sees][..., i] += dy[is_seen][..., o] @ kernel[tap][:, o].T
    return dx


def correlate_backward_kernel(x, dy, kernel_shape, geometry, attrs):
    """Return dkernel, for each tap the sum over outputs of what it has read times dy."""
    dkernel = np.zeros(kernel_shape, dy.dtype)
    pixels = tuple(range(dy.ndim - 1))
    inputs, outputs = group_slices(x.shape[-1], attrs.groups), group_slices(dy.shape[-1], attrs.groups)
    for tap, sees, is_seen in common.taps(geometry, attrs):
        for i, o in zip(inputs, outputs, strict=True):
            dkernel[tap][:, o] = np.tensordot(x[sees][..., i], dy[is_seen][..., o], (pixels, pixels))
    return dkernel


def reference(arrays, attrs):
    x, kernel = arrays["x"], arrays["kernel"]
    y = correlate(x, kernel, common.geometry(x.shape, kernel.shape, attrs), attrs)
    return {"y": finish(y, arrays, attrs.epilogue)}


def reference_backward(arrays, attrs, needs):
    x, kernel = arrays["x"], arrays["kernel"]
    geometry = common.geometry(x.shape, kernel.shape, attrs)
    dz = epilogue_backward(arrays["dy"], arrays["y"], attrs.epilogue)
    result = {}
    if "residual" in needs:
        result["dresidual"] = dz
    if "bias" in needs:
        result["dbias"] = dz.sum(tuple(range(dz.ndim - 1)))
    if "kernel" in needs:
        result["dkernel"] = correlate_backward_kernel(x, dz, kernel.shape, geometry, attrs)
    if "x" in needs:
        result["dx"] = correlate_backward_x(dz, kernel, geometry, attrs)
    return result
