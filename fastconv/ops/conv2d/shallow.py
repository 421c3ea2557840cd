"""Passes of a convolution with few input channels, as first layers have: rows of the image are copied, with their padding.

The gradient of x is rarely wanted and, with many channels in and few out, another problem: it is direct.
"""

from math import prod

from ..._kernels import conv_shallow
from ...op import Epilogue, Plan
from .._packing import pack
from .._pairs import multiplies_row
from .._plans import in_turn
from . import direct

PITCHED, SUMS_BIAS = True, True


def bfloat16(call, has_residual):
    return [] if has_residual else [("y",)]


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue(), **finish):
    """`finish`: scale, shift and pool of `conv_shallow.convolve`."""
    *outer, row = call.geometry.kernel
    pairs = multiplies_row(row * call.depth)
    taps, length = (prod(outer), row * call.depth) if pairs else (1, call.taps * call.depth)
    strides = call.kernel_strides() | {"b_tap": length * call.outputs}
    packing = pack(
        "kernel", "packed", range(taps), groups=1, depth=length, columns=call.columns, pairs=pairs, **strides
    )
    arguments = {"channels": call.depth, "columns": call.columns, "epilogue": epilogue, "pairs": pairs}
    step = conv_shallow.convolve(x, "packed", bias, residual, y, **arguments, **finish, **call.window)
    return in_turn(packing, Plan(phases=((step,),), inplace={y: residual} if residual else {}))


def backward_kernel(call, x, dy, dkernel, dbias=None):
    arguments = {"channels": call.depth, "columns": call.columns}
    return conv_shallow.backward_kernel(x, dy, dkernel, dbias, **arguments, **call.window)


backward_data = direct.backward_data
