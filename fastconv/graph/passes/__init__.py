"""Passes: functions from Graph to Graph, one file each, in the order in which `optimize` applies them."""

from .dead import remove_dead_nodes


def optimize(graph):
    """Apply every pass."""
    return remove_dead_nodes(graph)
