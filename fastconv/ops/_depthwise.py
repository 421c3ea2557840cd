"""Plans of depthwise convolutions, for depthwise_conv2d and for conv2d with one input channel per group."""

from .._kernels import depthwise as kernels
from ..op import Plan
from . import _convolution as common
from ._epilogue import after_epilogue, plan_epilogue_backward


def _forward_taps(geometry, attrs, channels):
    (kh, kw), (dh, dw) = geometry.kernel, attrs.dilation_rate
    (top, _), (left, _) = geometry.padding
    offsets = [tap * channels for tap in range(kh * kw)]
    return [t * dh - top for t in range(kh)], [t * dw - left for t in range(kw)], offsets


def plan_forward(x, kernel, multiplier, bias, attrs):
    geometry = common.geometry(x, kernel, attrs)
    n, height, width, c = x
    channels, (oh, ow) = c * multiplier, geometry.out
    workspace, phases = {}, ()
    if multiplier > 1:
        workspace = {"x_repeated": 4 * n * height * width * channels}
        phases = ((kernels.repeat("x", "x_repeated", n * height * width * c, multiplier),),)
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
        y_strides=(oh * ow * channels, ow * channels, channels),
        activation=attrs.epilogue.activation,
        alpha=attrs.epilogue.alpha,
    )
    return Plan(phases=(*phases, (step,)), workspace=workspace)


def plan_gradients(x, kernel, multiplier, y, attrs, needs):
    geometry = common.geometry(x, kernel, attrs)
    n, height, width, c = x
    channels, (oh, ow) = c * multiplier, geometry.out
    dz, epilogue, workspace = plan_epilogue_backward(y, attrs.epilogue, needs)
    plans = []
    if "kernel" in needs:
        before = ()
        if multiplier > 1:
            workspace["x_repeated"] = 4 * n * height * width * channels
            before = ((kernels.repeat("x", "x_repeated", n * height * width * c, multiplier),),)
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
            y_strides=(oh * ow * channels, ow * channels, channels),
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
                taps=(walk.tap_h, walk.tap_w, [tap * channels for tap in walk.taps]),
                **walk.grid,
            )
            for walk in common.backward_data_walks(geometry, attrs, n, channels)
        ]
        after = ()
        if multiplier > 1:
            workspace[target] = 4 * n * height * width * channels
            after = ((kernels.fold(target, "dx", n * height * width * c, multiplier),),)
        plans.append((tuple(steps), *after))
    return Plan(phases=after_epilogue(dz, epilogue, *plans), workspace=workspace)
