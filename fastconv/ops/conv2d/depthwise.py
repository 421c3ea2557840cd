"""Passes of a convolution whose groups are a few channels: one each, or 4 or 8 that fill vectors; in one and two dimensions.

A kernel (KH, KW, 1, C * M) lies in memory as that of depthwise_conv2d, (KH, KW, C, M).
"""

from ..._kernels import depthwise as kernels
from ...op import Epilogue, Plan
from .. import _convolution as common
from .._epilogue import SHORT
from .._plans import in_turn

PITCHED, SUMS_BIAS = False, True


def _in_planes(call):
    """Return the call in two dimensions: in one dimension there is one row of pixels."""
    if len(call.geometry.size) == 2:
        return call
    size, kernel, out, padding = call.geometry
    geometry = common.Geometry((1, *size), (1, *kernel), (1, *out), ((0, 0), *padding))
    strides, dilation_rate = (1, *call.attrs.strides), (1, *call.attrs.dilation_rate)
    return call._replace(geometry=geometry, attrs=call.attrs._replace(strides=strides, dilation_rate=dilation_rate))


def _multiplier(call):
    """Outputs of a channel, where each reads one."""
    return call.columns if call.depth == 1 else 1


def _grid(call):
    """Return what the forward step and the gradient of the kernel have in common: how the taps move over x."""
    return {
        "images": call.images,
        "channels": call.outputs,
        "x_size": call.geometry.size,
        "steps": call.attrs.strides,
        "taps": (*common.reads(call.geometry, call.attrs), list(range(call.taps))),
        "out_size": call.geometry.out,
        "y_strides": common.pixel_strides(call.geometry.out, call.outputs),
        "repeat": _multiplier(call),
        "depth": call.depth,
    }


def bfloat16(call, has_residual):
    return [("x", "residual", "y")] if _multiplier(call) == 1 and call.attrs.epilogue.activation in SHORT else []


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue(), means=None):
    """`means`: the buffer of the mean of every row and channel of y, unless it is None."""
    grid = _grid(_in_planes(call))
    step = kernels.depthwise(x, "kernel", bias, residual, y, epilogue=epilogue, means=means, **grid)
    # y may not take over the memory of a residual: blocks of a row overlap, and compute some outputs twice.
    return Plan(phases=((step,),))


def backward_kernel(call, x, dy, dkernel, dbias=None):
    return kernels.backward_kernel(x, dy, dkernel, dbias, **_grid(_in_planes(call)))


def backward_data(call, dy, dx):
    call = _in_planes(call)
    weights, packing = "kernel", Plan()
    if call.depth > 1:
        weights = "packed"
        transpose = kernels.transpose_groups("kernel", weights, taps=call.taps, channels=call.outputs, depth=call.depth)
        packing = Plan(packed={weights: 4 * call.taps * call.depth * call.outputs}, prologue=((transpose,),))

    def step(walk):
        taps, fold = (*walk.reads, walk.taps), _multiplier(call)
        arguments = {"channels": call.outputs, "taps": taps, "fold": fold, "depth": call.depth, **walk.grid}
        return kernels.depthwise(dy, weights, None, None, dx, **arguments)

    base, walks = common.backward_data_walks(call.geometry, call.attrs, call.images, call.channels)
    phases = tuple(tuple(map(step, phase)) for phase in ([base] if base else [], walks) if phase)
    return in_turn(packing, Plan(phases=phases))
