"""An activation after a convolution or `dense` becomes part of its last step. The bits stay."""

from ...op import Epilogue
from ...ops._activations import TABLE
from .channels import LINEAR
from .rewrite import Rewriter, fused


def fuse_activation(graph):
    """Return the graph with such activations fused. One that a backward node reads beside stays what it reads."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes(*TABLE):
        x = node.inputs["x"]
        linear = rewriter.maker(x, *LINEAR)
        if linear is not None and linear.attrs.epilogue.activation is None and rewriter.read_only_by(x, node):
            attrs = linear.attrs._replace(epilogue=Epilogue(node.op.name, *node.attrs))
            rewriter.put([fused(linear, node, attrs)], [linear, node])
    return rewriter.graph(graph)
