"""Where every value of a program lives: buffers, their lifetimes, and their places in one arena.

    values --aliases, in-place pairs, pinned updates--> buffers --lifetimes--> offsets

A *buffer* is memory that one or more values share: a range of the arena, the memory of a variable that the program updates,
or a *slot*: memory that is known when the program runs and may be another one each time. Constants and what is packed of
them, inputs and outputs have slots: nothing of them is copied.
"""

from dataclasses import dataclass, field, replace
from math import prod

from ..autograd.eager import lower
from ..op import STORED_SIZE
from .schedule import Place

ALIGNMENT = 64


@dataclass(eq=False)
class Buffer:
    """Memory of `nbytes`, in use from position `first` to `last` of the node list."""

    nbytes: int
    first: int
    last: int
    address: int | None = None  # of a variable
    slot: int | None = None
    within: tuple["Buffer", int] | None = None  # part of another buffer, from that byte on
    offset: int | None = None  # in the arena: where there is nothing of that
    keep: list = field(default_factory=list)  # what must stay alive as long as the program does

    @property
    def in_arena(self):
        """Whether it takes up a range of the arena."""
        return self.address is None and self.slot is None and self.within is None


class MemoryPlan:
    """Assign a buffer to every value, workspace and packed constant of planned nodes.

    Nodes that are found to write a part of a wider output get a plan that does.

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
        id(value), or (position, name) for workspace and packed constants -> Buffer. Constants that only a hoisted prologue
        reads have none.
    slots : list
        What the memory of each slot is: a constant `Value`, (position, name) of a packed constant, an input's or an output's
        name.
    direct : dict of str -> int
        The slots of outputs that are written where the caller gets them.
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
        self.slots = []
        self.variables = {}  # address -> Buffer
        self.strided = []  # values to be copied in before each run
        self._constants = {}  # id(tensor) -> Buffer
        self._place_values(hoisted)
        self._find_lifetimes()
        self.copies = self._pin_updates()
        self._share_in_place()
        self.written = {}  # position -> names of the inputs that are where the node would copy them to
        self._place_parts()
        self.direct = self._give_slots_to_outputs()
        self._place_workspaces(hoisted)
        self.nbytes = assign_offsets([b for b in self.buffers.values() if b.in_arena])

    def _variable(self, value):
        array = value.tensor.data
        address = array.__array_interface__["data"][0]
        buffer = self.variables.get(address)
        if buffer is None or buffer.nbytes < array.nbytes:
            buffer = self.variables[address] = Buffer(array.nbytes, -1, self.end, address)
        buffer.keep.append(array)
        return buffer

    def _slot(self, key, nbytes):
        """Return a new buffer with a slot of its own."""
        self.slots.append(key)
        return Buffer(nbytes, -1, self.end, slot=len(self.slots) - 1)

    def _constant(self, value):
        buffer = self._constants.get(id(value.tensor))
        if buffer is None:
            buffer = self._constants[id(value.tensor)] = self._slot(value, value.spec.nbytes)
        return buffer

    def _place(self, value, position):
        if id(value) not in self.buffers:
            if value.role == "variable":
                self.buffers[id(value)] = self._variable(value)
            elif value.role == "constant":
                self.buffers[id(value)] = self._constant(value)
            else:
                self.buffers[id(value)] = Buffer(value.spec.nbytes, position, position)
                if value.role == "strided":
                    self.strided.append(value)
        return self.buffers[id(value)]

    def _place_values(self, hoisted):
        for name, value in self.graph.inputs.items():
            self.buffers[id(value)] = self._slot(name, value.spec.nbytes)
        for position, (node, plan) in enumerate(zip(self.graph.nodes, self.plans, strict=True)):
            for name, value in node.inputs.items():
                if position not in hoisted or name not in only_packed(plan):
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
                if id(value) in self.buffers:
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
            if self.buffers.get(id(value)) is buffer
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
            old = node.inputs.get(plan.inplace[name]) if node is not None and name in plan.inplace else None
            if (
                old is not None
                and variable is not None
                and self.buffers.get(id(old)) is variable
                and variable not in overlaps
                and self.buffers[id(value)].in_arena
                and sum(self.buffers.get(id(v)) is variable for v in node.inputs.values()) == 1
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
                    old.in_arena
                    and new.in_arena
                    and old is not new
                    and old.last == position
                    and old.nbytes == new.nbytes
                    and id(old) not in claimed
                    and sum(self.buffers.get(id(v)) is old for v in node.inputs.values()) == 1
                ):
                    claimed.add(id(old))
                    self._merge(node.outputs[output], old)

    def _place_parts(self):
        """Let inputs be written where a node (a concatenation) would copy them to, if nothing reads them after it."""
        for position, (node, plan) in enumerate(zip(self.graph.nodes, self.plans, strict=True)):
            for name, (output, start, pitch) in plan.parts.items() if plan is not None else ():
                value, whole = node.inputs[name], self.buffers[id(node.outputs[output])]
                part = self.buffers[id(value)]
                if (
                    part.in_arena
                    and (whole.in_arena or whole.within)
                    and part is not whole
                    and part.nbytes == value.spec.nbytes
                    and part.last <= position
                    and sum(self.buffers[id(v)] is part for v in node.inputs.values()) == 1
                    and (not pitch or self._make_pitched(value, part, pitch))
                ):
                    part.within = whole, start
                    self.written.setdefault(position, set()).add(name)
                    while whole is not None:
                        whole.first = min(whole.first, part.first)
                        whole = whole.within and whole.within[0]

    def _make_pitched(self, value, part, pitch):
        """Let the node that makes a value write it in rows that lie apart, if it can and nobody else knows of its memory."""
        if sum(buffer is part for buffer in self.buffers.values()) > 1 or len(self._reads(part)) > 1:
            return False
        position = part.first
        node, plan = self.graph.nodes[position], self.plans[position]
        if plan is None or node.needs is not None or not node.op.pitched(node.specs, node.attrs):
            return False
        attrs = node.attrs._replace(epilogue=node.attrs.epilogue._replace(pitch=pitch))
        self.graph.nodes[position] = replace(node, attrs=attrs)
        self.plans[position] = lower(node.op, node.specs, attrs, saving=node.saving)
        *rows, channels = value.spec.shape
        part.nbytes = ((prod(rows) - 1) * pitch + channels) * STORED_SIZE[value.spec.dtype]
        return True

    def _give_slots_to_outputs(self):
        """Let results be written where the caller gets them; returns {output name: slot}."""
        direct = {}
        for name, value in self.graph.outputs.items():
            buffer = self.buffers[id(value)]
            if buffer.in_arena:  # not the second of two names for one value
                buffer.slot = direct[name] = len(self.slots)
                self.slots.append(name)
        return direct

    def _place_workspaces(self, hoisted):
        for position, plan in enumerate(self.plans):
            if plan is None:
                continue
            for name, nbytes in plan.workspace.items():
                self.buffers[position, name] = Buffer(nbytes, position, position)
            for name, nbytes in plan.packed.items():
                if position in hoisted:
                    self.buffers[position, name] = self._slot((position, name), nbytes)
                else:
                    self.buffers[position, name] = Buffer(nbytes, position, position)

    def place(self, buffer):
        """Return where a buffer is."""
        if buffer.within is not None:
            whole, start = buffer.within
            region, first, _ = self.place(whole)
            return Place(region, first + start, buffer.nbytes)
        if buffer.slot is not None:
            return Place(buffer.slot, 0, buffer.nbytes)
        if buffer.address is not None:
            return Place("address", buffer.address, buffer.nbytes)
        return Place("arena", buffer.offset, buffer.nbytes)

    def places(self, position, node, plan):
        """Return {operand name: Place} of everything that the steps of one node may name."""
        values = {**node.inputs, **node.outputs}
        named = {name: self.buffers[id(value)] for name, value in values.items() if id(value) in self.buffers}
        named |= {name: self.buffers[position, name] for name in (*plan.workspace, *plan.packed)}
        places = {name: self.place(buffer) for name, buffer in named.items()}
        for name, value in values.items():
            if value.role == "variable":  # a view may start inside its buffer
                address = value.tensor.data.__array_interface__["data"][0]
                places[name] = Place("address", address, value.spec.nbytes)
        return places


def only_packed(plan):
    """Return the names of the inputs that a plan's prologue reads and no phase of it does."""
    read = {operand[1] for phase in plan.phases for step in phase for operand in step.operands}
    return plan.constants - read - set(plan.alias.values())


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
