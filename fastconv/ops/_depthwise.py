"""Plans of depthwise convolutions, for depthwise_conv2d and for conv2d with one input channel per group."""

from .._kernels import depthwise as kernels
from ..op import Plan
from . import _convolution as common
from ._epilogue import plan_epilogue_backward, side_by_side


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
        steps = []
        for fh, taps_h, tap_h in common.phases(geometry, attrs, 0):
            for fw, taps_w, tap_w in common.phases(geometry, attrs, 1):
                rows, cols = -(-(height - fh) // attrs.strides[0]), -(-(width - fw) // attrs.strides[1])
                if rows <= 0 or cols <= 0:
                    continue
                offsets = [(h * geometry.kernel[1] + w) * channels for h in taps_h for w in taps_w]
                steps.append(
                    kernels.depthwise(
                        dz,
                        "kernel",
                        None,
                        target,
                        images=n,
                        channels=channels,
                        x_size=geometry.out,
                        steps=(1, 1),
                        taps=(tap_h, tap_w, offsets),
                        out_size=(rows, cols),
                        y_strides=(
                            height * width * channels,
                            attrs.strides[0] * width * channels,
                            attrs.strides[1] * channels,
                        ),
                        y_offset=(fh * width + fw) * channels,
                    )
                )
        after = ()
        if multiplier > 1:
            workspace[target] = 4 * n * height * width * channels
            after = ((kernels.fold(target, "dx", n * height * width * c, multiplier),),)
        plans.append((tuple(steps), *after))
    phases = side_by_side(epilogue, *plans) if dz == "dy" else (*epilogue[:1], *side_by_side(epilogue[1:], *plans))
    return Plan(phases=phases, workspace=workspace)
