"""Resizing: interpolation along axes, one after the other.

Along each axis an output lies at some coordinate of x. Nearest neighbours are picked; for linear and cubic interpolation
every output is a weighted sum of the places around. A plan works the tables out once.
"""

import math
from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import resample as kernels
from ..autograd import apply, as_tensor
from ..errors import ArgumentError, ShapeError
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float
from .upsample import OP as UPSAMPLE
from .upsample import Attrs as Repeats

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
ROUNDING = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


class Attrs(NamedTuple):
    """Attributes of resizing one axis; see `resize`. One of `size` and `scale` may be None."""

    axis: int
    size: int | None
    scale: float | None
    mode: str = "nearest"
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic_coefficient: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False
    region: tuple[float, float] = (0.0, 1.0)


def _sizes(n, attrs):
    """Return (size along the axis of y, the scale that coordinates follow)."""
    length = attrs.region[1] - attrs.region[0] if attrs.coordinates == "tf_crop_and_resize" else 1.0
    size = (
        math.floor(np.float32(n) * np.float32(length) * np.float32(attrs.scale)) if attrs.size is None else attrs.size
    )
    return size, size / n if attrs.scale is None else attrs.scale


def coordinates(mode, size, out, scale, region=(0.0, 1.0)):
    """Return where in x, of `size`, each of `out` outputs lies; `region` is what "tf_crop_and_resize" takes of x."""
    x, (start, end) = np.arange(out), region
    if mode == "half_pixel":
        return (x + 0.5) / scale - 0.5
    if mode == "half_pixel_symmetric":
        return size / 2 * (1 - out / (scale * size)) + (x + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return (x + 0.5) / scale - 0.5 if out > 1 else np.zeros(out)
    if mode == "align_corners":
        # Not rounded: the standard's own test (resize_downsample_scales_linear_align_corners) divides by 0.6 * 4 - 1. ONNX
        # Runtime and the files of PyTorch's exporter mean the rounded length; with sizes in place of scales all agree.
        length = scale * size
        return x * ((size - 1) / (length - 1)) if length != 1 else np.zeros(out)
    if mode == "asymmetric":
        return x / scale
    if mode == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    if out == 1:
        return np.array([0.5 * (start + end) * (size - 1)])
    return start * (size - 1) + x * ((end - start) * (size - 1) / (out - 1))


def _triangle(distance):
    return np.maximum(1 - distance, 0)


def _cubic(a):
    # Keys, "Cubic convolution interpolation for digital image processing", 1981.
    def kernel(d):
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return kernel


def taps(n, attrs):
    """Return (index, weights) for an axis of size n, both (outputs, taps): each output is the sum of ``weights * x[index]``."""
    size, scale = _sizes(n, attrs)
    place = coordinates(attrs.coordinates, n, size, scale, attrs.region)
    if attrs.mode == "nearest":
        index = ROUNDING[attrs.rounding](place).clip(0, n - 1).astype(np.int64)[:, None]
        return index, np.ones(index.shape)
    cubic = attrs.mode == "cubic"
    kernel = _cubic(attrs.cubic_coefficient) if cubic else _triangle
    stretch = min(scale, 1.0) if attrs.antialias else 1.0
    reach = (2 if cubic else 1) / stretch
    index = np.floor(place - reach).astype(np.int64)[:, None] + np.arange(math.ceil(2 * reach) + 2)
    weights = kernel(np.abs(index - place[:, None]) * stretch)
    if attrs.exclude_outside:
        weights = np.where((index >= 0) & (index < n), weights, 0)
    used = (weights != 0).any(0)  # not the taps at both ends that no output needs
    index, weights = index[:, used].clip(0, n - 1), weights[:, used]
    return index, weights / weights.sum(1, keepdims=True)


def infer(specs, attrs):
    x, axis = specs["x"], attrs.axis
    check_float("resize", "x", x)
    n = x.shape[axis]
    size = _sizes(n, attrs)[0] if n else attrs.size
    if n == 0 or (size is not None and size < 1):
        raise ShapeError(f"resize cannot make {size} places of axis {axis} of x, whose shape is {x.shape}")
    return {"y": Spec((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)}


def reference(arrays, attrs):
    x = np.moveaxis(arrays["x"], attrs.axis, -1)
    index, weights = taps(x.shape[-1], attrs)
    return {"y": np.moveaxis((x[..., index] * weights.astype(x.dtype)).sum(-1), -1, attrs.axis)}


# A place of x gets the dy of every output that it was summed into, times its weight there: the transposed matrix.
def reference_backward(arrays, attrs, needs):
    dy = np.moveaxis(arrays["dy"], attrs.axis, 0)
    n = arrays["x"].shape[attrs.axis]
    dx = np.zeros((n, *dy.shape[1:]), dy.dtype)
    for places, weights in zip(*(table.T for table in taps(n, attrs)), strict=True):
        np.add.at(dx, places, dy * weights.astype(dy.dtype).reshape(-1, *(1,) * (dy.ndim - 1)))
    return {"dx": np.moveaxis(dx, 0, attrs.axis)}


def plan(specs, attrs):
    shape, axis = specs["x"].shape, attrs.axis
    outer, inner = shapes.size(shape[:axis]), shapes.size(shape[axis + 1 :])
    index, weights = (table.tolist() for table in taps(shape[axis], attrs))
    step = kernels.resample("x", "y", outer, shape[axis], inner, index, None if attrs.mode == "nearest" else weights)
    return Plan(phases=((step,),))


def _reads(specs, attrs):
    index, _ = taps(specs["x"].shape[attrs.axis], attrs)
    return max(index.shape[1], np.bincount(index.reshape(-1)).max())


OP = register(
    Op(
        name="resize",
        inputs=("x",),
        outputs=("y",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        attrs=Attrs,
        differentiable=frozenset({"x"}),
        linear=("x",),
        cases=tuple(
            Case({"x": Spec(shape)}, Attrs(*attrs))
            for shape, *attrs in [
                ((3,), 0, 7, None),
                ((1,), 0, 3, None, "cubic"),
                ((2, 5, 3), 1, None, 2.0, "linear"),
                ((2, 5, 4, 3), 2, 3, None, "linear"),
                ((2, 9, 4, 3), 1, 4, None, "linear", "half_pixel", "floor", -0.75, True),
                ((2, 5, 19), 1, None, 1.7, "cubic", "align_corners"),
                ((2, 5, 70), 1, 13, None, "cubic", "half_pixel", "floor", -0.5, False, True),
                ((1, 4, 2500), 1, 7, None, "linear", "asymmetric"),
                ((2, 6, 7, 33), 1, 4, None, "nearest", "asymmetric", "floor"),
                ((2, 6), 1, None, 0.6, "nearest", "pytorch_half_pixel", "ceil"),
                ((2, 6), 1, 3, None, "linear", "tf_crop_and_resize", "floor", -0.75, False, False, (0.2, 0.9)),
                ((2, 6), 1, 4, None, "linear", "half_pixel_symmetric"),
            ]
        ),
        reduction=_reads,
    )
)


def keeps(n, attrs):
    """Tell whether an axis of size n stays as it is."""
    return n is not None and attrs.coordinates != "tf_crop_and_resize" and _sizes(n, attrs) == (n, 1.0)


def _repeats(x, every):
    """Return how often each axis of x is repeated, or None where `every`, attributes of resizing, does more than that."""
    repeats = [1] * x.ndim
    for attrs in every:
        n = x.shape[attrs.axis]
        if n is None or attrs.mode != "nearest":
            return None
        places = taps(n, attrs)[0][:, 0]
        repeats[attrs.axis] = max(len(places) // n, 1)
        if not np.array_equal(places, np.arange(n).repeat(repeats[attrs.axis])):
            return None
    return tuple(repeats)


def resize(
    x,
    size=None,
    scale=None,
    mode="nearest",
    *,
    axes=None,
    coordinates="half_pixel",
    rounding="round_prefer_floor",
    cubic_coefficient=-0.75,
    antialias=False,
    exclude_outside=False,
    region=None,
):
    """Resize along axes by interpolation; the definitions are those of ONNX's operator Resize.

    Parameters
    ----------
    x : Tensor or array_like
        Of float32 or float64.
    size : sequence of int, optional
        Of the result along each of `axes`.
    scale : sequence of float, optional
        The result has ``floor(n * scale)`` places along an axis of n. With both, the scale fixes the coordinates.
    mode : {"nearest", "linear", "cubic"}
    axes : sequence of int, optional
        Default: all but the first and the last, the spatial ones of (N, ..., C).
    coordinates : str
        Where in x an output lies: "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
        "tf_half_pixel_for_nn" or "tf_crop_and_resize". What lies outside of x is its border.
    rounding : {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}
        To the nearest place.
    cubic_coefficient : float
        The parameter of Keys' cubic.
    antialias : bool
        Where the result is smaller, stretch the linear or cubic kernel over all of x.
    exclude_outside : bool
        Places outside of x have no weight.
    region : sequence of (start, end), optional
        The part of each axis that "tf_crop_and_resize" takes, from 0 to 1.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        When an argument is not understood, does not fit x, or nothing would be left.

    Examples
    --------
    >>> fastconv.ops.resize([[[1.0], [3.0]]], size=(4,), mode="linear").numpy().ravel().tolist()
    [1.0, 1.5, 2.5, 3.0]
    """
    x = as_tensor(x)
    axes = tuple(range(1, x.ndim - 1)) if axes is None else tuple(axes)
    for name, value, known in (
        ("mode", mode, MODES),
        ("coordinates", coordinates, COORDINATES),
        ("rounding", rounding, ROUNDING),
    ):
        if value not in known:
            raise ArgumentError(f"resize knows for {name}: {', '.join(known)}; got {value!r}")
    if size is None and scale is None or any(v is not None and len(v) != len(axes) for v in (size, scale, region)):
        raise ArgumentError(f"resize needs a size or a scale for each of the axes {axes}, got {size!r} and {scale!r}")
    if any(not -x.ndim <= axis < x.ndim for axis in axes) or len({axis % x.ndim for axis in axes}) < len(axes):
        raise ArgumentError(f"resize needs different axes of x, whose shape is {x.shape}; got {axes}")
    if scale is not None and not all(0 < s < math.inf for s in scale):
        raise ArgumentError(f"resize needs scales above 0, got {scale!r}")
    every = [
        Attrs(
            axis % x.ndim,
            None if size is None else int(size[i]),
            None if scale is None else float(scale[i]),
            mode,
            coordinates,
            rounding,
            float(cubic_coefficient),
            bool(antialias),
            bool(exclude_outside),
            (0.0, 1.0) if region is None else tuple(map(float, region[i])),
        )
        for i, axis in enumerate(axes)
    ]
    every = [attrs for attrs in every if not keeps(x.shape[attrs.axis], attrs)]
    repeats = _repeats(x, every) if every else None
    if repeats is not None:
        return apply(UPSAMPLE, (x,), Repeats(repeats))
    # What shrinks comes first: less is left for the others.
    for attrs in sorted(every, key=lambda attrs: _sizes(x.shape[attrs.axis] or 1, attrs)[1]):
        x = apply(OP, (x,), attrs)
    return x
