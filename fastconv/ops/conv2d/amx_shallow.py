"""Passes of a convolution with few input channels on the tile unit (AMX): kernel rows fill its blocks."""

from ..._kernels import amx, conv_amx
from ...op import Epilogue, Plan
from .. import _amx
from .. import _convolution as common
from .._packing import pack
from .._plans import in_turn
from . import direct

PITCHED = True


def bfloat16(call, has_residual):
    return []


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue()):
    geometry, depth, columns = call.geometry, call.depth, call.columns
    terms, strides = _amx.terms(depth, columns, call.taps), call.kernel_strides()
    panels = pack("kernel", "packed_kernel", range(call.taps), groups=1, depth=depth, columns=columns, **strides)
    numbers = {"channels": depth, "columns": columns, "terms": terms}
    _, taps_h, taps_w = (1, 1, *geometry.kernel)[-3:]
    tiles, tile_bytes = amx.pack_rows("packed_kernel", "tiles_kernel", taps_h=taps_h, taps_w=taps_w, **numbers)
    name = f"{x}_terms"
    split, step, nbytes = conv_amx.convolve_rows(
        x,
        name,
        "packed_kernel",
        "tiles_kernel",
        bias,
        residual,
        y,
        images=call.images,
        x_size=geometry.size,
        kernel_size=geometry.kernel,
        padding=geometry.padding,
        strides=call.attrs.strides,
        reads=common.reads(geometry, call.attrs),
        out_size=geometry.out,
        y_pixel=epilogue.pitch or call.outputs,
        epilogue=epilogue,
        **numbers,
    )
    kernel = Plan(packed={**panels.packed, "tiles_kernel": tile_bytes}, prologue=(*panels.prologue, (tiles,)))
    inplace = {y: residual} if residual else {}
    return in_turn(kernel, Plan(phases=((split,), (step,)), workspace={name: nbytes}, inplace=inplace))


backward_data = direct.backward_data
