"""Passes of a 3x3 convolution by Winograd's algorithm: the gradient of x is a convolution of dy."""

from ... import config
from ..._kernels import winograd, winograd_backward
from ...op import Epilogue
from .._epilogue import SHORT
from .._packing import pack
from . import direct
from .algorithm import winograd_side

PITCHED, SUMS_BIAS = True, False
# Under "highest" products are summed in blocks of so many channels: few enough to be as exact as a plain sum.
EXACT_BLOCK = 16
# Tiles with a side of 4 keep rounding errors of inputs that their outputs do not see: where a pixel's outputs are a smaller
# share of a tile's largest than this, they are summed the plain way. Errors are about 1e-8 / share of sum |x| |w|.
EXACT_SHARE, SHARE = 1 / 16, 1 / 256


def bfloat16(call, has_residual):
    x = [("x",)] if call.depth % 2 == 0 else []
    return [*x, ("residual", "y")] if call.attrs.epilogue.activation in SHORT else x


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue(), **finish):
    """`finish`: scale, shift and pool of `winograd.convolve`."""
    (top, _), (left, _) = call.geometry.padding
    return _convolve(
        x,
        bias,
        residual,
        y,
        epilogue,
        side=winograd_side(call.channels, call.outputs, call.geometry.out),
        stored=call.stored,
        images=call.images,
        x_size=call.geometry.size,
        first=(-top, -left),
        out_size=call.geometry.out,
        depth=call.channels,
        columns=call.outputs,
        taps=range(call.taps),
        strides=call.kernel_strides(),
        **finish,
    )


def backward_data(call, dy, dx, bias=None, epilogue=Epilogue()):
    # The taps in reverse, the channels swapped.
    (top, _), (left, _) = call.geometry.padding
    return _convolve(
        dy,
        bias,
        None,
        dx,
        epilogue,
        side=winograd_side(call.outputs, call.channels, call.geometry.size) or (2, 2),
        stored=False,
        images=call.images,
        x_size=call.geometry.out,
        first=(top - 2, left - 2),
        out_size=call.geometry.size,
        depth=call.outputs,
        columns=call.channels,
        taps=range(call.taps)[::-1],
        strides=call.kernel_strides(transposed=True),
    )


def backward_kernel(call, x, dy, dkernel):
    (top, _), (left, _) = call.geometry.padding
    return winograd_backward.backward_kernel(
        x,
        dy,
        dkernel,
        direct.backward_kernel(call, x, dy, dkernel),
        images=call.images,
        x_size=call.geometry.size,
        first=(-top, -left),
        out_size=call.geometry.out,
        depth=call.channels,
        columns=call.outputs,
    )


def _convolve(x, bias, residual, y, epilogue, *, side, stored, depth, columns, taps, strides, **arguments):
    packing = pack("kernel", "packed", taps, groups=1, depth=depth, columns=columns, **strides)
    exact = config.get_precision() == "highest"
    transform = winograd.transform_kernel("packed", "transformed", side=side, depth=depth, columns=columns)
    convolution = winograd.convolve(
        x,
        "packed",
        "transformed",
        bias,
        residual,
        y,
        side=side,
        depth_block=EXACT_BLOCK if exact and 4 in side else depth,
        share=EXACT_SHARE if exact else SHARE,
        depth=depth,
        columns=columns,
        epilogue=epilogue,
        half=stored,
        **arguments,
    )
    return convolution._replace(
        packed={**packing.packed, "transformed": winograd.transformed_bytes(side, depth, columns)},
        prologue=(*packing.prologue, (transform,)),
    )
