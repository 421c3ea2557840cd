"""Remove nodes whose results nobody reads: the softmax before a fused loss, say."""

from dataclasses import replace


def remove_dead_nodes(graph):
    """Return the graph without nodes that neither an output nor an update depends on."""
    wanted = {id(value) for value in graph.outputs.values()} | {id(value) for _, value in graph.updates}
    kept = []
    for node in reversed(graph.nodes):
        if any(id(value) in wanted for value in node.outputs.values()):
            kept.append(node)
            wanted.update(id(value) for value in node.inputs.values())
    return graph if len(kept) == len(graph.nodes) else replace(graph, nodes=kept[::-1])
