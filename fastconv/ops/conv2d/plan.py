"""Convolutions by the kernels, in one, two and three dimensions: forward, and the three gradients.

The passes are functions of a `Call` and of buffer names: a transposed convolution is made of the same three.
"""

from math import prod
from typing import NamedTuple

from ..._kernels import conv, conv_backward, conv_shallow, gemm
from ...op import Epilogue, Plan
from .. import _convolution as common
from .. import _depthwise as depthwise
from .._epilogue import SHORT, after_epilogue, plan_epilogue_backward
from .._pairs import is_stored, multiplies_pairs, multiplies_row, rounded, storing
from . import amx, winograd
from .algorithm import choose, choose_vectors, suits_kernel_gradient


class Call(NamedTuple):
    """What the passes need to know of a convolution of x (images, ..., channels) to y (images, ..., outputs)."""

    images: int
    channels: int
    outputs: int
    geometry: common.Geometry
    attrs: common.Attrs
    stored: bool = False  # x is bfloat16 already

    @property
    def algorithm(self):
        return choose(self.channels, self.outputs, self.geometry, self.attrs)

    @property
    def kernel_algorithm(self):
        """The algorithm of the gradient of the kernel where the tile unit does not give it."""
        return choose_vectors(self.channels, self.outputs, self.geometry, self.attrs)

    @property
    def depth(self):
        """Input channels per group."""
        return self.channels // self.attrs.groups

    @property
    def columns(self):
        """Output channels per group."""
        return self.outputs // self.attrs.groups

    @property
    def is_product(self):
        """Whether every image is one pixel under a kernel of one: rows by a matrix, which for few rows has faster tiles."""
        geometry = self.geometry
        ones = self.attrs.groups == prod(geometry.kernel) == prod(geometry.size) == prod(geometry.out) == 1
        return ones and not any(before for before, _ in geometry.padding)


def call_of(specs, attrs):
    """Return the `Call` of operands by name."""
    x, kernel = specs["x"].shape, specs["kernel"].shape
    return Call(x[0], x[-1], kernel[-1], common.geometry(x, kernel, attrs), attrs, is_stored(specs, "x"))


def _window(call):
    return {
        "kernel_size": call.geometry.kernel,
        "padding": call.geometry.padding,
        "strides": call.attrs.strides,
        "dilations": call.attrs.dilation_rate,
    }


def plan(specs, attrs):
    call = call_of(specs, attrs)
    if call.algorithm == "depthwise":
        # A kernel (KH, KW, 1, C * M) lies in memory as a depthwise one, (KH, KW, C, M).
        return depthwise.plan_forward(specs, call.columns, attrs)
    if call.algorithm == "grouped":
        return depthwise.plan_forward(specs, 1, attrs, call.depth)
    bias, residual = (name if name in specs else None for name in ("bias", "residual"))
    inplace = {"y": "residual"} if residual else {}
    return forward(call, "x", "y", bias, residual, storing(specs, attrs.epilogue))._replace(inplace=inplace)


def bfloat16(specs, attrs):
    """Return the operands that may be bfloat16: see `Op.bfloat16`."""
    call = call_of(specs, attrs)
    if call.algorithm in ("depthwise", "grouped"):
        return depthwise.bfloat16(call.columns if call.algorithm == "depthwise" else 1, attrs)
    if call.algorithm == "amx":
        return []
    x = [("x",)] if call.depth % 2 == 0 else []
    if call.algorithm.startswith("winograd"):
        return [*x, ("residual", "y")] if attrs.epilogue.activation in SHORT else x
    if call.algorithm == "shallow":
        return [] if "residual" in specs else [("y",)]
    return x if call.is_product else [*x, ("residual", "y")]


def pitched(specs, attrs):
    """Tell whether the kernel that is chosen can write the pixels of y apart; a residual would have to lie as y does."""
    return "residual" not in specs and call_of(specs, attrs).algorithm not in ("depthwise", "grouped")


# y = activation(z), with
#
#   z[n,i,j,o] = residual[n,i,j,o] + bias[o] + sum over h,w,c of x[n, i s + h d - p, j s + w d - q, c] kernel[h,w,c,o]
#
# so
#
#   dz      = dy * activation'(z), which is dresidual too
#   dbias   = sum over n,i,j of dz
#   dkernel = sum over n,i,j of x[n, i s + h d - p, ...] dz[n,i,j,o]          an outer product per pixel and tap
#   dx[a]   = sum over h with i s + h d - p = a of dz[i] kernel[h]^T
#
# For the last, a = f + s b splits the rows (and columns) into s phases; phase f takes the taps with f + p - h d
# divisible by s, each at i = b + (f + p - h d) / s: a convolution of dz with stride 1 and swapped channels.
def plan_backward(specs, attrs, needs):
    call = call_of(specs, attrs)
    if call.algorithm == "depthwise":
        x, kernel = specs["x"].shape, specs["kernel"].shape
        return depthwise.plan_gradients(x, kernel, call.columns, specs["y"], attrs, needs)
    if call.algorithm == "grouped":
        x, kernel = specs["x"].shape, specs["kernel"].shape
        return depthwise.plan_gradients(x, kernel, 1, specs["y"], attrs, needs, call.depth)
    # Where dz is dy, the plain sweep over dy for the kernel's gradient sums the bias's too.
    fused = {"kernel", "bias"} <= needs and not attrs.epilogue.activation and len(call.geometry.size) < 3
    fused = fused and not amx.gives_kernel(call) and not _has_winograd_gradient(call)
    dz, epilogue, workspace, alias = plan_epilogue_backward(
        specs["y"], attrs.epilogue, needs - {"bias"} if fused else needs
    )
    plans, data = [], Plan()
    if "kernel" in needs:
        kernel, more = backward_kernel(call, "x", dz, "dkernel", "dbias" if fused else None)
        plans.append(kernel)
        workspace |= more
    if "x" in needs:
        data = backward_data(call, dz, "dx")
        plans.append(data.phases)
    phases = after_epilogue(dz, epilogue, *plans)
    return data._replace(phases=phases, workspace={**workspace, **data.workspace}, alias=alias)


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue(), **finish):
    """Return the plan of the buffer `y` from `x`.

    `finish`: what the steps of `block.ALGORITHMS` take beside, scale, shift and pool.
    """
    if call.algorithm == "amx":
        return amx.forward(call, x, y, bias, residual, epilogue)
    if call.algorithm.startswith("winograd"):
        return winograd.forward(call, x, y, bias, residual, epilogue, **finish)
    geometry, attrs, depth, columns = call.geometry, call.attrs, call.depth, call.columns
    taps, length = prod(geometry.kernel), depth
    if shallow := call.algorithm == "shallow":
        *outer, row = geometry.kernel
        pairs = multiplies_row(row * depth)
        taps, length = (prod(outer), row * depth) if pairs else (1, taps * depth)
    else:
        pairs = multiplies_pairs(depth, call.stored)
    rounds = pairs and not shallow and not call.stored
    x, phases, workspace = rounded(x, call.images * prod(geometry.size) * call.channels, rounds)
    pack = gemm.pack(
        "kernel",
        "packed",
        range(taps),
        groups=attrs.groups,
        depth=length,
        columns=columns,
        b_group=columns,
        b_tap=length * call.outputs,
        b_k=call.outputs,
        b_n=1,
        pairs=pairs,
    )
    arguments = {
        "images": call.images,
        "x_size": geometry.size,
        "out_size": geometry.out,
        "columns": columns,
        "epilogue": epilogue,
    }
    if call.is_product:
        step = gemm.product(
            x,
            "packed",
            bias,
            residual,
            y,
            rows=call.images,
            depth=depth,
            columns=columns,
            a_row=depth,
            y_row=epilogue.pitch or columns,
            epilogue=epilogue,
            pairs=pairs,
        )
    elif shallow:
        step = conv_shallow.convolve(
            x, "packed", bias, residual, y, channels=depth, pairs=pairs, **_window(call), **arguments, **finish
        )
    else:
        step = conv.convolve(
            x,
            "packed",
            bias,
            residual,
            y,
            x_channels=call.channels,
            steps=attrs.strides,
            reads=common.reads(geometry, attrs),
            y_strides=common.pixel_strides(geometry.out, epilogue.pitch or call.outputs),
            groups=attrs.groups,
            depth=depth,
            pairs=pairs,
            **arguments,
        )
    packed = {"packed": gemm.packed_bytes(attrs.groups, taps, length, columns, pairs)}
    return Plan(phases=(*phases, (step,)), workspace=workspace, packed=packed, prologue=((pack,),))


def _has_winograd_gradient(call):
    return call.kernel_algorithm.startswith("winograd") and suits_kernel_gradient(call.images, call.geometry)


def backward_kernel(call, x, dy, dkernel, dbias=None):
    """Return (phases, workspace) of the buffer `dkernel`, and of `dbias` unless it is None."""
    if amx.gives_kernel(call):
        return amx.backward_kernel(call, x, dy, dkernel)
    arguments = {
        "images": call.images,
        "x_size": call.geometry.size,
        "out_size": call.geometry.out,
        "columns": call.columns,
        **_window(call),
    }
    if call.kernel_algorithm == "shallow":
        return conv_shallow.backward_kernel(x, dy, dkernel, dbias, channels=call.depth, **arguments)
    plain = conv_backward.backward_kernel(
        x, dy, dkernel, dbias, groups=call.attrs.groups, depth=call.depth, **arguments
    )
    if _has_winograd_gradient(call):
        return winograd.backward_kernel(call, x, dy, dkernel, plain)
    return plain


def backward_data(call, dy, dx, bias=None, epilogue=Epilogue()):
    """Return the plan of the buffer `dx` from `dy`."""
    if call.algorithm == "amx":
        return amx.backward_data(call, dy, dx, bias, epilogue)
    if call.algorithm.startswith("winograd"):
        return winograd.backward_data(call, dy, dx, bias, epilogue)
    groups, depth, columns = call.attrs.groups, call.depth, call.columns
    steps, packs, packed = [], [], {}
    pairs = multiplies_pairs(columns)
    dy, phases, workspace = rounded(dy, call.images * prod(call.geometry.out) * call.outputs, pairs)

    def step(walk, name):
        return conv.convolve(
            dy,
            name,
            bias,
            None,
            dx,
            x_channels=call.outputs,
            reads=walk.reads,
            groups=groups,
            depth=columns,
            columns=depth,
            epilogue=epilogue,
            pairs=pairs,
            **walk.grid,
        )

    base, walks = common.backward_data_walks(call.geometry, call.attrs, call.images, call.channels)
    for number, walk in enumerate(walks):
        name = f"packed{number}"
        packed[name] = gemm.packed_bytes(groups, len(walk.taps), columns, depth, pairs)
        packs.append(
            gemm.pack(
                "kernel",
                name,
                walk.taps,
                groups=groups,
                depth=columns,
                columns=depth,
                b_group=columns,
                b_tap=depth * call.outputs,
                b_k=1,
                b_n=call.outputs,
                pairs=pairs,
            )
        )
        steps.append(step(walk, name))
    phases = (*phases, *([(step(base, None),)] if base else []), *([tuple(steps)] if steps else []))
    prologue = (tuple(packs),) if packs else ()
    return Plan(phases=phases, workspace=workspace, packed=packed, prologue=prologue)
