"""A constant per channel that is added to a convolution or `dense` without a bias becomes its bias.

The bits stay, but for depthwise convolutions, whose sums begin with the bias.
"""

from itertools import permutations

from ...op import Spec
from .channels import LINEAR, SCALE_BIAS, NoAttrs, arithmetic_affine, constant_node
from .rewrite import Rewriter, fused


def fuse_bias(graph):
    """Return the graph with such additions fused."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes("add", "subtract", "add_n"):
        for x, constant in permutations(node.inputs.values()) if len(node.inputs) == 2 else ():
            linear = rewriter.maker(x, *LINEAR)
            if linear is not None and rewriter.is_constant(constant) and _takes_bias(rewriter, linear, node, x):
                affine = arithmetic_affine(node, x, constant)
                if affine is not None:
                    _fuse(rewriter, linear, node, affine)
                    break
    return rewriter.graph(graph)


def _takes_bias(rewriter, linear, node, x):
    return (
        rewriter.read_only_by(x, node)
        and not {"bias", "residual"} & linear.inputs.keys()
        and linear.attrs.epilogue.activation is None
    )


def _fuse(rewriter, linear, node, affine):
    dtype = linear.inputs["kernel"].spec.dtype
    spec, name = Spec(affine.shift.spec.shape, dtype), f"{node.outputs['y'].name}.bias"
    made, bias = constant_node(SCALE_BIAS, NoAttrs(), spec, name, shift=affine.shift)
    rewriter.put([*affine.nodes, made, fused(linear, node, bias=bias)], [linear, node])
