"""A graph made ready to run: plans, one arena of memory, a flat list of bound C steps.

graph -> passes -> plans -> MemoryPlan -> Arena (memory + bound steps), checked out by one call at a time
"""

import os
import threading

import numpy as np

from .. import config
from .._kernels import runtime
from ..autograd.eager import lower, run_reference, stand_in
from ..errors import ArgumentError, ShapeError
from .memory import MemoryPlan
from .passes import optimize

MAX_ARENAS = 4  # idle ones kept for concurrent callers

# Programs that update variables run one at a time: two of them, for two batch sizes say, may share their variables.
_writing = threading.Lock()


def _after_fork():
    global _writing
    _writing = threading.Lock()  # the thread that held it does not exist in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Program:
    """A compiled graph. Immutable; safe to run from several Python threads.

    Parameters
    ----------
    graph : Graph

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import ops
    >>> from fastconv.graph import Program, trace
    >>> from fastconv.op import Spec
    >>> program = Program(trace(lambda x: {"y": ops.relu(x)}, {"x": Spec((2,))}))
    >>> program.run(x=np.array([-1, 2]))["y"]
    array([0., 2.], dtype=float32)
    """

    def __init__(self, graph):
        self.graph = optimize(graph)
        self.plans = [lower(node.op, node.specs, node.attrs, node.needs) for node in self.graph.nodes]
        updated = {id(tensor.version_cell()) for tensor, _ in self.graph.updates}
        self.hoisted = {
            position
            for position, (node, plan) in enumerate(zip(self.graph.nodes, self.plans, strict=True))
            if plan is not None and plan.prologue and _reads_only_constants(node, plan, updated)
        }
        self.memory = MemoryPlan(self.graph, self.plans, self.hoisted)
        self.packed_from = [
            value.tensor
            for position in sorted(self.hoisted)
            for name, value in self.graph.nodes[position].inputs.items()
            if name in self.plans[position].constants
        ]
        self._idle = []

    @property
    def nbytes(self):
        """Bytes of the arena that one call uses, weights not counted."""
        return self.memory.nbytes

    def run(self, **arrays):
        """Run the program.

        Parameters
        ----------
        **arrays : array_like
            One per input of the graph; cast to its dtype.

        Returns
        -------
        dict of str -> ndarray
            Fresh arrays; variables have been updated in place.

        Raises
        ------
        ArgumentError, ShapeError
            When an input is missing or has another shape than the graph was traced with.
        """
        # One pop and one append, each whole under the GIL: no lock that a fork could leave taken.
        try:
            arena = self._idle.pop()
        except IndexError:
            arena = Arena(self)
        try:
            return self.run_in(arena, arrays)
        finally:
            if len(self._idle) < MAX_ARENAS:
                self._idle.append(arena)

    def run_in(self, arena, arrays):
        """Run the program in an arena that nobody else uses."""
        if arrays.keys() != self.graph.inputs.keys():
            raise ArgumentError(f"this program takes {sorted(self.graph.inputs)}, got {sorted(arrays)}")
        if not self.graph.updates:
            return arena.run(arrays)
        with _writing:
            try:
                return arena.run(arrays)
            finally:
                for tensor, _ in self.graph.updates:
                    tensor.touch()


class Arena:
    """The memory of one call, and the program's steps bound to it."""

    def __init__(self, program):
        self.program, graph = program, program.graph
        self.block = runtime.empty((program.memory.nbytes,), "uint8")
        self.base = self.block.__array_interface__["data"][0]
        self.inputs = {name: self._view(value) for name, value in graph.inputs.items()}
        self.outputs = {name: self._view(value) for name, value in graph.outputs.items()}
        self.strided = [(self._view(value), value.tensor) for value in program.memory.strided]
        self.copies = [(tensor, self._view(value)) for tensor, value in program.memory.copies]
        self.versions = None
        self.prologue = runtime.Segment(
            [
                (step, self._addresses(position), i == 0)
                for position in sorted(program.hoisted)
                for phase in program.plans[position].prologue
                for i, step in enumerate(phase)
            ]
        )
        self.segments = self._bind()

    def _range(self, buffer):
        return (self.base + buffer.offset if buffer.address is None else buffer.address), buffer.nbytes

    def _view(self, value):
        """Return the array that a value is in this arena, or in its variable."""
        buffer = self.program.memory.buffers[id(value)]
        if buffer.address is not None:
            return value.tensor.data if value.tensor is not None else _variable_view(buffer, value)
        start = buffer.offset
        return self.block[start : start + value.spec.nbytes].view(value.dtype).reshape(value.shape)

    def _addresses(self, position):
        """Return {operand name: (address, nbytes)} of everything that the steps of one node may name."""
        node, plan, buffers = (
            self.program.graph.nodes[position],
            self.program.plans[position],
            self.program.memory.buffers,
        )
        named = {name: buffers[id(value)] for name, value in (*node.inputs.items(), *node.outputs.items())}
        named |= {name: buffers[position, name] for name in (*plan.workspace, *plan.packed)}
        ranges = {name: self._range(buffer) for name, buffer in named.items()}
        for name, value in (*node.inputs.items(), *node.outputs.items()):
            if value.role == "variable":  # a view may start inside its buffer
                ranges[name] = value.tensor.data.__array_interface__["data"][0], value.spec.nbytes
        return ranges

    def phases(self):
        """Yield (position of a node, a phase of its C steps, their addresses); for a host step (position, None, callable)."""
        for position, plan in enumerate(self.program.plans):
            if plan is None:
                yield position, None, self._host(position)
                continue
            addresses = self._addresses(position)
            prologue = () if position in self.program.hoisted else plan.prologue
            for phase in (*prologue, *plan.phases):
                yield position, phase, addresses

    def _bind(self):
        """Return segments of C steps and, between them, callables for host steps."""
        segments, bound, open_ranges = [], [], Accesses()
        for _, phase, addresses in self.phases():
            if phase is None:
                segments += [runtime.Segment(bound)] if bound else []
                segments.append(addresses)
                bound, open_ranges = [], Accesses()
                continue
            barrier = open_ranges.conflict(phase, addresses)
            if barrier:
                open_ranges = Accesses()
            bound += [(step, addresses, barrier and i == 0) for i, step in enumerate(phase)]
            open_ranges.add(phase, addresses)
        return segments + ([runtime.Segment(bound)] if bound else [])

    def _host(self, position):
        """Return a callable that runs the reference of a node on this arena's memory."""
        node = self.program.graph.nodes[position]
        arrays = {name: self._view(value) for name, value in node.inputs.items()}
        outputs = {name: self._view(value) for name, value in node.outputs.items()}
        specs = {name: value.spec for name, value in node.outputs.items()}
        if node.needs is None:
            function, args = node.op.reference, (node.attrs,)
        else:
            function, args = node.op.reference_backward, (node.attrs, node.needs)
            arrays = {**{k: stand_in(s) for k, s in node.specs.items() if k not in arrays}, **arrays}

        def run():
            for name, result in run_reference(function, specs, arrays, *args).items():
                np.copyto(outputs[name], result)

        return run

    def run(self, arrays):
        """Copy inputs in, run all segments, copy outputs out."""
        for name, slot in self.inputs.items():
            array = np.asarray(arrays[name])
            if array.shape != slot.shape:
                raise ShapeError(f"input {name!r} has shape {array.shape}, this program takes {slot.shape}")
            np.copyto(slot, array, casting="unsafe")
        for slot, tensor in self.strided:
            np.copyto(slot, tensor.data)
        threads = config.get_num_threads()
        versions = [tensor.version for tensor in self.program.packed_from]
        if versions != self.versions:
            self.prologue.run(threads)
            self.versions = versions
        for segment in self.segments:
            if isinstance(segment, runtime.Segment):
                segment.run(1 if segment.cost < runtime.EAGER_SERIAL else threads)
            else:
                segment()
        results = {}
        for name, slot in self.outputs.items():
            results[name] = runtime.empty(slot.shape, self.program.graph.outputs[name].spec.dtype)
            np.copyto(results[name], slot)
        # All are read before any is written: one update may be another's old value.
        staged = [(tensor, view.copy()) for tensor, view in self.copies]
        for tensor, view in staged:
            np.copyto(tensor.data, view)
        return results


class Accesses:
    """The byte ranges that steps have read and written since the last barrier."""

    def __init__(self):
        self.reads, self.writes = [], []

    @staticmethod
    def _ranges(phase, addresses, written):
        for step in phase:
            for _, name, writes in step.operands:
                if writes == written:
                    start, nbytes = addresses[name]
                    yield start, start + nbytes

    def add(self, phase, addresses):
        """Remember what a phase touches."""
        self.reads += self._ranges(phase, addresses, False)
        self.writes += self._ranges(phase, addresses, True)

    def conflict(self, phase, addresses):
        """Tell whether a phase reads what was written, or writes what was read or written."""
        return any(map(self._hits_writes, self._ranges(phase, addresses, False))) or any(
            self._hits_writes(r) or _overlaps(r, self.reads) for r in self._ranges(phase, addresses, True)
        )

    def _hits_writes(self, r):
        return _overlaps(r, self.writes)


def _overlaps(r, ranges):
    return any(start < r[1] and r[0] < stop for start, stop in ranges)


def _variable_view(buffer, value):
    """Return an array over the memory of a variable that a pinned or aliased value lives in."""
    owner = next(array for array in buffer.keep if array.nbytes == buffer.nbytes)
    return owner.reshape(-1)[: value.spec.size].view(value.dtype).reshape(value.shape)


def _reads_only_constants(node, plan, updated):
    """Tell whether the packing of a node depends on nothing but variables that this program leaves alone."""
    return all(
        node.inputs[name].role == "variable" and id(node.inputs[name].tensor.version_cell()) not in updated
        for name in plan.constants
    )
