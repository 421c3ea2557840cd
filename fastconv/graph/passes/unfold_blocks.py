"""A convolution of images whose 2 x 2 blocks of pixels lie in the channels becomes one of the images themselves.

    z = concatenate(x[::2, ::2], x[1::2, ::2], x[::2, 1::2], x[1::2, 1::2])
    y = conv(z, kernel 3 x 3)                                                   y = conv(x, kernel 6 x 6, strides 2)

That is how some detectors begin ("Focus", space to depth). The blocks may be of any size, in any order; the slices of images
that are NHWC or NCHW, in one step or several; the kernel has to be a constant. Only where few channels are left, so that the
convolution runs as "shallow": it needs no slices in memory, and a kernel's row is one run of pixels again.

The bits change: the same products are added in another order.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from ...op import Op, Spec
from ...ops.conv2d.call import call_of
from ...ops.getitem import Slice
from ...ops.transpose import TRANSPOSE
from ...ops.transpose import Attrs as Axes
from ..graph import Node
from .channels import constant_node
from .rewrite import Rewriter, fused, temporary

NHWC = (0, 2, 3, 1)  # of an array that is NCHW


class Blocks(NamedTuple):
    """`size`: of a block, (rows, columns); `order`: which (row, column) of it each part of the channels holds."""

    size: tuple[int, int]
    order: tuple[tuple[int, int], ...]


def _unfold(arrays, attrs):
    kernel, (rows, columns) = arrays["kernel"], attrs.size
    height, width, depth, outputs = kernel.shape
    y = np.zeros((height * rows, width * columns, depth // len(attrs.order), outputs), kernel.dtype)
    for part, (row, column) in zip(np.split(kernel, len(attrs.order), axis=2), attrs.order, strict=True):
        y[row::rows, column::columns] = part
    return {"y": y}


UNFOLD = Op("unfold_kernel", ("kernel",), ("y",), None, _unfold, Blocks)


def unfold_blocks(graph):
    """Return the graph with such convolutions."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes("conv2d"):
        _rewrite(rewriter, node)
    return rewriter.graph(graph)


def _rewrite(rewriter, conv):
    z, attrs, kernel = conv.inputs["x"], conv.attrs, conv.inputs["kernel"]
    turned = rewriter.maker(z, "transpose")
    if turned is not None and turned.attrs.axes == NHWC and rewriter.read_only_by(z, conv):
        parts, axes = rewriter.maker(turned.inputs["x"], "concatenate"), (2, 3, 1)
    else:
        parts, axes = rewriter.maker(z, "concatenate"), (1, 2, 3)
    if parts is None or rewriter.only_reader(parts.outputs["y"]) is None or parts.attrs.axis != axes[2]:
        return
    if attrs.groups > 1 or {*attrs.dilation_rate} != {1} or isinstance(attrs.padding, str):
        return
    found = _blocks(rewriter, list(parts.inputs.values()), axes)
    if found is None or not rewriter.is_constant(kernel):
        return
    x, blocks = found
    attrs = attrs._replace(
        strides=tuple(step * n for step, n in zip(attrs.strides, blocks.size, strict=True)),
        padding=tuple((a * n, b * n) for (a, b), n in zip(attrs.padding, blocks.size, strict=True)),
    )
    shape = tuple(x.shape[axis] for axis in (0, *axes))
    height, width, _, outputs = kernel.shape
    spec = Spec((height * blocks.size[0], width * blocks.size[1], shape[-1], outputs), kernel.spec.dtype)
    if call_of({"x": Spec(shape), "kernel": spec}, attrs).algorithm != "shallow":
        return
    made, kernel = constant_node(UNFOLD, blocks, spec, f"{kernel.name}.unfolded", kernel=kernel)
    nodes = [made]
    if axes != (1, 2, 3):
        turned = Node(TRANSPOSE, Axes(NHWC), {"x": x}, {"y": temporary(Spec(shape), f"{x.name}.nhwc")}, {"x": x.spec})
        nodes, x = [made, turned], turned.outputs["y"]
    rewriter.put([*nodes, fused(conv, conv, attrs, x=x, kernel=kernel)], [conv])


def _blocks(rewriter, parts, axes):
    """Return (x, `Blocks`) if the parts are all the pixels of all blocks of one image x; else None."""
    found = [_slices(rewriter, part) for part in parts]
    x, strides = found[0][0], found[0][1]
    size = tuple(strides[axis][1] for axis in axes[:2])
    order = tuple(tuple(slices[axis][0] for axis in axes[:2]) for _, slices in found)
    whole = {0, 1, 2, 3} - {*axes[:2]}
    fits = (
        prod(size) > 1
        and len({*order}) == len(order) == prod(size)
        and all(0 <= row < size[0] and 0 <= column < size[1] for row, column in order)
        and all(source is x for source, _ in found)
        and all(slices[axis][1] == n for _, slices in found for axis, n in zip(axes[:2], size, strict=True))
        and all(part.shape[axis] * n == x.shape[axis] for part in parts for axis, n in zip(axes[:2], size, strict=True))
        and all(slices[axis] == (0, 1) for _, slices in found for axis in whole)
        and all(part.shape[axis] == x.shape[axis] for part in parts for axis in whole)
    )
    return (x, Blocks(size, order)) if fits else None


def _slices(rewriter, value):
    """Return (x, [(first, step) along each axis]): `value` is slices, or slices of slices, of x."""
    regions = [(0, 1)] * value.ndim
    while (node := rewriter.maker(value, "getitem")) is not None and _is_sliced(node):
        value = node.inputs["x"]
        inner = [
            slice(*part).indices(n) for part, n in zip(_spread(node.attrs.form, value.ndim), value.shape, strict=True)
        ]
        regions = [
            (start + first * step, step * by) for (start, _, step), (first, by) in zip(inner, regions, strict=True)
        ]
    return value, regions


def _is_sliced(node):
    return all(part is Ellipsis or isinstance(part, Slice) for part in node.attrs.form)


def _spread(form, rank):
    """Return a form with a slice for each axis."""
    if Ellipsis not in form:
        form = (*form, Ellipsis)
    at = form.index(Ellipsis)
    return (*form[:at], *[Slice()] * (rank - len(form) + 1), *form[at + 1 :])
