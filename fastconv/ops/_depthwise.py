"""Plans of depthwise convolutions, for depthwise_conv2d and conv2d, and of conv2d with few channels per group."""

from math import prod

from .._kernels import depthwise as kernels
from ..op import Plan
from . import _convolution as common
from ._epilogue import SHORT, after_epilogue, plan_epilogue_backward
from ._pairs import storing


def _lower(x, kernel, attrs):
    """Return the shapes and attributes of a call in two dimensions: in one dimension there is one row of pixels."""
    if len(attrs.strides) == 2:
        return x, kernel, attrs
    padding = attrs.padding if attrs.padding == "same" else ((0, 0), *attrs.padding)
    steps = {"strides": (1, *attrs.strides), "dilation_rate": (1, *attrs.dilation_rate)}
    return (x[0], 1, *x[1:]), (1, *kernel), attrs._replace(padding=padding, **steps)


def _forward_grid(x, geometry, channels, attrs, depth):
    """Return what the forward step and the gradient of the kernel have in common: how the taps move over x."""
    return {
        "images": x[0],
        "channels": channels,
        "x_size": geometry.size,
        "steps": attrs.strides,
        "taps": (*common.reads(geometry, attrs), list(range(prod(geometry.kernel)))),
        "out_size": geometry.out,
        "y_strides": common.pixel_strides(geometry.out, channels),
        "repeat": channels // x[3],
        "depth": depth,
    }


def bfloat16(multiplier, attrs):
    """Return the operands that may be bfloat16, with so many outputs for a channel: see `Op.bfloat16`."""
    return [("x", "residual", "y")] if multiplier == 1 and attrs.epilogue.activation in SHORT else []


def plan_forward(specs, multiplier, attrs, depth=1, means=None):
    epilogue = storing(specs, attrs.epilogue)
    x, kernel, attrs = _lower(specs["x"].shape, specs["kernel"].shape, attrs)
    # y may not take over the memory of a residual: blocks of a row overlap, and compute some outputs twice.
    step = kernels.depthwise(
        "x",
        "kernel",
        "bias" if "bias" in specs else None,
        "residual" if "residual" in specs else None,
        "y",
        epilogue=epilogue,
        means=means,
        **_forward_grid(x, common.geometry(x, kernel, attrs), x[3] * multiplier, attrs, depth),
    )
    return Plan(phases=((step,),))


def plan_gradients(x, kernel, multiplier, y, attrs, needs, depth=1):
    x, kernel, attrs = _lower(x, kernel, attrs)
    geometry = common.geometry(x, kernel, attrs)
    channels = x[3] * multiplier
    # Without an activation the gradient of the kernel passes over all of dy anyway, and sums it on its way.
    sums_bias = needs >= {"kernel", "bias"} and attrs.epilogue.activation is None
    dz, epilogue, workspace, alias = plan_epilogue_backward(y, attrs.epilogue, needs - {"bias"} if sums_bias else needs)
    plans, packed, prologue = [], {}, ()
    if "kernel" in needs:
        grid = _forward_grid(x, geometry, channels, attrs, depth)
        kernel, more = kernels.backward_kernel("x", dz, "dkernel", "dbias" if sums_bias else None, **grid)
        plans.append(kernel)
        workspace |= more
    if "x" in needs:
        weights = "kernel"
        if depth > 1:
            weights, taps = "packed", prod(geometry.kernel)
            packed = {weights: 4 * taps * depth * channels}
            prologue = ((kernels.transpose_groups("kernel", weights, taps=taps, channels=channels, depth=depth),),)
        base, walks = common.backward_data_walks(geometry, attrs, x[0], x[3])
        plans.append(
            [
                tuple(
                    kernels.depthwise(
                        dz,
                        weights,
                        None,
                        None,
                        "dx",
                        channels=channels,
                        taps=(*walk.reads, walk.taps),
                        fold=multiplier,
                        depth=depth,
                        **walk.grid,
                    )
                    for walk in phase
                )
                for phase in ([base] if base else [], walks)
                if phase
            ]
        )
    phases = after_epilogue(dz, epilogue, *plans)
    return Plan(phases=phases, workspace=workspace, packed=packed, prologue=prologue, alias=alias)
