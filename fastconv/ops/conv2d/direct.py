"""Passes of a convolution as a sum over the taps of its kernel: what every convolution can run by."""

from math import prod

from ..._kernels import band, conv, conv_backward
from ...op import Epilogue, Plan
from .. import _convolution as common
from .._epilogue import SHORT
from .._packing import pack
from .._pairs import multiplies_pairs, rounded, sums_pairs
from .._plans import in_turn, side_by_side
from .algorithm import is_pointwise

PITCHED, SUMS_BIAS = True, True


def bfloat16(call, has_residual):
    # Only products of pairs leave bfloat16; a few channels are multiplied so where x comes as pairs.
    if multiplies_pairs(call.depth):
        return [("x",), ("residual", "y")]
    return [("x", "residual", "y")] if call.depth % 2 == 0 else []


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue()):
    geometry, depth, columns, groups = call.geometry, call.depth, call.columns, call.attrs.groups
    pairs, strides = multiplies_pairs(depth, call.stored), call.kernel_strides()
    size = call.images * prod(geometry.size) * call.channels
    x, rounding = rounded(x, size, pairs and not call.stored)
    packing = pack(
        "kernel", "packed", range(call.taps), groups=groups, depth=depth, columns=columns, pairs=pairs, **strides
    )
    operands = x, "packed", bias, residual, y
    evenly = is_pointwise(geometry, call.attrs) and band.fits(depth)
    if evenly and call.stored and epilogue.bfloat16 and epilogue.activation in SHORT:
        rows, y_row = call.images * prod(geometry.out), epilogue.pitch or columns
        step = band.product(*operands, rows=rows, depth=depth, columns=columns, y_row=y_row, epilogue=epilogue)
        return in_turn(packing, Plan(phases=((step,),), inplace={y: residual} if residual else {}))
    step = conv.convolve(
        *operands,
        images=call.images,
        x_size=geometry.size,
        x_channels=call.channels,
        steps=call.attrs.strides,
        reads=common.reads(geometry, call.attrs),
        out_size=geometry.out,
        y_strides=common.pixel_strides(geometry.out, epilogue.pitch or call.outputs),
        groups=groups,
        depth=depth,
        columns=columns,
        epilogue=epilogue,
        pairs=pairs,
    )
    return in_turn(packing, rounding, Plan(phases=((step,),), inplace={y: residual} if residual else {}))


def backward_kernel(call, x, dy, dkernel, dbias=None):
    groups, depth, columns = call.attrs.groups, call.depth, call.columns
    pairs = sums_pairs(depth, columns)
    return conv_backward.backward_kernel(
        x, dy, dkernel, dbias, groups=groups, depth=depth, columns=columns, pairs=pairs, **call.window
    )


def backward_data(call, dy, dx, bias=None, epilogue=Epilogue()):
    groups, depth, columns = call.attrs.groups, call.depth, call.columns
    pairs = multiplies_pairs(columns)
    dy, rounding = rounded(dy, call.images * prod(call.geometry.out) * call.outputs, pairs)

    def phase(walk, packed):
        step = conv.convolve(
            dy,
            packed,
            bias,
            None,
            dx,
            x_channels=call.outputs,
            reads=walk.reads,
            groups=groups,
            depth=columns,
            columns=depth,
            epilogue=epilogue,
            pairs=pairs,
            **walk.grid,
        )
        return Plan(phases=((step,),))

    base, walks = common.backward_data_walks(call.geometry, call.attrs, call.images, call.channels)
    parts = []
    for number, walk in enumerate(walks):
        name, strides = f"packed{number}", call.kernel_strides(transposed=True)
        packing = pack("kernel", name, walk.taps, groups=groups, depth=columns, columns=depth, pairs=pairs, **strides)
        parts.append(in_turn(packing, phase(walk, name)))
    whole = phase(base, None) if base else Plan()
    return in_turn(rounding, whole, side_by_side(*parts))
