"""Passes of a convolution on the tile unit (AMX)."""

from math import prod

from ..._kernels import amx, conv, conv_amx, conv_amx_backward
from ...op import Epilogue, Plan
from .. import _amx
from .. import _convolution as common
from .._plans import in_turn, side_by_side
from .algorithm import is_pointwise

PITCHED, SUMS_BIAS = True, False


def bfloat16(call, has_residual):
    return []


def _split(call, x, size, depth, terms):
    """Return (buffer name, plan) of the terms of all pixels of x."""
    pixels, groups, name = call.images * prod(size), call.attrs.groups, f"{x}_terms"
    step = amx.split_pixels(x, name, pixels=pixels, groups=groups, depth=depth, terms=terms)
    return name, Plan(phases=((step,),), workspace={name: pixels * amx.pixel_bytes(groups, depth, terms)})


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue()):
    geometry, attrs, depth, columns = call.geometry, call.attrs, call.depth, call.columns
    terms, strides = _amx.terms(depth, columns, call.taps), call.kernel_strides()
    kernel = _amx.pack(
        "kernel", range(call.taps), terms=terms, groups=attrs.groups, depth=depth, columns=columns, **strides
    )
    inplace = {y: residual} if residual else {}
    finish = {"bias": bias, "residual": residual, "epilogue": epilogue, "terms": terms}
    y_pixel = epilogue.pitch or call.outputs
    if is_pointwise(call.geometry, call.attrs):
        rows = call.images * prod(geometry.out)
        step = _amx.product(x, kernel, y, depth, columns, rows=rows, y_row=y_pixel, **finish)
        return in_turn(kernel.plan, Plan(phases=((step,),), inplace=inplace))
    name, split = _split(call, x, geometry.size, depth, terms)
    step = conv_amx.convolve(
        x,
        name,
        kernel.panels,
        kernel.tiles,
        y=y,
        images=call.images,
        x_size=geometry.size,
        x_channels=call.channels,
        steps=attrs.strides,
        reads=common.reads(geometry, attrs),
        out_size=geometry.out,
        y_strides=common.pixel_strides(geometry.out, y_pixel),
        groups=attrs.groups,
        depth=depth,
        columns=columns,
        **finish,
    )
    return in_turn(kernel.plan, split, Plan(phases=((step,),), inplace=inplace))


def backward_data(call, dy, dx, bias=None, epilogue=Epilogue()):
    groups, depth, columns = call.attrs.groups, call.depth, call.columns
    terms = _amx.terms(columns, depth, call.taps)
    finish = {"bias": bias, "epilogue": epilogue}

    def packed(taps, suffix):
        strides = call.kernel_strides(transposed=True)
        return _amx.pack(
            "kernel", taps, suffix=suffix, terms=terms, groups=groups, depth=columns, columns=depth, **strides
        )

    if is_pointwise(call.geometry, call.attrs):
        kernel, rows = packed((0,), ""), call.images * prod(call.geometry.out)
        step = _amx.product(dy, kernel, dx, columns, depth, rows=rows, terms=terms, **finish)
        return in_turn(kernel.plan, Plan(phases=((step,),)))

    def grid(walk):
        return {
            "residual": None, "y": dx, "x_channels": call.outputs, "groups": groups, "depth": columns, "columns": depth,
            "reads": walk.reads, **walk.grid, **finish,
        }  # fmt: skip

    name, split = _split(call, dy, call.geometry.out, columns, terms)
    base, walks = common.backward_data_walks(call.geometry, call.attrs, call.images, call.channels)
    parts = []
    for number, walk in enumerate(walks):
        kernel = packed(walk.taps, f"_{number}")
        step = conv_amx.convolve(dy, name, kernel.panels, kernel.tiles, terms=terms, **grid(walk))
        parts.append(in_turn(kernel.plan, Plan(phases=((step,),))))
    # The base reads nothing: it needs no tiles, and may run beside the split.
    whole = Plan(phases=((conv.convolve(dy, None, **grid(base)),),)) if base else Plan()
    return in_turn(side_by_side(split, whole), side_by_side(*parts))


def backward_kernel(call, x, dy, dkernel):
    return conv_amx_backward.backward_kernel(
        x,
        dy,
        dkernel,
        groups=call.attrs.groups,
        depth=call.depth,
        columns=call.columns,
        terms=_amx.terms(call.depth, call.columns, call.images * prod(call.geometry.out)),
        **call.window,
    )
