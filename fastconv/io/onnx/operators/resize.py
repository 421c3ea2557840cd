"""Resampling along axes: Resize, Upsample.

Along each axis an output is a weighted sum of a few inputs: `Taps` holds which ones, and the weights.
"""

from typing import NamedTuple

import numpy as np

from ....errors import ModelFormatError
from ._registry import evaluates
from ._shapes import axes_of, numbers

NEAREST = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


class Taps(NamedTuple):
    """Resampling along an axis: output i is the sum of ``weights[i, t] * x[index[i, t]]``; `outside`: x has no such place."""

    axis: int
    index: np.ndarray
    weights: np.ndarray
    outside: np.ndarray


class Axis(NamedTuple):
    """How an axis is resampled: sizes before and after, the scale that fixes coordinates, the part of x that is seen."""

    axis: int
    size: int
    out: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def coordinates(mode, axis):
    """Return where in x the outputs of an axis lie."""
    x, n, scale = np.arange(axis.out), axis.size, axis.scale
    if mode == "half_pixel":
        return (x + 0.5) / scale - 0.5
    if mode == "half_pixel_symmetric":
        return n / 2 * (1 - axis.out / (scale * n)) + (x + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return (x + 0.5) / scale - 0.5 if axis.out > 1 else np.zeros(axis.out)
    if mode == "align_corners":
        length = scale * n  # not rounded: what was asked for
        return x * ((n - 1) / (length - 1)) if length != 1 else np.zeros(axis.out)
    if mode == "asymmetric":
        return x / scale
    if mode == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    if mode == "tf_crop_and_resize":
        if axis.out == 1:
            return np.array([0.5 * (axis.start + axis.end) * (n - 1)])
        return axis.start * (n - 1) + x * ((axis.end - axis.start) * (n - 1) / (axis.out - 1))
    raise ModelFormatError(f"there is no coordinate transformation {mode!r}")


def _triangle(distance):
    return np.maximum(1 - distance, 0)


def _cubic(a):
    def kernel(d):
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return kernel


def taps(call, mode, transformation, axis):
    """Return the `Taps` of an axis."""
    place, n = coordinates(transformation, axis), axis.size
    outside = (place < 0) | (place > n - 1) if transformation == "tf_crop_and_resize" else np.zeros(axis.out, bool)
    if mode == "nearest":
        # Rounding is exact where the place is meant to be halfway or whole, but for the last bits of the scale.
        find = NEAREST[call.attribute("nearest_mode", "round_prefer_floor" if call.version >= 11 else "floor")]
        index = find(place).clip(0, n - 1).astype(np.int64)[:, None]
        return Taps(axis.axis, index, np.ones(index.shape), outside)
    cubic = mode == "cubic"
    kernel = _cubic(call.attribute("cubic_coeff_a", -0.75)) if cubic else _triangle
    stretch = min(axis.scale, 1.0) if call.attribute("antialias", 0) else 1.0
    reach = (2 if cubic else 1) / stretch
    count = int(np.ceil(2 * reach)) + 1
    index = np.floor(place - reach).astype(np.int64)[:, None] + np.arange(count + 1)
    weights = kernel(np.abs(index - place[:, None]) * stretch)
    if call.attribute("exclude_outside", 0):
        weights = np.where((index >= 0) & (index < n), weights, 0)
    used = (weights != 0).any(0)  # taps at both ends that no output needs
    index, weights = index[:, used].clip(0, n - 1), weights[:, used]
    return Taps(axis.axis, index, weights / weights.sum(1, keepdims=True), outside)


def _targets(call, x, roi, scales, sizes):
    """Return an `Axis` for each axis that a Resize changes, or samples elsewhere."""
    axes = axes_of(call, call.attribute("axes"), x.ndim)
    roi, scales, sizes = numbers(call, roi), numbers(call, scales, "scales"), numbers(call, sizes)
    crop = call.attribute("coordinate_transformation_mode") == "tf_crop_and_resize"
    result = []
    if sizes:
        ratios = [m / x.shape[axis] for axis, m in zip(axes, sizes, strict=True)]
        policy = call.attribute("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratio = (min if policy == "not_larger" else max)(ratios)
            sizes = [int(np.floor(ratio * x.shape[axis] + 0.5)) for axis in axes]
            ratios = [ratio] * len(axes)
    for i, axis in enumerate(axes):
        n = x.shape[axis]
        start, end = (roi[i], roi[i + len(axes)]) if crop and roi else (0.0, 1.0)
        if sizes:
            found = Axis(axis, n, sizes[i], ratios[i], start, end)
        else:
            out = int(np.floor(np.float32(n) * np.float32(end - start) * np.float32(scales[i])))
            found = Axis(axis, n, out, float(scales[i]), start, end)
        if found.out != n or found.scale != 1 or crop:
            result.append(found)
    return result


def resample(x, every, value=0.0):
    """Return an array resampled along axes; `value` where an output lies outside of x."""
    y = x
    for taps in every:
        parts = np.moveaxis(y, taps.axis, -1)
        if taps.index.shape[1] == 1:
            y = parts[..., taps.index[:, 0]]
        else:
            y = sum(parts[..., index] * weight for index, weight in zip(taps.index.T, taps.weights.T, strict=True))
        y = np.moveaxis(y, -1, taps.axis)
    for taps in every:
        if taps.outside.any():
            y[(slice(None),) * taps.axis + (taps.outside,)] = value
    if x.dtype.kind in "iu" and y.dtype.kind == "f":
        y = np.rint(y).clip(np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    return y.astype(x.dtype, copy=False)


def _mode(call):
    mode = call.attribute("mode", "nearest")
    return "linear" if mode == "bilinear" else mode


@evaluates("Resize", shaping=(1, 2, 3))
def resize(call, x, *inputs):
    roi, scales, sizes = (None, *inputs, None) if call.version < 11 else (*inputs, *(None,) * (3 - len(inputs)))
    default = "half_pixel" if call.version >= 11 else "asymmetric"
    transformation = call.attribute("coordinate_transformation_mode", default)
    every = [taps(call, _mode(call), transformation, axis) for axis in _targets(call, x, roi, scales, sizes)]
    return resample(x, every, call.attribute("extrapolation_value", 0.0))


@evaluates("Upsample", shaping=(1,))
def upsample(call, x, scales=None):
    every = [taps(call, _mode(call), "asymmetric", axis) for axis in _targets(call, x, None, scales, None)]
    return resample(x, every)
