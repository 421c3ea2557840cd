"""The sum of two gradients of a value, as at a residual connection, is made where it is read first.

    dy = add_n(a, b)
    dx, ... = op.backward(..., dy)      dx, ... = op.backward(..., a, b)

Of the operations that can (`Op.takes_rest`), batch normalisation reads dy once, and leaves what it needs of it.
"""

from dataclasses import replace

from .rewrite import Rewriter


def fuse_gradient_sum(graph):
    """Return the graph with such sums fused."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes("add_n"):
        total, terms = node.outputs["y"], list(node.inputs.values())
        reader = rewriter.only_reader(total)
        if len(terms) == 2 and _adds(reader, total):
            inputs = {**reader.inputs, "dy": terms[0], "dy_rest": terms[1]}
            specs = {**reader.specs, "dy_rest": terms[1].spec}
            rewriter.put([replace(reader, inputs=inputs, specs=specs)], [node, reader])
    return rewriter.graph(graph)


def _adds(reader, total):
    return (
        reader is not None
        and reader.needs is not None
        and reader.inputs.get("dy") is total
        and "dy_rest" not in reader.inputs
        and reader.op.takes_rest(reader.attrs, reader.needs)
    )
