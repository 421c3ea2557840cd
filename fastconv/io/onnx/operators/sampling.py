"""Images read between their pixels: GridSample, RoiAlign, MaxRoiPool."""

import itertools
import math

import numpy as np

from ._arrays import in_float32, inside
from ._registry import evaluates
from ._sampling import pixels, sample_linear
from ._shapes import within
from ._windows import at_least


def _reflect(places, low, high):
    """Return places reflected at both ends until they lie in between."""
    span = high - low
    if span <= 0:
        return np.full_like(places, low)
    distance = np.mod(places - low, 2 * span)
    return np.minimum(distance, 2 * span - distance) + low


def _cubic_weights(fraction):
    """Return the weights of the pixels -1, 0, 1, 2, by Keys' cubic with a = -0.75."""
    a, weights = -0.75, []
    for distance in (1 + fraction, fraction, 1 - fraction, 2 - fraction):
        near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
        far = ((distance - 5) * distance + 8) * distance * a - 4 * a
        weights.append(np.where(distance <= 1, near, far))
    return weights


def _sample_cubic(x, where, outside):
    lows = [np.floor(place) for place in where]
    weights = [_cubic_weights(place - low) for place, low in zip(where, lows, strict=True)]
    total = 0
    for taps in itertools.product(range(4), repeat=len(where)):
        places = [(low + tap - 1).astype(np.int64) for low, tap in zip(lows, taps, strict=True)]
        weight = math.prod(axis[tap] for axis, tap in zip(weights, taps, strict=True))
        total = total + pixels(x, places, outside) * weight[:, None]
    return total.astype(x.dtype)


@evaluates("GridSample")
@in_float32
def grid_sample(call, x, grid):
    mode, padding = call.attribute("mode", "linear"), call.attribute("padding_mode", "zeros")
    aligned, size = call.attribute("align_corners", 0), x.shape[2:]
    grid = np.moveaxis(grid.astype(np.float64), -1, 0)[::-1]  # the last coordinate is the first axis
    where = [
        (place + 1) / 2 * (n - 1) if aligned else ((place + 1) * n - 1) / 2 for place, n in zip(grid, size, strict=True)
    ]
    edge = 0 if aligned else 0.5  # reflection is at the middle of the outer pixels, or at their outer borders
    reflected = [_reflect(place, -edge, n - 1 + edge) for place, n in zip(where, size, strict=True)]
    outside = None
    if padding == "border":
        where = where if mode in ("cubic", "bicubic") else [
            np.clip(place, 0, n - 1) for place, n in zip(where, size, strict=True)
        ]  # fmt: skip
        outside = lambda places, n: np.clip(places, 0, n - 1)  # noqa: E731
    elif padding == "reflection":
        where = where if mode in ("cubic", "bicubic") else reflected
        outside = lambda places, n: np.rint(_reflect(places.astype(np.float64), -edge, n - 1 + edge)).astype(np.int64)  # noqa: E731
    if mode == "nearest":
        return pixels(x, [np.rint(place).astype(np.int64) for place in where], outside)
    return (_sample_cubic if mode in ("cubic", "bicubic") else sample_linear)(x, where, outside)


# ---- regions


@evaluates("RoiAlign")
@in_float32
def roi_align(call, x, rois, batch_indices):
    out = call.attribute("output_height", 1), call.attribute("output_width", 1)
    ratio, scale = call.attribute("sampling_ratio", 0), call.attribute("spatial_scale", 1.0)
    half = call.attribute("coordinate_transformation_mode", "half_pixel" if call.version >= 16 else "") == "half_pixel"
    largest = call.attribute("mode", "avg") == "max"
    inside(batch_indices, len(x), "the images", lowest=0)
    y = np.empty(within((len(rois), x.shape[1], *out)), x.dtype)
    for number, (roi, image) in enumerate(zip(rois.astype(np.float64), batch_indices.tolist(), strict=True)):
        begin, end = (roi.reshape(2, 2)[:, ::-1] * scale) - (0.5 if half else 0)
        extent = end - begin if half else np.maximum(end - begin, 1)
        bins = extent / out
        samples = [ratio if ratio > 0 else max(math.ceil(size), 1) for size in bins]
        within((x.shape[1], *(n * count for n, count in zip(out, samples, strict=True))))
        axes = [
            first + (np.arange(n * count) + 0.5) * (size / count)
            for first, n, size, count in zip(begin, out, bins, samples, strict=True)
        ]
        values = _roi_samples(x[image], axes, largest)
        values = values.reshape(-1, out[0], samples[0], out[1], samples[1])
        y[number] = values.max((2, 4)) if largest else values.mean((2, 4))
    return y


def _roi_samples(image, axes, largest):
    """Return samples (C, rows, columns): interpolated, or the largest of the four weighted neighbours."""
    sides = []
    for where, n in zip(axes, image.shape[1:], strict=True):
        inside = (where >= -1) & (where <= n)
        where = np.clip(where, 0, n - 1)
        low = np.floor(where).astype(np.int64)
        far = where - low
        sides.append(((low, (1 - far) * inside), (np.minimum(low + 1, n - 1), far * inside)))
    parts = [
        image[:, rows[:, None], columns] * (row_weight[:, None] * column_weight)
        for (rows, row_weight), (columns, column_weight) in itertools.product(*sides)
    ]
    return np.max(parts, 0) if largest else sum(parts)


@evaluates("MaxRoiPool")
@in_float32
def max_roi_pool(call, x, rois):
    rows, columns = at_least(1, "pooled_shape", call.required("pooled_shape"))
    scale = call.attribute("spatial_scale", 1.0)
    y = np.zeros(within((len(rois), x.shape[1], rows, columns)), x.dtype)
    for number, roi in enumerate(rois.astype(np.float64)):
        left, top, right, bottom = np.floor(roi[1:] * scale + 0.5).astype(int)
        height, width = max(bottom - top + 1, 1), max(right - left + 1, 1)
        for i, j in itertools.product(range(rows), range(columns)):
            first = max(top + i * height // rows, 0), max(left + j * width // columns, 0)
            last = top - (-(i + 1) * height // rows), left - (-(j + 1) * width // columns)
            part = x[int(roi[0]), :, first[0] : max(last[0], 0), first[1] : max(last[1], 0)]
            if part.size:
                y[number, :, i, j] = part.max((1, 2))
    return y
