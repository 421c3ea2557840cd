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
    size = kernel.shape[:2]
    y = np.zeros((x.shape[0], *common.geometry(x.shape, size, attrs).out, kernel.shape[3]), x.dtype)
    inputs, outputs = group_slices(x.shape[3], attrs.groups), group_slices(kernel.shape[3], attrs.groups)
    for tap, sees, is_seen in common.taps(x.shape, size, attrs):
        for i, o in zip(inputs, outputs, strict=True):
            y[is_seen][..., o] += x[sees][..., i] @ kernel[tap][:, o]
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
        dkernel = np.zeros(kernel.shape, dz.dtype)
        for tap, sees, is_seen in common.taps(x.shape, size, attrs):
            for i, o in zip(inputs, outputs, strict=True):
                dkernel[tap][:, o] = np.tensordot(x[sees][..., i], dz[is_seen][..., o], ((0, 1, 2), (0, 1, 2)))
        result["dkernel"] = dkernel
    if "x" in needs:
        result["dx"] = dx = np.zeros(x.shape, dz.dtype)
        for tap, sees, is_seen in common.taps(x.shape, size, attrs):
            for i, o in zip(inputs, outputs, strict=True):
                dx[sees][..., i] += dz[is_seen][..., o] @ kernel[tap][:, o].T
    return result
