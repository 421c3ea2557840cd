"""Passes of a convolution on the tile unit (AMX), called as those of `plan`."""

from math import prod

from ..._kernels import amx, conv, conv_amx, conv_amx_backward
from ...op import Epilogue, Plan
from .. import _amx
from .. import _convolution as common
from .._epilogue import side_by_side


def _is_pointwise(call):
    """Whether every output reads one pixel, in turn: rows by a matrix."""
    numbers = {call.attrs.groups, *call.attrs.strides, *call.geometry.kernel}
    return numbers == {1} and not any(before or after for before, after in call.geometry.padding)


def _split(call, x, size, depth, terms):
    """Return (buffer name, step, bytes) of the terms of all pixels of x."""
    pixels, groups = call.images * prod(size), call.attrs.groups
    step = amx.split_pixels(x, f"{x}_terms", pixels=pixels, groups=groups, depth=depth, terms=terms)
    return f"{x}_terms", step, pixels * amx.pixel_bytes(groups, depth, terms)


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue()):
    """Return the plan of the buffer `y` from `x`."""
    geometry, attrs, depth, columns = call.geometry, call.attrs, call.depth, call.columns
    terms = _amx.terms(depth, columns, prod(geometry.kernel))
    kernel = _amx.pack(
        "kernel",
        range(prod(geometry.kernel)),
        terms=terms,
        groups=attrs.groups,
        depth=depth,
        columns=columns,
        b_group=columns,
        b_tap=depth * call.outputs,
        b_k=call.outputs,
        b_n=1,
    )
    finish = {"bias": bias, "residual": residual, "epilogue": epilogue, "terms": terms}
    y_pixel = epilogue.pitch or call.outputs
    if _is_pointwise(call):
        rows = call.images * prod(geometry.out)
        step = _amx.product(x, kernel, y, depth, columns, rows=rows, y_row=y_pixel, **finish)
        return Plan(phases=((step,),), packed=kernel.sizes, prologue=kernel.phases)
    name, split, nbytes = _split(call, x, geometry.size, depth, terms)
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
    return Plan(phases=((split,), (step,)), workspace={name: nbytes}, packed=kernel.sizes, prologue=kernel.phases)


def backward_data(call, dy, dx, bias=None, epilogue=Epilogue()):
    """Return the plan of the buffer `dx` from `dy`."""
    groups, depth, columns = call.attrs.groups, call.depth, call.columns
    terms = _amx.terms(columns, depth, prod(call.geometry.kernel))
    finish = {"bias": bias, "epilogue": epilogue}
    name, split, nbytes = _split(call, dy, call.geometry.out, columns, terms)
    steps, prologues, packed = [], [], {}

    def grid(walk):
        return {
            "residual": None, "y": dx, "x_channels": call.outputs, "groups": groups, "depth": columns, "columns": depth,
            "reads": walk.reads, **walk.grid, **finish,
        }  # fmt: skip

    base, walks = common.backward_data_walks(call.geometry, call.attrs, call.images, call.channels)
    for number, walk in enumerate(walks):
        kernel = _amx.pack(
            "kernel",
            walk.taps,
            suffix=f"_{number}",
            terms=terms,
            groups=groups,
            depth=columns,
            columns=depth,
            b_group=columns,
            b_tap=depth * call.outputs,
            b_k=1,
            b_n=call.outputs,
        )
        packed |= kernel.sizes
        prologues.append(kernel.phases)
        if _is_pointwise(call):
            rows = call.images * prod(call.geometry.out)
            step = _amx.product(dy, kernel, dx, columns, depth, rows=rows, terms=terms, **finish)
            return Plan(phases=((step,),), packed=packed, prologue=kernel.phases)
        steps.append(conv_amx.convolve(dy, name, kernel.panels, kernel.tiles, terms=terms, **grid(walk)))
    # The base reads nothing: it needs no tiles, and may run beside the split.
    first = (split, conv.convolve(dy, None, **grid(base))) if base else (split,)
    phases = (first, tuple(steps)) if steps else (first,)
    return Plan(phases=phases, workspace={name: nbytes}, packed=packed, prologue=side_by_side(*prologues))


def gives_kernel(call):
    """Tell whether the gradient of the kernel comes from the tile unit: its rows shall not be padding and gaps, mostly.

    It is a sum over the images: their number may have a say.
    """
    pixels = prod(call.geometry.out)
    if call.algorithm != "amx" or not call.images * pixels:
        return False
    geometry, attrs = call.geometry, call.attrs
    blocks = conv_amx_backward.blocks_of_image(geometry.out, geometry.kernel, attrs.strides, attrs.dilation_rate)
    use = pixels / (blocks * _amx.BLOCK)
    return use >= _amx.LEAST_USE and _amx.terms(call.depth, call.columns, call.images * pixels) > 0


def backward_kernel(call, x, dy, dkernel):
    """Return (phases, workspace) of the buffer `dkernel`."""
    return conv_amx_backward.backward_kernel(
        x,
        dy,
        dkernel,
        images=call.images,
        x_size=call.geometry.size,
        out_size=call.geometry.out,
        kernel_size=call.geometry.kernel,
        padding=call.geometry.padding,
        strides=call.attrs.strides,
        dilations=call.attrs.dilation_rate,
        groups=call.attrs.groups,
        depth=call.depth,
        columns=call.columns,
        terms=_amx.terms(call.depth, call.columns, call.images * prod(call.geometry.out)),
    )
