"""Resampling along axes: Resize, Upsample."""

import math
from typing import NamedTuple

import numpy as np

from .... import ops
from ....autograd import EAGER, no_grad, using
from ....errors import ModelFormatError
from ....ops.resize import coordinates
from ..operand import Operand
from ._arrays import in_float32
from ._registry import evaluates, lowers
from ._shapes import axes_of, numbers, within

CROP = "tf_crop_and_resize"


class Target(NamedTuple):
    """What becomes of some axes; None for what follows from the rest."""

    axes: tuple[int, ...]
    size: list[int] | None
    scale: list[float] | None
    region: list[tuple[float, float]] | None
    how: dict  # the other arguments of ops.resize


def _how(call):
    mode = call.attribute("mode", "nearest")
    return {
        "mode": "linear" if mode == "bilinear" else mode,
        "coordinates": call.attribute(
            "coordinate_transformation_mode", "half_pixel" if call.version >= 11 else "asymmetric"
        ),
        "rounding": call.attribute("nearest_mode", "round_prefer_floor" if call.version >= 11 else "floor"),
        "cubic_coefficient": call.attribute("cubic_coeff_a", -0.75),
        "antialias": call.attribute("antialias", 0),
        "exclude_outside": call.attribute("exclude_outside", 0),
    }


def _target(call, x, roi=None, scales=None, sizes=None):
    how, axes = _how(call), axes_of(call.attribute("axes"), x.ndim)
    roi, scales, sizes = numbers(call, roi), numbers(call, scales, "scales"), numbers(call, sizes)
    roi = roi if how["coordinates"] == CROP else None
    for name, given, each in (("scales", scales, 1), ("sizes", sizes, 1), ("roi", roi, 2)):
        if given and len(given) != each * len(axes):
            raise ModelFormatError(
                f"{name} has {len(given)} numbers, where {each * len(axes)} are needed: {each} for each axis"
            )
    if scales and not all(0 < scale < math.inf for scale in scales):
        raise ModelFormatError(f"scales is {scales}, expected finite numbers above 0")
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    if sizes and policy != "stretch":
        ratio = (min if policy == "not_larger" else max)(m / x.shape[axis] for axis, m in zip(axes, sizes, strict=True))
        sizes, scales = [math.floor(ratio * x.shape[axis] + 0.5) for axis in axes], [ratio] * len(axes)
    region = list(zip(roi[: len(axes)], roi[len(axes) :], strict=True)) if roi else None
    _check_target(x, axes, sizes or None, scales, region)
    return Target(axes, sizes or None, scales or None, region, how)


def _check_target(x, axes, sizes, scales, region):
    shape = list(x.shape)
    for i, axis in enumerate(axes):
        length = region[i][1] - region[i][0] if region else 1.0
        shape[axis] = sizes[i] if sizes else math.floor(shape[axis] * length * scales[i]) if scales else shape[axis]
    within(shape)


def _lower(call, x, target):
    if x.dtype != np.float32 or 0 in x.shape or target.how["coordinates"] == CROP:
        return NotImplemented
    axes = [x.axes[axis] for axis in target.axes]
    return Operand(ops.resize(x.stored, target.size, target.scale, axes=axes, **target.how), x.axes)


def _evaluate(call, x, target):
    whole = x.dtype.kind in "iu"
    with using(EAGER), no_grad():
        y = ops.resize(
            x.astype(np.float64) if whole else x,
            target.size, target.scale, axes=target.axes, region=target.region, **target.how,
        ).numpy()  # fmt: skip
    if target.how["coordinates"] == CROP:
        y = _with_border(call, x, y, target)
    if whole:
        y = np.rint(y).clip(np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    return y.astype(x.dtype, copy=False)


def _with_border(call, x, y, target):
    """Put the node's value where an output of a crop lies outside of x."""
    y = y.copy()
    for i, axis in enumerate(target.axes):
        scale = y.shape[axis] / x.shape[axis] if target.scale is None else target.scale[i]
        region = target.region[i] if target.region else (0.0, 1.0)
        place = coordinates(CROP, x.shape[axis], y.shape[axis], scale, region)
        outside = (place < 0) | (place > x.shape[axis] - 1)
        y[(slice(None),) * axis + (outside,)] = call.attribute("extrapolation_value", 0.0)
    return y


def _inputs(call, inputs):
    """Return the inputs of any version as (roi, scales, sizes)."""
    return (None, *inputs) if call.version < 11 else inputs


lowers("Resize")(lambda call, x, *inputs: _lower(call, x, _target(call, x, *_inputs(call, inputs))))
lowers("Upsample")(lambda call, x, scales=None: _lower(call, x, _target(call, x, None, scales)))


@evaluates("Resize", shaping=(1, 2, 3))
@in_float32
def resize_array(call, x, *inputs):
    return _evaluate(call, x, _target(call, x, *_inputs(call, inputs)))


@evaluates("Upsample", shaping=(1,))
@in_float32
def upsample_array(call, x, scales=None):
    return _evaluate(call, x, _target(call, x, None, scales))
