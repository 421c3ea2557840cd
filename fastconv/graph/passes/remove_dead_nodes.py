"""Remove nodes whose results nobody reads (the softmax before a fused loss, say), and what others save for no backward node."""

from dataclasses import replace


def remove_dead_nodes(graph):
    """Return the graph without nodes, and without saved results, that neither an output nor an update depends on."""
    wanted = {id(value) for value in graph.outputs.values()} | {id(value) for _, value in graph.updates}
    kept, dropped = [], False
    for node in reversed(graph.nodes):
        if any(id(value) in wanted for value in node.outputs.values()):
            if (
                node.saving
                and node.op.plan_inference
                and not any(id(node.outputs[name]) in wanted for name in node.op.saved)
            ):
                outputs = {name: value for name, value in node.outputs.items() if name not in node.op.saved}
                node, dropped = replace(node, outputs=outputs), True
            kept.append(node)
            wanted.update(id(value) for value in node.inputs.values())
    return graph if len(kept) == len(graph.nodes) and not dropped else replace(graph, nodes=kept[::-1])
