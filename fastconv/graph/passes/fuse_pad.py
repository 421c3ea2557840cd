"""Zeros around an image become the padding of what reads it: a convolution, or maximum pooling of what is not negative.

The bits stay, unless the convolution runs by another algorithm for it (`ops.conv2d_algorithm`). Pooling that averages
counts its own padding as nothing, and zeros as zeros: there the pad stays.
"""

from .channels import CONVOLUTIONS, DEPTHWISE
from .rewrite import Rewriter, fused

POOLS = ("max_pool1d", "max_pool2d", "max_pool3d")
NOT_NEGATIVE = ("relu", "relu6", "sigmoid")


def fuse_pad(graph):
    """Return the graph with such pads fused."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes(*CONVOLUTIONS, *DEPTHWISE, *POOLS):
        pad = rewriter.maker(node.inputs["x"], "pad")
        if pad is None or not rewriter.read_only_by(node.inputs["x"], node):
            continue
        if pad.attrs.mode != "constant" or pad.attrs.value != 0:
            continue
        first, *spatial, last = pad.attrs.padding
        if (
            any(first)
            or any(last)
            or any(n < 0 for pair in spatial for n in pair)
            or isinstance(node.attrs.padding, str)
        ):
            continue
        padding = tuple((a + c, b + d) for (a, b), (c, d) in zip(spatial, node.attrs.padding, strict=True))
        if node.op.name in POOLS and not _pool_takes(rewriter, node, pad, padding):
            continue
        attrs = node.attrs._replace(padding=padding)
        rewriter.put([fused(node, node, attrs, x=pad.inputs["x"])], [pad, node])
    return rewriter.graph(graph)


def _pool_takes(rewriter, pool, pad, padding):
    """Tell whether zeros may be left out of maxima: nothing is negative, and no window sees zeros alone."""
    return (
        rewriter.maker(pad.inputs["x"], *NOT_NEGATIVE) is not None
        and not any(map(any, pool.attrs.padding))
        and all(max(pair) < size for pair, size in zip(padding, pool.attrs.pool_size, strict=True))
    )
