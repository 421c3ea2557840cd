"""In precision "medium", what flows from step to step is bfloat16 where its maker and all its readers can: half the bytes,
and no rounding before products of bfloat16.

    x -> conv -> y:float32 -> [round] conv -> z        x -> conv -> y:bfloat16 -> conv -> z

Sums, biases, residuals and activations inside a step stay float32; a result is rounded once, as it is stored. Inputs, outputs
and variables of the graph stay float32, and so does what a backward node or a host step reads. An operation tells by
`Op.bfloat16` which of its operands can, some of them only together.
"""

from dataclasses import replace

from ...ops._pairs import enabled
from ..graph import Value


def store_bfloat16(graph):
    """Return the graph with such values stored as bfloat16."""
    if not enabled():
        return graph
    together, made = _Sets(), {id(value): value for node in graph.nodes for value in node.outputs.values()}
    barred = {id(value) for value in (*graph.outputs.values(), *(value for _, value in graph.updates))}
    for node in graph.nodes:
        operands = {**node.inputs, **node.outputs}
        others = set(operands)
        for names in _able(node):
            together.join([id(operands[name]) for name in names if name in operands])
            others.difference_update(names)
        barred.update(id(operands[name]) for name in others)
        barred.update(
            id(value) for value in operands.values() if id(value) not in made or value.spec.dtype != "float32"
        )
    barred = {together.root(key) for key in barred}
    stored = {key: _narrow(value) for key, value in made.items() if together.root(key) not in barred}
    return replace(graph, nodes=[_with(node, stored) for node in graph.nodes]) if stored else graph


def _able(node):
    """Return the tuples of operands of a node that may be bfloat16."""
    if node.needs is not None or node.saving or node.op.bfloat16 is None:
        return ()
    return node.op.bfloat16(node.specs, node.attrs)


def _narrow(value):
    return Value(value.spec._replace(dtype="bfloat16"), value.role, value.name)


def _with(node, stored):
    """Return a node over the stored values; its specs hold the outputs among them."""
    inputs = {name: stored.get(id(value), value) for name, value in node.inputs.items()}
    outputs = {name: stored.get(id(value), value) for name, value in node.outputs.items()}
    narrow = {name: value.spec for name, value in {**inputs, **outputs}.items() if value.spec.dtype == "bfloat16"}
    return replace(node, inputs=inputs, outputs=outputs, specs={**node.specs, **narrow}) if narrow else node


class _Sets:
    """Disjoint sets of keys."""

    def __init__(self):
        self._parent = {}

    def root(self, key):
        """Return the key that stands for the set of `key`."""
        while (parent := self._parent.get(key, key)) != key:
            key = parent
        return key

    def join(self, keys):
        """Make one set of the sets of all these keys."""
        for key in keys[1:]:
            self._parent[self.root(key)] = self.root(keys[0])
