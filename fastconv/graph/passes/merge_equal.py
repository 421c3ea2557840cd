"""Nodes that do the same to the same values are one: common subexpressions. The bits stay."""

from .rewrite import Rewriter


def merge_equal(graph):
    """Return the graph with every computation once. Operations have no state: equal operands give equal results."""
    rewriter, seen = Rewriter(graph), {}
    for node in rewriter.nodes():
        operands = tuple((name, id(value)) for name, value in node.inputs.items())
        key = node.op, node.attrs, node.needs, operands, tuple(node.specs.items()), tuple(node.outputs)
        first = seen.setdefault(key, node)
        if first is not node:
            for name, value in node.outputs.items():
                rewriter.substitute(value, first.outputs[name])
    return rewriter.graph(graph)
