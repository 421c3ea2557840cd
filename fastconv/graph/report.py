"""What memory a program takes, known before it runs and before any of it is allocated."""

from typing import NamedTuple


class Line(NamedTuple):
    """A buffer of the arena: its bytes, where it is, and from which node to which it is in use."""

    nbytes: int
    offset: int
    first: int
    last: int
    name: str  # of the first value in it, or the node and its workspace


class MemoryReport(NamedTuple):
    """The memory of a program, in bytes. Prints as a table.

    Attributes
    ----------
    arena : int
        What one call takes beside inputs and outputs; every concurrent call has an arena of its own.
    peak : int
        The most that intermediate values and workspaces need at one time: no arena can be smaller.
    inputs, outputs : int
        The caller's arrays.
    weights : int
        The variables that are read, as they are.
    derived : int
        Constants made of weights that are read as they are: folded biases, say.
    packed : int
        Weights as kernels read them, kept once for all programs and eager calls.
    nodes : tuple of str
        The program's nodes by position.
    buffers : tuple of Line
        All buffers of the arena, the largest first.
    """

    arena: int
    peak: int
    inputs: int
    outputs: int
    weights: int
    derived: int
    packed: int
    nodes: tuple[str, ...]
    buffers: tuple[Line, ...]

    def __str__(self):
        rows = [
            ("arena", self.arena, f"peak of what is alive at one time {_size(self.peak)}"),
            ("inputs", self.inputs, ""),
            ("outputs", self.outputs, ""),
            ("weights", self.weights, ""),
            ("derived", self.derived, "constants made of weights"),
            ("packed", self.packed, "weights as kernels read them"),
        ]
        lines = [f"{name:8}{_size(nbytes):>12}  {note}".rstrip() for name, nbytes, note in rows]
        shown = self.buffers[:10]
        if shown:
            lines += ["", f"{'buffer':32}{'bytes':>12}{'offset':>12}  in use"]
        for line in shown:
            lines.append(f"{line.name[:31]:32}{line.nbytes:12,}{line.offset:12,}  {self._span(line)}")
        if len(self.buffers) > len(shown):
            lines.append(f"... and {len(self.buffers) - len(shown)} more")
        return "\n".join(lines)

    def _span(self, line):
        last = f"{line.last} {self.nodes[line.last]}" if line.last < len(self.nodes) else "end"
        return f"{line.first} {self.nodes[line.first]} - {last}" if line.first >= 0 else f"start - {last}"


def _size(nbytes):
    return f"{nbytes / 2**20:,.2f} MiB" if nbytes >= 2**17 else f"{nbytes:,} B"


def report(graph, memory, constants, packed):
    """Return the `MemoryReport` of a memory plan.

    Parameters
    ----------
    graph : Graph
    memory : MemoryPlan
    constants : iterable of Value
        All that are read, packed ones included.
    packed : dict
        Packed buffers by what tells them apart -> bytes.
    """
    titles = tuple(node.title for node in graph.nodes)
    names = {}
    for key, buffer in memory.buffers.items():
        if isinstance(key, tuple):
            names.setdefault(id(buffer), f"{titles[key[0]]}: {key[1]}")
    for node in graph.nodes:
        for value in node.outputs.values():
            names.setdefault(id(memory.buffers[id(value)]), value.name)
    arena = {id(buffer): buffer for buffer in memory.buffers.values() if buffer.in_arena}
    lines = [Line(b.nbytes, b.offset, b.first, b.last, names.get(i, "copy of a variable")) for i, b in arena.items()]
    weights, derived = {}, {}
    for value in constants:
        for tensor in [value.tensor] if value.derived is None else value.derived.roots():
            weights[id(tensor)] = tensor.data.nbytes
        if value.derived is not None and id(value) in memory.buffers:
            derived[id(value.tensor)] = value.spec.nbytes
    for buffer in memory.variables.values():
        weights[buffer.address] = buffer.nbytes
    return MemoryReport(
        memory.nbytes,
        max(
            (sum(b.nbytes for b in arena.values() if b.first <= t <= b.last) for t in range(len(titles) + 1)), default=0
        ),
        sum(value.spec.nbytes for value in graph.inputs.values()),
        sum(value.spec.nbytes for value in graph.outputs.values()),
        sum(weights.values()),
        sum(derived.values()),
        sum(packed.values()),
        titles,
        tuple(sorted(lines, key=lambda line: (-line.nbytes, line.first))),
    )
