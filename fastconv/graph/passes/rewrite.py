"""How passes look at a graph and change it: who makes and reads a value, and nodes put in the place of others."""

from dataclasses import replace

from ..graph import Graph, Value
from .remove_dead_nodes import remove_dead_nodes


class Rewriter:
    """A copy of a graph that is being changed. Nodes are looked at in order, by `forward_nodes`.

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph):
        nodes = [replace(node) for node in graph.nodes]
        self.inputs, self.outputs, self.updates = graph.inputs, dict(graph.outputs), list(graph.updates)
        self.assumed = graph.assumed
        self._slots = [[node] for node in nodes]
        self._slot_of = {id(node): i for i, node in enumerate(nodes)}
        self._maker = {id(value): node for node in nodes for value in node.outputs.values()}
        self._readers = {}  # id(value) -> {id(node): node}, None for the graph itself
        for node in nodes:
            self._read(node)
        for value in (*self.outputs.values(), *(value for _, value in self.updates)):
            self._readers.setdefault(id(value), {})[id(None)] = None
        self._updated = {id(tensor.version_cell()) for tensor, _ in graph.updates}
        self._constant = {}
        self.changed = False

    def _read(self, node):
        for value in node.inputs.values():
            self._readers.setdefault(id(value), {})[id(node)] = node

    # ---- looking

    def nodes(self):
        """Yield the nodes in order, as far as they are still there."""
        for slot in self._slots:
            for node in list(slot):
                if id(node) in self._slot_of:
                    yield node

    def forward_nodes(self, *names):
        """Yield the forward nodes of operations of these names, or of all."""
        for node in self.nodes():
            if node.needs is None and (not names or node.op.name in names):
                yield node

    def maker(self, value, *names):
        """Return the forward node that makes a value if it is of one of these operations, else None."""
        node = self._maker.get(id(value))
        return node if node is not None and node.needs is None and (not names or node.op.name in names) else None

    def position(self, value):
        """Return a number that is the higher the later a value is made."""
        node = self._maker.get(id(value))
        return -1 if node is None else self._slot_of[id(node)]

    def only_reader(self, value):
        """Return the one node that reads a value, by one operand; None where there is none, or more, or the graph itself."""
        readers = list(self._readers.get(id(value), {}).values())
        if len(readers) != 1 or readers[0] is None:
            return None
        return readers[0] if self.read_only_by(value, readers[0]) else None

    def is_read(self, value):
        """Tell whether anything reads a value."""
        return bool(self._readers.get(id(value)))

    def read_only_by(self, value, node):
        """Tell whether nothing but one operand of `node` reads a value."""
        readers = self._readers.get(id(value), {})
        return set(readers) == {id(node)} and sum(v is value for v in node.inputs.values()) == 1

    def is_constant(self, value):
        """Tell whether no run of the program changes a value."""
        found = self._constant.get(id(value))
        if found is None:
            node = self._maker.get(id(value))
            if value.role in ("variable", "strided"):
                found = id(value.tensor.version_cell()) not in self._updated
            else:
                found = node is not None and all(self.is_constant(v) for v in node.inputs.values())
            self._constant[id(value)] = found
        return found

    def number(self, value):
        """Return the one number that a value is, or None. The graph holds as long as it is not written to."""
        if value.role != "variable" or value.spec.size != 1 or not self.is_constant(value):
            return None
        self.assumed = {**self.assumed, id(value.tensor): (value.tensor, value.tensor.version)}
        return value.tensor.data.item()

    # ---- changing

    def put(self, new, old):
        """Let `new` nodes, in order, stand where the last of the `old` ones stood, which are taken out.

        A new node may make a value that an old one made.
        """
        place = max(self._slot_of[id(node)] for node in old)
        for node in old:
            slot = self._slots[self._slot_of.pop(id(node))]
            slot[:] = [other for other in slot if other is not node]
            for value in node.inputs.values():
                self._readers[id(value)].pop(id(node), None)
        for node in new:
            self._slots[place].append(node)
            self._slot_of[id(node)] = place
            self._maker.update((id(value), node) for value in node.outputs.values())
            self._read(node)
        self.changed = True

    def substitute(self, old, new):
        """Let everything that reads the value `old` read `new` instead."""
        readers = self._readers.pop(id(old), {})
        for node in readers.values():
            if node is not None:
                node.inputs = {name: new if v is old else v for name, v in node.inputs.items()}
        self.outputs = {name: new if v is old else v for name, v in self.outputs.items()}
        self.updates = [(tensor, new if v is old else v) for tensor, v in self.updates]
        self._readers.setdefault(id(new), {}).update(readers)
        self.changed = True

    def graph(self, before):
        """Return the graph as it is now: `before`, the one that it began with, where nothing was changed."""
        if not self.changed:
            return before
        nodes = [node for slot in self._slots for node in slot]
        return remove_dead_nodes(Graph(self.inputs, nodes, self.outputs, self.updates, self.assumed))


def fused(node, last, attrs=None, **operands):
    """Return a node with other operands that makes what `last`, the node after it or itself, made."""
    inputs = {**node.inputs, **operands}
    ordered = {name: inputs[name] for name in (n.rstrip("?") for n in node.op.inputs) if name in inputs}
    specs = {name: value.spec for name, value in ordered.items()}
    return replace(
        node,
        attrs=attrs or node.attrs,
        inputs=ordered,
        outputs={**node.outputs, "y": last.outputs["y"]},
        specs=specs,
    )


def temporary(spec, name):
    """Return a new value."""
    return Value(spec, "temporary", name)
