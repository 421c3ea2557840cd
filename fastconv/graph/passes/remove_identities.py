"""Nodes that change nothing, or what another node before them has changed already, are removed. The bits stay.

transpose(transpose(x))         one transpose, or none
transpose that moves axes of 1  reshape: the same bytes
reshape(reshape(x))             one reshape, or none
pad by nothing, x[:], sum of one, concatenation of one, pooling of single pixels, upsampling by 1
"""

from dataclasses import replace

from ...ops.getitem import Slice
from ...ops.reshape import RESHAPE
from ..graph import Node
from .rewrite import Rewriter

RESHAPES = ("reshape", "flatten")


def remove_identities(graph):
    """Return the graph without such nodes."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes():
        if node.op.name == "transpose":
            _transpose(rewriter, node)
        elif node.op.name in RESHAPES:
            _reshape(rewriter, node)
        elif _does_nothing(node):
            rewriter.substitute(node.outputs["y"], next(iter(node.inputs.values())))
    return rewriter.graph(graph)


def _does_nothing(node):
    name, attrs = node.op.name, node.attrs
    if name == "pad":
        return not any(map(any, attrs.padding))
    if name in ("add_n", "concatenate"):
        return len(node.inputs) == 1
    if name.startswith(("max_pool", "avg_pool")):
        single = all(n == 1 for n in (*attrs.pool_size, *attrs.strides))
        return single and len(node.inputs) == 1 and node.outputs["y"].spec == node.inputs["x"].spec
    if name in ("upsample", "cast"):
        return node.outputs["y"].spec == node.inputs["x"].spec
    if name == "getitem":
        return len(node.inputs) == 1 and node.outputs["y"].spec == node.inputs["x"].spec and _takes_all(attrs.form)
    return False


def _takes_all(form):
    return all(part is Ellipsis or (isinstance(part, Slice) and part.step in (None, 1)) for part in form)


def _transpose(rewriter, node):
    x, axes = node.inputs["x"], node.attrs.axes
    before = rewriter.maker(x, "transpose")
    if before is not None:
        x, axes = before.inputs["x"], tuple(before.attrs.axes[axis] for axis in axes)
    moved = [axis for axis in axes if x.spec.shape[axis] != 1]
    y = node.outputs["y"]
    if axes == tuple(range(len(axes))):
        rewriter.substitute(y, x)
    elif moved == sorted(moved):
        rewriter.put([_as_reshape(x, y)], [node])
    elif before is not None:
        attrs = node.attrs._replace(axes=axes)
        rewriter.put([replace(node, attrs=attrs, inputs={"x": x}, specs={"x": x.spec})], [node])


def _reshape(rewriter, node):
    x, y = node.inputs["x"], node.outputs["y"]
    before = rewriter.maker(x, *RESHAPES)
    if before is not None:
        x = before.inputs["x"]
    if x.spec == y.spec:
        rewriter.substitute(y, x)
    elif before is not None:
        rewriter.put([_as_reshape(x, y)], [node])


def _as_reshape(x, y):
    return Node(RESHAPE, RESHAPE.attrs(y.spec.shape), {"x": x}, {"y": y}, {"x": x.spec})
