"""conv2d in plain NumPy: one matrix product per tap and group."""

import numpy as np

from .. import _convolution as common
from .._epilogue import apply_epilogue, epilogue_backward


def group_slices(channels, groups):
    """Return the slices of the channels that belong to each group."""
    size = channels // groups
    return [slice(g * size, (g + 1) * size) for g in range(groups)]


def reference(arrays, attrs):
    x, kernel = arrays["x"], arrays["kernel"]
    padded, size = common.pad(x, kernel.shape[:2], attrs), kernel.shape[:2]
    y = np.zeros((x.shape[0], *common.geometry(x.shape, size, attrs).out, kernel.shape[3]), x.dtype)
    inputs, outputs = group_slices(x.shape[3], attrs.groups), group_slices(kernel.shape[3], attrs.groups)
    for tap, region in common.taps(x, size, attrs):
        for i, o in zip(inputs, outputs, strict=True):
            y[..., o] += padded[region][..., i] @ kernel[tap][:, o]
    if "bias" in arrays:
        y += arrays["bias"]
    return {"y": apply_epilogue(y, attrs.epilogue)}


def reference_backward(arrays, attrs, needs):
    x, kernel = arrays["x"], arrays["kernel"]
    size = kernel.shape[:2]
    dz = epilogue_backward(arrays["dy"], arrays["y"], attrs.epilogue)
    inputs, outputs = group_slices(x.shape[3], attrs.groups), group_slices(kernel.shape[3], attrs.groups)
    result = {}
    if "bias" in needs:
        result["dbias"] = dz.sum((0, 1, 2))
    if "kernel" in needs:
        padded, dkernel = common.pad(x, size, attrs), np.zeros(kernel.shape, dz.dtype)
        for tap, region in common.taps(x, size, attrs):
            for i, o in zip(inputs, outputs, strict=True):
                dkernel[tap][:, o] = np.tensordot(padded[region][..., i], dz[..., o], ((0, 1, 2), (0, 1, 2)))
        result["dkernel"] = dkernel
    if "x" in needs:
        dx = common.pad(np.zeros(x.shape, dz.dtype), size, attrs)
        for tap, region in common.taps(x, size, attrs):
            for i, o in zip(inputs, outputs, strict=True):
                dx[region][..., i] += dz[..., o] @ kernel[tap][:, o].T
        result["dx"] = common.crop(dx, x.shape, size, attrs)
    return result
