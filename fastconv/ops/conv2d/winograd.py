"""Passes of a 3x3 convolution by Winograd's algorithm: forward, the gradient of x (a convolution of dy), of the kernel.

They are called as those of `plan`, by which they are chosen.
"""

from ... import config
from ..._kernels import gemm, winograd, winograd_backward
from ...op import Plan
from .algorithm import winograd_side

TAPS = 9
# Under "highest" products are summed in blocks of so many channels: few enough to be as exact as a plain sum.
EXACT_BLOCK = 16
# Tiles with a side of 4 keep rounding errors of inputs that their outputs do not see: where a pixel's outputs are a smaller
# share of a tile's largest than this, they are summed the plain way. Errors are about 1e-8 / share of sum |x| |w|.
EXACT_SHARE, SHARE = 1 / 16, 1 / 256


def forward(call, x, y, bias, residual, epilogue, **finish):
    """Return the plan of the buffer `y` from `x`; `finish` is as in `plan.forward`."""
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
        taps=range(TAPS),
        b_k=call.outputs,
        b_n=1,
        **finish,
    )


def backward_data(call, dy, dx, bias, epilogue):
    """Return the plan of the buffer `dx` from `dy`: the taps in reverse, the channels swapped."""
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
        taps=range(TAPS - 1, -1, -1),
        b_k=1,
        b_n=call.outputs,
    )


def backward_kernel(call, x, dy, dkernel, plain):
    """Return (phases, workspace) of the buffer `dkernel`; `plain` are those of the plain way."""
    (top, _), (left, _) = call.geometry.padding
    return winograd_backward.backward_kernel(
        x,
        dy,
        dkernel,
        plain,
        images=call.images,
        x_size=call.geometry.size,
        first=(-top, -left),
        out_size=call.geometry.out,
        depth=call.channels,
        columns=call.outputs,
    )


def _convolve(x, bias, residual, y, epilogue, *, side, stored, depth, columns, taps, b_k, b_n, **arguments):
    pack = gemm.pack(
        "kernel",
        "packed",
        taps,
        groups=1,
        depth=depth,
        columns=columns,
        b_group=0,
        b_tap=depth * columns,
        b_k=b_k,
        b_n=b_n,
    )
    exact = config.get_precision() == "highest"
    transform = winograd.transform_kernel("packed", "transformed", side=side, depth=depth, columns=columns)
    step = winograd.convolve(
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
    packed = {
        "packed": gemm.packed_bytes(1, TAPS, depth, columns),
        "transformed": winograd.transformed_bytes(side, depth, columns),
    }
    return Plan(phases=((step,),), packed=packed, prologue=((pack,), (transform,)))
