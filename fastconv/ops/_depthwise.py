"""Plans of depthwise convolutions, for depthwise_conv2d and for conv2d with one input channel per group."""

from math import prod

from .._kernels import depthwise as kernels
from ..op import Plan
from . import _convolution as common
from ._epilogue import after_epilogue, plan_epilogue_backward


def _forward_taps(geometry, attrs, channels):
    return *common.reads(geometry, attrs), [tap * channels for tap in range(prod(geometry.kernel))]


def _lower(x, kernel, attrs):
    """Return the shapes and attributes of a call in two dimensions: in one dimension there is one row of pixels."""
    if len(attrs.strides) == 2:
        return x, kernel, attrs
    padding = attrs.padding if attrs.padding == "same" else ((0, 0), *attrs.padding)
    steps = {"strides": (1, *attrs.strides), "dilation_rate": (1, *attrs.dilation_rate)}
    return (x[0], 1, *x[1:]), (1, *kernel), attrs._replace(padding=padding, **steps)


def plan_forward(x, kernel, multiplier, bias, attrs):
    x, kernel, attrs = _lower(x, kernel, attrs)
    geometry = common.geometry(x, kernel, attrs)
    n, c, pixels = x[0], x[-1], prod(x[:-1])
    channels = c * multiplier
    workspace, phases = {}, ()
    if multiplier > 1:
        workspace = {"x_repeated": 4 * pixels * channels}
        phases = ((kernels.repeat("x", "x_repeated", pixels * c, multiplier),),)
    step = kernels.depthwise(
        "x_repeated" if multiplier > 1 else "x",
        "kernel",
        "bias" if bias else None,
        "y",
        images=n,
        channels=channels,
        x_size=geometry.size,
        steps=attrs.strides,
        taps=_forward_taps(geometry, attrs, channels),
        out_size=geometry.out,
        y_strides=common.pixel_strides(geometry.out, channels),
        activation=attrs.epilogue.activation,
        alpha=attrs.epilogue.alpha,
    )
    return Plan(phases=(*phases, (step,)), workspace=workspace)


def plan_gradients(x, kernel, multiplier, y, attrs, needs):
    x, kernel, attrs = _lower(x, kernel, attrs)
    geometry = common.geometry(x, kernel, attrs)
    n, c, pixels = x[0], x[-1], prod(x[:-1])
    channels = c * multiplier
    dz, epilogue, workspace = plan_epilogue_backward(y, attrs.epilogue, needs)
    plans = []
    if "kernel" in needs:
        before = ()
        if multiplier > 1:
            workspace["x_repeated"] = 4 * pixels * channels
            before = ((kernels.repeat("x", "x_repeated", pixels * c, multiplier),),)
        steps, more = kernels.backward_kernel(
            "x_repeated" if multiplier > 1 else "x",
            dz,
            "dkernel",
            images=n,
            channels=channels,
            x_size=geometry.size,
            steps=attrs.strides,
            taps=_forward_taps(geometry, attrs, channels),
            out_size=geometry.out,
            y_strides=common.pixel_strides(geometry.out, channels),
        )
        plans.append((*before, *steps))
        workspace |= more
    if "x" in needs:
        target = "dx" if multiplier == 1 else "dx_repeated"
        steps = [
            kernels.depthwise(
                dz,
                "kernel",
                None,
                target,
                channels=channels,
                taps=(*walk.reads, [tap * channels for tap in walk.taps]),
                **walk.grid,
            )
            for walk in common.backward_data_walks(geometry, attrs, n, channels)
        ]
        after = ()
        if multiplier > 1:
            workspace[target] = 4 * pixels * channels
            after = ((kernels.fold(target, "dx", pixels * c, multiplier),),)
        plans.append((tuple(steps), *after))
    return Plan(phases=after_epilogue(dz, epilogue, *plans), workspace=workspace)
