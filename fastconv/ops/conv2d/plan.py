"""conv2d by the kernels: forward, and the three gradients."""

from ..._kernels import conv, conv_backward, gemm
from ...op import Plan
from .. import _convolution as common
from .. import _depthwise as depthwise
from .._epilogue import after_epilogue, plan_epilogue_backward


def _sizes(specs, attrs):
    x, kernel = specs["x"].shape, specs["kernel"].shape
    return x, kernel, common.geometry(x, kernel, attrs), kernel[3] // attrs.groups


def _is_depthwise(specs, attrs):
    # A kernel (KH, KW, 1, C * M) lies in memory as a depthwise one, (KH, KW, C, M).
    return attrs.groups == specs["x"].shape[3] > 1


def plan(specs, attrs):
    x, kernel, geometry, columns = _sizes(specs, attrs)
    if _is_depthwise(specs, attrs):
        return depthwise.plan_forward(x, kernel, columns, "bias" in specs, attrs)
    kh, kw, depth, outputs = kernel
    (top, _), (left, _) = geometry.padding
    tap_h = [t * attrs.dilation_rate[0] - top for t in range(kh)]
    tap_w = [t * attrs.dilation_rate[1] - left for t in range(kw)]
    # Where channels are few, a tap is a whole row of the kernel.
    rows = attrs.groups == 1 and attrs.dilation_rate[1] == 1 and kw > 1 and depth < conv.FEW_CHANNELS
    taps, length = (kh, kw * depth) if rows else (kh * kw, depth)
    pack = gemm.pack(
        "kernel",
        "packed",
        range(taps),
        groups=attrs.groups,
        depth=length,
        columns=columns,
        b_group=columns,
        b_tap=length * outputs,
        b_k=outputs,
        b_n=1,
    )
    oh, ow = geometry.out
    forward = conv.convolve(
        "x",
        "packed",
        "bias" if "bias" in specs else None,
        "y",
        images=x[0],
        x_size=geometry.size,
        x_channels=x[3],
        steps=attrs.strides,
        tap_h=tap_h,
        tap_w=tap_w,
        out_size=geometry.out,
        y_strides=(oh * ow * outputs, ow * outputs, outputs),
        groups=attrs.groups,
        depth=depth,
        columns=columns,
        activation=attrs.epilogue.activation,
        alpha=attrs.epilogue.alpha,
        copy_kernel_width=kw if rows else 0,
    )
    packed = {"packed": gemm.packed_bytes(attrs.groups, taps, length, columns)}
    return Plan(phases=((forward,),), packed=packed, prologue=((pack,),))


# y = activation(z), z[n,i,j,o] = bias[o] + sum over h,w,c of x[n, i s + h d - p, j s + w d - q, c] kernel[h,w,c,o], so
#
#   dz      = dy * activation'(z)
#   dbias   = sum over n,i,j of dz
#   dkernel = sum over n,i,j of x[n, i s + h d - p, ...] dz[n,i,j,o]          an outer product per pixel and tap
#   dx[a]   = sum over h with i s + h d - p = a of dz[i] kernel[h]^T
#
# For the last, a = f + s b splits the rows (and columns) into s phases; phase f takes the taps with f + p - h d
# divisible by s, each at i = b + (f + p - h d) / s: a convolution of dz with stride 1 and swapped channels.
def plan_backward(specs, attrs, needs):
    x, kernel, geometry, columns = _sizes(specs, attrs)
    if _is_depthwise(specs, attrs):
        return depthwise.plan_gradients(x, kernel, columns, specs["y"], attrs, needs)
    dz, epilogue, workspace = plan_epilogue_backward(specs["y"], attrs.epilogue, needs)
    phases, packed, prologue = [], {}, ()
    if "kernel" in needs:
        steps, more = conv_backward.backward_kernel(
            "x",
            dz,
            "dkernel",
            images=x[0],
            x_size=geometry.size,
            out_size=geometry.out,
            padding=geometry.padding,
            strides=attrs.strides,
            dilations=attrs.dilation_rate,
            kernel_size=geometry.kernel,
            groups=attrs.groups,
            depth=kernel[2],
            columns=columns,
        )
        phases.append(steps)
        workspace |= more
    if "x" in needs:
        steps, packed, prologue = _plan_backward_data(dz, x, kernel, geometry, columns, attrs)
        phases.append(steps)
    return Plan(phases=after_epilogue(dz, epilogue, *phases), workspace=workspace, packed=packed, prologue=prologue)


def _plan_backward_data(dz, x, kernel, geometry, columns, attrs):
    n, _, _, channels = x
    *_, depth, outputs = kernel
    steps, packs, packed = [], [], {}
    for number, walk in enumerate(common.backward_data_walks(geometry, attrs, n, channels)):
        name = f"packed{number}" if walk.taps else None
        if walk.taps:
            packed[name] = gemm.packed_bytes(attrs.groups, len(walk.taps), columns, depth)
            packs.append(
                gemm.pack(
                    "kernel",
                    name,
                    walk.taps,
                    groups=attrs.groups,
                    depth=columns,
                    columns=depth,
                    b_group=columns,
                    b_tap=depth * outputs,
                    b_k=1,
                    b_n=outputs,
                )
            )
        steps.append(
            conv.convolve(
                dz,
                name,
                None,
                "dx",
                x_channels=outputs,
                tap_h=walk.tap_h,
                tap_w=walk.tap_w,
                groups=attrs.groups,
                depth=columns,
                columns=depth,
                **walk.grid,
            )
        )
    return (tuple(steps),), packed, (tuple(packs),) if packs else ()
