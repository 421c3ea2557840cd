"""Shared by conv2d and depthwise_conv2d: attributes, the rules of shapes, the walks over taps."""

from typing import NamedTuple

from .. import shapes
from ..errors import ShapeError
from ..op import Epilogue, Spec
from ._checks import check_floats, check_images


class Attrs(NamedTuple):
    """Attributes of a convolution. `padding` is "same" or ((top, bottom), (left, right))."""

    strides: tuple[int, int] = (1, 1)
    padding: str | tuple = ((0, 0), (0, 0))
    dilation_rate: tuple[int, int] = (1, 1)
    groups: int = 1
    epilogue: Epilogue = Epilogue()

    # The references leave the padding out; kernels may multiply its zeros. Where one of these operands is infinite or NaN,
    # 0 times that makes NaN of results that the reference leaves finite, near the border.
    meets_padding = frozenset({"kernel", "y", "dy"})


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
    if bias is not None and tuple(bias.shape) != (channels_out,):
        raise ShapeError(
            f"{name}: bias must have shape ({channels_out},), one number per output channel of the kernel "
            f"{kernel.shape}, got {bias.shape}"
        )
    oh, ow = shapes.output_sizes(
        x.shape[1:3], kernel.shape[:2], attrs.strides, attrs.padding, attrs.dilation_rate, "kernel"
    )
    return Spec((x.shape[0], oh, ow, channels_out), x.dtype)


def check_operands(specs, name, kernel_axes):
    """Raise unless all are floats, x are images of known channels, and the kernel is 4-D, all of it known."""
    x, kernel = specs["x"], specs["kernel"].shape
    check_floats(name, specs)
    check_images(name, "x", x)
    if x.shape[3] is None:
        raise ShapeError(f"{name}: the number of channels of x must be known, got shape {x.shape}")
    if len(kernel) != 4 or any(not n for n in kernel):
        raise ShapeError(f"{name}: kernel must have shape {kernel_axes}, none of it 0, got {kernel}")


def _inside(offset, step, size, count):
    """Return the slice of the positions j < count with 0 <= j * step + offset < size."""
    first = max(0, -(offset // step))
    return slice(first, max(first, min(count, (size - 1 - offset) // step + 1)))


def taps(x_shape, kernel_size, attrs):
    """Yield ((kh, kw), region of x, region of y) of the reference: what a tap reads, and for which outputs.

    Outputs for which it would read padding are left out.
    """
    shape = geometry(x_shape, kernel_size, attrs)
    for kh in range(kernel_size[0]):
        for kw in range(kernel_size[1]):
            sees, is_seen = [slice(None)], [slice(None)]
            for axis, tap in enumerate((kh, kw)):
                step, offset = attrs.strides[axis], tap * attrs.dilation_rate[axis] - shape.padding[axis][0]
                outputs = _inside(offset, step, shape.size[axis], shape.out[axis])
                start = outputs.start * step + offset
                sees.append(slice(start, start + (outputs.stop - outputs.start) * step, step))
                is_seen.append(outputs)
            yield (kh, kw), tuple(sees), tuple(is_seen)


class Walk(NamedTuple):
    """A part of the backward-data pass: a convolution of dy with stride 1, over every stride-th row and column of dx."""

    taps: list[int]  # kh * KW + kw of those that reach this part
    tap_h: list[int]  # the rows of dy that they read for the first row of dx; tap_h x tap_w are the taps
    tap_w: list[int]
    grid: dict  # arguments of the step: images, x_size, steps, out_size, y_strides, y_offset


def _phases(geometry, attrs, axis):
    """Return [(phase, taps, where each reads, number of positions)] of the backward-data pass along one axis.

    Phase f of the input positions, f + stride * b, is reached by the taps t with (f + before - t * dilation) divisible by
    the stride, from the output b + (f + before - t * dilation) / stride.
    """
    size, stride, dilation = geometry.kernel[axis], attrs.strides[axis], attrs.dilation_rate[axis]
    before, result = geometry.padding[axis][0], []
    for phase in range(min(stride, geometry.size[axis])):
        taps = [t for t in range(size) if (phase + before - t * dilation) % stride == 0]
        reads = [(phase + before - t * dilation) // stride for t in taps]
        result.append((phase, taps, reads, -(-(geometry.size[axis] - phase) // stride)))
    return result


def backward_data_walks(geometry, attrs, images, channels):
    """Return the `Walk`s that make a dx of so many images and channels; together they write every element."""
    (height, width), (sh, sw) = geometry.size, attrs.strides
    return [
        Walk(
            [h * geometry.kernel[1] + w for h in taps_h for w in taps_w],
            tap_h,
            tap_w,
            {
                "images": images,
                "x_size": geometry.out,
                "steps": (1, 1),
                "out_size": (rows, columns),
                "y_strides": (height * width * channels, sh * width * channels, sw * channels),
                "y_offset": (fh * width + fw) * channels,
            },
        )
        for fh, taps_h, tap_h, rows in _phases(geometry, attrs, 0)
        for fw, taps_w, tap_w, columns in _phases(geometry, attrs, 1)
    ]
