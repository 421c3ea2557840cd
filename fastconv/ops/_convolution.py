"""Shared by the convolutions in one, two and three dimensions: attributes, the rules of shapes, the walks over taps.

Everything here takes the number of spatial axes from its arguments: a tuple holds one number per axis, the last axis the
one whose neighbours lie side by side in memory.
"""

import itertools
from math import prod
from typing import NamedTuple

from .. import shapes
from ..errors import ArgumentError, ShapeError
from ..op import Case, Epilogue, Spec
from ._checks import check_floats, check_images
from ._epilogue import epilogue_of

# The spatial axes of a kernel.
KERNEL_AXES = {1: "K", 2: "KH, KW", 3: "KD, KH, KW"}


class Attrs(NamedTuple):
    """Attributes of a convolution. `padding` is "same" or a pair (before, after) per axis: ((top, bottom), (left, right))."""

    strides: tuple[int, ...] = (1, 1)
    padding: str | tuple = ((0, 0), (0, 0))
    dilation_rate: tuple[int, ...] = (1, 1)
    groups: int = 1
    epilogue: Epilogue = Epilogue()

    # The references leave the padding out; kernels may multiply its zeros. Where one of these operands is infinite or NaN,
    # 0 times that makes NaN of results that the reference leaves finite, near the border.
    meets_padding = frozenset({"kernel", "y", "dy"})


def attributes(name, rank, strides, padding, dilation_rate, groups, activation):
    """Return `Attrs` from the arguments of a public function."""
    check_groups(name, groups)
    return Attrs(
        shapes.per_axis(strides, "strides", rank),
        shapes.normalize_padding(padding, rank=rank),
        shapes.per_axis(dilation_rate, "dilation_rate", rank),
        groups,
        epilogue_of(activation),
    )


def check_groups(name, groups):
    """Raise ArgumentError unless `groups` is a positive integer."""
    if not isinstance(groups, int) or groups < 1:
        raise ArgumentError(f"{name}: groups must be a positive integer, got {groups!r}")


class Geometry(NamedTuple):
    """Sizes and padding of a call, in numbers."""

    size: tuple[int, ...]  # of the input
    kernel: tuple[int, ...]
    out: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]


def geometry(x_shape, kernel_shape, attrs):
    """Return the `Geometry` for known shapes."""
    rank = len(attrs.strides)
    size, kernel = tuple(x_shape[1 : 1 + rank]), tuple(kernel_shape[:rank])
    padding = shapes.resolve_padding(attrs.padding, size, kernel, attrs.strides, attrs.dilation_rate)
    out = shapes.output_sizes(size, kernel, attrs.strides, attrs.padding, attrs.dilation_rate, "kernel")
    return Geometry(size, kernel, out, padding)


def infer_output(specs, attrs, name, channels_out):
    """Return the Spec of y; checks what all convolutions have in common."""
    x, kernel = specs["x"], specs["kernel"]
    check_bias(specs, name, channels_out)
    out = shapes.output_sizes(
        x.shape[1:-1], kernel.shape[:-2], attrs.strides, attrs.padding, attrs.dilation_rate, "kernel"
    )
    return Spec((x.shape[0], *out, channels_out), x.dtype)


def check_bias(specs, name, channels_out):
    """Raise ShapeError unless the bias, where there is one, has a number per output channel."""
    bias = specs.get("bias")
    if bias is not None and tuple(bias.shape) != (channels_out,):
        raise ShapeError(
            f"{name}: bias must have shape ({channels_out},), one number per output channel of the kernel "
            f"{specs['kernel'].shape}, got {bias.shape}"
        )


def check_operands(specs, name, rank, channel_axes):
    """Raise unless all are floats, x are images of known channels, and the kernel has its axes, all of it known."""
    x, kernel = specs["x"], specs["kernel"].shape
    check_floats(name, specs)
    check_images(name, "x", x, rank)
    if x.shape[-1] is None:
        raise ShapeError(f"{name}: the number of channels of x must be known, got shape {x.shape}")
    if len(kernel) != rank + 2 or any(not n for n in kernel):
        axes = f"({KERNEL_AXES[rank]}, {channel_axes})"
        raise ShapeError(f"{name}: kernel must have shape {axes}, none of it 0, got {kernel}")


def case(x, kernel, channels_out, bias, attrs, residual=False):
    """Return a sample call."""
    specs = {"x": Spec(x), "kernel": Spec(kernel)}
    if bias:
        specs["bias"] = Spec((channels_out,))
    if residual:
        specs["residual"] = infer_output(specs, attrs, "case", channels_out)
    return Case(specs, attrs)


def _inside(offset, step, size, count):
    """Return the slice of the positions j < count with 0 <= j * step + offset < size."""
    first = max(0, -(offset // step))
    return slice(first, max(first, min(count, (size - 1 - offset) // step + 1)))


def taps(geometry, attrs):
    """Yield (tap, region of x, region of y) of the reference: what a tap reads, and for which outputs.

    Outputs for which it would read padding are left out.
    """
    for tap in itertools.product(*map(range, geometry.kernel)):
        sees, is_seen = [slice(None)], [slice(None)]
        for axis, t in enumerate(tap):
            step, offset = attrs.strides[axis], t * attrs.dilation_rate[axis] - geometry.padding[axis][0]
            outputs = _inside(offset, step, geometry.size[axis], geometry.out[axis])
            start = outputs.start * step + offset
            sees.append(slice(start, start + (outputs.stop - outputs.start) * step, step))
            is_seen.append(outputs)
        yield tap, tuple(sees), tuple(is_seen)


def pixel_strides(size, channels):
    """Return the strides (image, one per spatial axis) of contiguous images, in elements."""
    strides = [channels]
    for n in reversed(size):
        strides.append(n * strides[-1])
    return tuple(reversed(strides))


def reads(geometry, attrs):
    """Return where the taps of output 0 read, per axis."""
    return tuple(
        [t * dilation - before for t in range(size)]
        for size, dilation, (before, _) in zip(geometry.kernel, attrs.dilation_rate, geometry.padding, strict=True)
    )


class Walk(NamedTuple):
    """A part of the backward-data pass: a convolution of dy with stride 1, over every stride-th position of dx."""

    taps: list[int]  # numbers of those that reach this part, as kh * KW + kw
    reads: tuple[list[int], ...]  # per axis, where they read in dy for the first position; the taps are the product
    grid: dict  # arguments of the step: images, x_size, steps, out_size, y_strides, y_offset


def _stride_phases(geometry, attrs, axis):
    """Return [(phase, taps, where each reads, number of positions)] of the backward-data pass along one axis.

    Phase f of the input positions, f + stride * b, is reached by the taps t with (f + before - t * dilation) divisible by
    the stride, from the output b + (f + before - t * dilation) / stride. Phases that no tap reaches are left out: strides
    may be far longer than kernels.
    """
    size, stride, dilation = geometry.size[axis], attrs.strides[axis], attrs.dilation_rate[axis]
    before, reached = geometry.padding[axis][0], {}
    for t in range(geometry.kernel[axis]):
        phase = (t * dilation - before) % stride
        if phase < size:
            taps, reads = reached.setdefault(phase, ([], []))
            taps.append(t)
            reads.append((phase + before - t * dilation) // stride)
    return [(phase, *reached[phase], -(-(size - phase) // stride)) for phase in sorted(reached)]


def backward_data_walks(geometry, attrs, images, channels):
    """Return (base, walks): the `Walk`s that make a dx of so many images and channels; together they write every element.

    `base`, if it is not None, has to run first. It has no taps and writes all of dx, where the other walks leave gaps.
    """
    rank, size = len(geometry.size), geometry.size
    tap_strides = pixel_strides(geometry.kernel, 1)[1:]
    image, *pixel = pixel_strides(size, channels)
    whole = {"images": images, "x_size": geometry.out, "steps": (1,) * rank}
    axes, walks = [_stride_phases(geometry, attrs, axis) for axis in range(rank)], []
    for phases in itertools.product(*axes):
        firsts, taps, reads, counts = zip(*phases, strict=True)
        numbers = [sum(t * s for t, s in zip(tap, tap_strides, strict=True)) for tap in itertools.product(*taps)]
        grid = {
            "out_size": counts,
            "y_strides": (image, *(step * stride for step, stride in zip(attrs.strides, pixel, strict=True))),
            "y_offset": sum(first * stride for first, stride in zip(firsts, pixel, strict=True)),
        }
        walks.append(Walk(numbers, reads, whole | grid))
    if all(len(phases) == min(n, s) for phases, n, s in zip(axes, size, attrs.strides, strict=True)):
        return None, walks
    line = {"out_size": (*(1,) * (rank - 1), prod(size)), "y_strides": (image, *pixel), "y_offset": 0}
    return Walk([], ([],) * rank, whole | line), walks
