"""What inference has after a convolution becomes part of its last step: a batch normalisation that comes after the activation,
and maximum pooling of 2 x 2 pixels with stride 2.

    z = relu(conv(x, kernel, bias))
    y = max_pool2d(batch_norm(z))            y = conv2d_block(x, kernel, bias, scale, shift)

Only where the convolution runs by an algorithm that can (`ops.conv2d.block`). The bits stay: a normalisation computes its scale
and its shift by the same kernel, and with them the same multiply-add.
"""

from dataclasses import replace

from ...ops.batch_norm import AFFINE
from ...ops.conv2d import block
from ...shapes import resolve_padding
from ..graph import Node
from .rewrite import Rewriter, fused, temporary

NORM = "batch_norm_inference"


def fuse_block(graph):
    """Return the graph with such steps fused."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes(NORM, "max_pool2d"):
        x = node.inputs["x"]
        linear = rewriter.maker(x, "conv2d", "conv2d_block")
        if linear is None or not rewriter.read_only_by(x, node) or not _fits(linear):
            continue
        if node.op.name == NORM:
            if linear.op is not block.OP and _is_constant(rewriter, node):
                _fuse_norm(rewriter, linear, node)
        elif not _pools(linear) and _is_of_pairs(rewriter, node):
            linear = _as_block(linear)
            rewriter.put([fused(linear, node, linear.attrs._replace(pool=True))], [rewriter.maker(x), node])
    return rewriter.graph(graph)


def _fits(linear):
    return linear.op is block.OP or block.fits(linear.specs, linear.attrs)


def _pools(linear):
    return linear.op is block.OP and linear.attrs.pool


def _as_block(linear):
    return linear if linear.op is block.OP else replace(linear, op=block.OP, attrs=block.Attrs(linear.attrs))


def _is_constant(rewriter, norm):
    return all(rewriter.is_constant(value) for name, value in norm.inputs.items() if name != "x")


def _is_of_pairs(rewriter, pool):
    """Tell whether maxima are of 2 x 2 pixels side by side, all inside, and nobody reads which of them won."""
    attrs, size = pool.attrs, pool.inputs["x"].shape[1:3]
    return (
        attrs.pool_size == attrs.strides == (2, 2)
        and not any(map(any, resolve_padding(attrs.padding, size, attrs.pool_size, attrs.strides)))
        and all(not rewriter.is_read(value) for name, value in pool.outputs.items() if name != "y")
    )


def _fuse_norm(rewriter, linear, norm):
    inputs = {name: value for name, value in norm.inputs.items() if name != "x"}
    specs = {name: value.spec for name, value in inputs.items()}
    vectors = {
        name: temporary(spec, f"{norm.outputs['y'].name}.{name}")
        for name, spec in AFFINE.infer(specs, norm.attrs).items()
    }
    affine = Node(AFFINE, norm.attrs, inputs, vectors, specs)
    rewriter.put([affine, fused(_as_block(linear), norm, **vectors)], [linear, norm])
