"""Where every value of a program lives: buffers, their lifetimes, and their places in one arena.

    values --aliases, in-place pairs, pinned updates--> buffers --lifetimes--> offsets

A *buffer* is memory that one or more values share: the variable's own, or a range of the arena.
"""

from dataclasses import dataclass, field

ALIGNMENT = 64


@dataclass(eq=False)
class Buffer:
    """Memory of `nbytes`, in use from position `first` to `last` of the node list."""

    nbytes: int
    first: int
    last: int
    address: int | None = None  # of a variable; None: in the arena
    offset: int | None = None  # in the arena
    keep: list = field(default_factory=list)  # what must stay alive as long as the program does


class MemoryPlan:
    """Assign a buffer to every value, workspace and packed constant of planned nodes.

    Parameters
    ----------
    graph : Graph
    plans : list of Plan or None
        One per node, None for host steps.
    hoisted : set of int
        Positions of the nodes whose packed constants outlive a run.

    Attributes
    ----------
    buffers : dict
        id(value), or (position, name) for workspace and packed constants -> Buffer.
    copies : list of (Tensor, Value)
        Updates that could not be pinned to their variable's memory: copied at the end.
    strided : list of Value
        To be copied into the arena before each run, from tensors that are not contiguous.
    nbytes : int
        Size of the arena.
    """

    def __init__(self, graph, plans, hoisted):
        self.graph, self.plans = graph, plans
        self.end = len(graph.nodes)
        self.buffers = {}
        self.variables = {}  # address -> Buffer
        self.strided = []  # values to be copied in before each run
        self._place_values()
        self._find_lifetimes()
        self.copies = self._pin_updates()
        self._share_in_place()
        self._place_workspaces(hoisted)
        self.nbytes = assign_offsets([b for b in self.buffers.values() if b.address is None])

    def _variable(self, value):
        array = value.tensor.data
        address = array.__array_interface__["data"][0]
        buffer = self.variables.get(address)
        if buffer is None or buffer.nbytes < array.nbytes:
            buffer = self.variables[address] = Buffer(array.nbytes, -1, self.end, address)
        buffer.keep.append(array)
        return buffer

    def _place(self, value, position):
        if id(value) not in self.buffers:
            if value.role == "variable":
                self.buffers[id(value)] = self._variable(value)
            else:
                self.buffers[id(value)] = Buffer(value.spec.nbytes, position, position)
                if value.role == "strided":
                    self.strided.append(value)
        return self.buffers[id(value)]

    def _place_values(self):
        for value in self.graph.inputs.values():
            self._place(value, -1)
        for position, (node, plan) in enumerate(zip(self.graph.nodes, self.plans, strict=True)):
            for value in node.inputs.values():
                self._place(value, -1)
            for name, value in node.outputs.items():
                if plan is not None and name in plan.alias:
                    self.buffers[id(value)] = self.buffers[id(node.inputs[plan.alias[name]])]
                else:
                    self._place(value, position)
        for value in (*self.graph.outputs.values(), *(value for _, value in self.graph.updates)):
            self._place(value, -1)

    def _find_lifetimes(self):
        for position, node in enumerate(self.graph.nodes):
            for value in (*node.inputs.values(), *node.outputs.values()):
                buffer = self.buffers[id(value)]
                buffer.last = max(buffer.last, position)
        for value in (*self.graph.outputs.values(), *(value for _, value in self.graph.updates)):
            self.buffers[id(value)].last = self.end

    def _merge(self, value, target):
        """Let every value in the buffer of `value` live in `target` instead."""
        source = self.buffers[id(value)]
        target.last = max(target.last, source.last)
        for key, buffer in self.buffers.items():
            if buffer is source:
                self.buffers[key] = target

    def _reads(self, buffer):
        """Return the positions at which a buffer is read; outputs and updates of the graph read at the end."""
        positions = [
            position
            for position, node in enumerate(self.graph.nodes)
            for value in node.inputs.values()
            if self.buffers[id(value)] is buffer
        ]
        late = (*self.graph.outputs.values(), *(value for _, value in self.graph.updates))
        return positions + [self.end for value in late if self.buffers[id(value)] is buffer]

    def _pin_updates(self):
        """Let a node write a variable's new value over the old one where nothing reads the old one later."""
        producers = {
            id(value): (position, name)
            for position, node in enumerate(self.graph.nodes)
            for name, value in node.outputs.items()
        }
        overlaps = overlapping(self.variables.values())
        copies = []
        for tensor, value in self.graph.updates:
            variable = self.variables.get(tensor.data.__array_interface__["data"][0])
            if value.role == "variable" and self.buffers[id(value)] is variable:
                continue  # assigned to itself
            position, name = producers.get(id(value), (None, None))
            plan = self.plans[position] if position is not None else None
            node = self.graph.nodes[position] if plan is not None else None
            old = node.inputs[plan.inplace[name]] if node is not None and name in plan.inplace else None
            if (
                old is not None
                and variable is not None
                and self.buffers[id(old)] is variable
                and variable not in overlaps
                and self.buffers[id(value)].address is None
                and sum(self.buffers[id(v)] is variable for v in node.inputs.values()) == 1
                and max(self._reads(variable), default=-1) <= position
            ):
                self._merge(value, variable)
            else:
                copies.append((tensor, value))
        return copies

    def _share_in_place(self):
        """Let an output take over the memory of an input that dies at the same node."""
        for position, (node, plan) in enumerate(zip(self.graph.nodes, self.plans, strict=True)):
            if plan is None:
                continue
            claimed = set()
            for output, source in plan.inplace.items():
                if output not in node.outputs or source not in node.inputs:
                    continue
                old, new = self.buffers[id(node.inputs[source])], self.buffers[id(node.outputs[output])]
                if (
                    old.address is None
                    and new.address is None
                    and old is not new
                    and old.last == position
                    and old.nbytes == new.nbytes
                    and id(old) not in claimed
                    and sum(self.buffers[id(v)] is old for v in node.inputs.values()) == 1
                ):
                    claimed.add(id(old))
                    self._merge(node.outputs[output], old)

    def _place_workspaces(self, hoisted):
        for position, plan in enumerate(self.plans):
            if plan is None:
                continue
            for name, nbytes in plan.workspace.items():
                self.buffers[position, name] = Buffer(nbytes, position, position)
            for name, nbytes in plan.packed.items():
                first, last = (-1, self.end) if position in hoisted else (position, position)
                self.buffers[position, name] = Buffer(nbytes, first, last)


def overlapping(buffers):
    """Return the variables whose memory another one shares in part."""
    shared, longest = set(), None
    for buffer in sorted(buffers, key=lambda b: b.address):
        if longest is not None and longest.address + longest.nbytes > buffer.address:
            shared |= {longest, buffer}
        if longest is None or buffer.address + buffer.nbytes > longest.address + longest.nbytes:
            longest = buffer
    return shared


def assign_offsets(buffers):
    """Give every buffer an offset so that no two that live at once overlap; returns the size of the arena.

    Largest first, each at the lowest offset that is free during its life.
    """
    placed = []
    for buffer in sorted(set(buffers), key=lambda b: (-b.nbytes, b.first, b.last)):
        size = -(-max(buffer.nbytes, 1) // ALIGNMENT) * ALIGNMENT
        offset = 0
        for start, stop, other in sorted(placed, key=lambda p: p[0]):
            if other.first <= buffer.last and buffer.first <= other.last:
                if offset + size <= start:
                    break
                offset = max(offset, stop)
        buffer.offset = offset
        placed.append((offset, offset + size, buffer))
    return max((stop for _, stop, _ in placed), default=0)
