"""Passes: functions from Graph to Graph, one file each, in the order in which `optimize` applies them."""

from .dead import remove_dead_nodes
from .fuse_norm import fuse_norm

PASSES = (remove_dead_nodes, fuse_norm)


def optimize(graph):
    """Apply every pass."""
    for apply_pass in PASSES:
        graph = apply_pass(graph)
    return graph
