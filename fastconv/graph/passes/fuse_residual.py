"""The sum of a convolution's (or `dense`'s) result and another array of its shape is made in the convolution's last step.

    y = conv(x, kernel, bias)        y = conv(x, kernel, bias, residual)
    z = add_n(y, residual)

The convolution moves to where the sum stood. Its last step adds (product + residual) + bias: against (product + bias) +
residual that is one rounding of a sum of three in another place.
"""

from .rewrite import Rewriter, fused

SUMS = ("add_n", "add")


def fuse_residual(graph):
    """Return the graph with such sums fused."""
    rewriter = Rewriter(graph)
    # From the back: of two convolutions that are added the later one takes the sum.
    for node in reversed(list(rewriter.forward_nodes(*SUMS))):
        terms = list(node.inputs.values())
        if len(terms) != 2 or terms[0].spec != terms[1].spec:
            continue
        for y, other in sorted([terms, terms[::-1]], key=lambda pair: -rewriter.position(pair[0])):
            producer = rewriter.maker(y)
            if _takes_residual(rewriter, producer, node, y):
                rewriter.put([fused(producer, node, residual=other)], [producer, node])
                break
    return rewriter.graph(graph)


def _takes_residual(rewriter, producer, node, y):
    return (
        producer is not None
        and "residual?" in producer.op.inputs
        and hasattr(producer.attrs, "epilogue")
        and producer.attrs.epilogue.activation is None
        and "residual" not in producer.inputs
        and rewriter.read_only_by(y, node)
    )
