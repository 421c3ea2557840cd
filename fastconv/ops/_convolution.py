"""Shared by conv2d and depthwise_conv2d: attributes, the rules of shapes, the reference for one tap at a time."""

from typing import NamedTuple

import numpy as np

from .. import shapes
from ..errors import DTypeError, ShapeError
from ..op import Epilogue, Spec


class Attrs(NamedTuple):
    """Attributes of a convolution. `padding` is "same" or ((top, bottom), (left, right))."""

    strides: tuple[int, int] = (1, 1)
    padding: str | tuple = ((0, 0), (0, 0))
    dilation_rate: tuple[int, int] = (1, 1)
    groups: int = 1
    epilogue: Epilogue = Epilogue()


class Geometry(NamedTuple):
    """Sizes and padding of a call, in numbers."""

    size: tuple[int, int]  # of the input
    kernel: tuple[int, int]
    out: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]


def geometry(x_shape, kernel_shape, attrs):
    """Return the `Geometry` for known shapes."""
    size, kernel = tuple(x_shape[1:3]), tuple(kernel_shape[:2])
    padding = shapes.resolve_padding(attrs.padding, size, kernel, attrs.strides, attrs.dilation_rate)
    out = shapes.output_sizes(size, kernel, attrs.strides, attrs.padding, attrs.dilation_rate, "kernel")
    return Geometry(size, kernel, out, padding)


def infer_output(specs, attrs, name, channels_out):
    """Return the Spec of y; checks what both convolutions have in common."""
    x, kernel, bias = specs["x"], specs["kernel"], specs.get("bias")
    for argument, spec in specs.items():
        if spec.dtype not in ("float32", "float64"):
            raise DTypeError(f"{name}: {argument} must be float32 or float64, got {spec.dtype}; cast it first")
        if spec.dtype != x.dtype:
            raise DTypeError(f"{name}: {argument} is {spec.dtype} but x is {x.dtype}; cast one of them")
    if bias is not None and tuple(bias.shape) != (channels_out,):
        raise ShapeError(
            f"{name}: bias must have shape ({channels_out},), one number per output channel of the kernel "
            f"{kernel.shape}, got {bias.shape}"
        )
    oh, ow = shapes.output_sizes(
        x.shape[1:3], kernel.shape[:2], attrs.strides, attrs.padding, attrs.dilation_rate, f"{name}: kernel"
    )
    return Spec((x.shape[0], oh, ow, channels_out), x.dtype)


def check_ranks(specs, name, kernel_axes):
    """Raise unless x and kernel have four dimensions, and those of the kernel are known."""
    x, kernel = specs["x"].shape, specs["kernel"].shape
    if len(x) != 4:
        raise ShapeError(f"{name}: x must have 4 dimensions (N, H, W, C), got shape {x}; add the missing axis")
    if x[3] is None:
        raise ShapeError(f"{name}: the number of channels of x must be known, got shape {x}")
    if len(kernel) != 4 or any(not n for n in kernel):
        raise ShapeError(f"{name}: kernel must have shape {kernel_axes}, none of it 0, got {kernel}")


def taps(x, kernel_size, attrs):
    """Yield ((kh, kw), region): padded x[region] is what the tap reads, one pixel per output.

    Call it with x or anything of its shape; the regions index the padded array.
    """
    shape = geometry(x.shape, kernel_size, attrs)
    (oh, ow), (sh, sw), (dh, dw) = shape.out, attrs.strides, attrs.dilation_rate
    for kh in range(kernel_size[0]):
        for kw in range(kernel_size[1]):
            rows = slice(kh * dh, kh * dh + (oh - 1) * sh + 1, sh)
            columns = slice(kw * dw, kw * dw + (ow - 1) * sw + 1, sw)
            yield (kh, kw), (slice(None), rows, columns)


def pad(x, kernel_size, attrs):
    """Return x with zeros around it."""
    return np.pad(x, ((0, 0), *geometry(x.shape, kernel_size, attrs).padding, (0, 0)))


def crop(padded, x_shape, kernel_size, attrs):
    """Undo `pad`."""
    (top, _), (left, _) = geometry(x_shape, kernel_size, attrs).padding
    return padded[:, top : top + x_shape[1], left : left + x_shape[2]]


def phases(geometry, attrs, axis):
    """Return [(phase, taps, where each reads)] of the backward-data pass along one axis.

    Phase f of the input positions, f + stride * b, is reached by the taps t with (f + before - t * dilation) divisible by
    the stride, from the output b + (f + before - t * dilation) / stride.
    """
    size, stride, dilation = geometry.kernel[axis], attrs.strides[axis], attrs.dilation_rate[axis]
    before, result = geometry.padding[axis][0], []
    for phase in range(stride):
        taps = [t for t in range(size) if (phase + before - t * dilation) % stride == 0]
        result.append((phase, taps, [(phase + before - t * dilation) // stride for t in taps]))
    return result
