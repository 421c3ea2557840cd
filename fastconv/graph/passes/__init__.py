"""Passes: functions from Graph to Graph, one file each, in the order in which `optimize` applies them.

Every pass leaves what a backward node reads as it is, and returns the graph itself where there is nothing to do.
"""

from .find_activations import find_activations
from .fold_norm import fold_norm
from .fuse_activation import fuse_activation
from .fuse_bias import fuse_bias
from .fuse_block import fuse_block
from .fuse_gradient_sum import fuse_gradient_sum
from .fuse_norm import fuse_norm
from .fuse_pad import fuse_pad
from .fuse_residual import fuse_residual
from .merge_equal import merge_equal
from .remove_dead_nodes import remove_dead_nodes
from .remove_identities import remove_identities
from .squeeze_excite import squeeze_excite
from .store_bfloat16 import store_bfloat16
from .unfold_blocks import unfold_blocks

PASSES = (
    remove_dead_nodes,
    remove_identities,
    merge_equal,
    find_activations,
    fuse_pad,
    unfold_blocks,
    fold_norm,
    fuse_bias,
    fuse_residual,
    fuse_activation,
    squeeze_excite,
    fuse_block,
    fuse_norm,
    fuse_gradient_sum,
    store_bfloat16,
)


def optimize(graph):
    """Apply every pass."""
    for apply_pass in PASSES:
        graph = apply_pass(graph)
    return graph


def explain(graph):
    """Yield (name of a pass, the graph after it) for each pass that changes something: both print.

    Examples
    --------
    >>> from fastconv import ops
    >>> from fastconv.graph import explain, trace
    >>> from fastconv.op import Spec
    >>> graph = trace(lambda x: {"y": ops.transpose(ops.transpose(x))}, {"x": Spec((2, 3))})
    >>> for name, after in explain(graph):
    ...     print(name, after, sep=": ")
    remove_identities: graph(%x:float32[2, 3])
      return y=%x:float32[2, 3]
    """
    for apply_pass in PASSES:
        before, graph = graph, apply_pass(graph)
        if graph is not before:
            yield apply_pass.__name__, graph
