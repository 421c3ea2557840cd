"""A graph made ready to run: plans, one arena of memory, a flat list of bound C steps.

graph -> passes -> hoisted constants -> plans -> MemoryPlan -> schedule -> Arena (memory + bound steps), checked out by one
call at a time
"""

from collections import deque

import numpy as np

from .. import config
from .._kernels import runtime
from ..autograd.eager import lower, packed_layout, packing, run_reference, stand_in
from ..autograd.tensor import epoch
from ..errors import ArgumentError, ShapeError
from .constants import hoist, values_of, version, version_cells
from .graph import Value
from .locks import LOCKS
from .memory import MemoryPlan
from .passes import optimize
from .report import report
from .schedule import Host, phases, schedule

MAX_ARENAS = 4  # idle ones kept for concurrent callers


class Program:
    """A compiled graph, in the precision mode in force when it is made. Immutable; safe to run from several Python threads.

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
        self._precision = config.get_precision()
        optimized = optimize(graph)
        self.graph = hoist(optimized)
        self._assumed = tuple(optimized.assumed.values())
        self._source = graph if self._assumed else None
        self._assumed_at = None  # the epoch at which they were last found to hold
        self._renewed = None  # the program in the place of this one, where they do not
        self.plans = [lower(node.op, node.specs, node.attrs, node.needs, node.saving) for node in self.graph.nodes]
        read = self.graph.read()
        self.graph.nodes = [
            node.without_unread(read) if plan is None else node
            for node, plan in zip(self.graph.nodes, self.plans, strict=True)
        ]
        self.hoisted = {
            position
            for position, (node, plan) in enumerate(zip(self.graph.nodes, self.plans, strict=True))
            if plan is not None and plan.prologue and all(node.inputs[n].role == "constant" for n in plan.constants)
        }
        self.memory = MemoryPlan(self.graph, self.plans, self.hoisted)
        self.schedule = schedule(self.phases())
        self._idle = deque(maxlen=MAX_ARENAS)
        self._fixed = ()  # slots of constants and what is packed: [(slot, array)]
        self._epoch = self._versions = None
        cells = [cell for value in self._constants() for cell in version_cells(value)]
        self._cells = list({id(cell): cell for cell in cells}.values())

    @property
    def nbytes(self):
        """Bytes of the arena that one call uses, weights not counted."""
        return self.memory.nbytes

    def memory_plan(self):
        """Return a `MemoryReport`: what the program takes, known before it runs; nothing is allocated for it."""
        packed = {}
        for position in self.hoisted:
            plan = self.plans[position]
            layout = tuple(id(value.tensor) for value in self._packed(position).values()), packed_layout(plan)
            packed |= {(layout, name): nbytes for name, nbytes in plan.packed.items()}
        return report(self.graph, self.memory, self._constants(), packed)

    def run(self, /, **arrays):
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
        return self.call(arrays)

    def call(self, arrays):
        """`run`, with the arrays in a dict."""
        return self.current()._run(arrays)

    def _run(self, arrays):
        # One pop and one append, each whole under the GIL: no lock that a fork could leave taken.
        try:
            arena = self._idle.pop()
        except IndexError:
            arena = Arena(self)
        try:
            return self.run_in(arena, arrays)
        finally:
            if arena.fixed is self._fixed:  # else it holds constants of before
                self._idle.append(arena)

    def current(self):
        """Return the program to run: another one after a number that a pass relied on was written to."""
        program = self._renewed or self
        if program._holds():
            return program
        with LOCKS.constants:
            program = self._renewed or self
            if not program._holds():
                with config.precision(self._precision):
                    program = self._renewed = Program(self._source)
        return program

    def _holds(self):
        """Tell whether the numbers that passes relied on are what they were."""
        now = epoch()
        if self._assumed and now != self._assumed_at:
            if any(tensor.version != version for tensor, version in self._assumed):
                return False
            self._assumed_at = now
        return True

    def run_in(self, arena, arrays):
        """Run the program in an arena that nobody else uses."""
        if arrays.keys() != self.graph.inputs.keys():
            raise ArgumentError(f"this program takes {sorted(self.graph.inputs)}, got {sorted(arrays)}")
        if not self.graph.updates:
            return arena.run(arrays, self.fixed())
        with LOCKS.writing:
            try:
                return arena.run(arrays, self.fixed())
            finally:
                for tensor, _ in self.graph.updates:
                    tensor.touch()

    def phases(self):
        """Yield every phase that runs each time, see `schedule.phases`."""
        return phases(self.graph, self.plans, self.hoisted, self.memory)

    # ---- constants

    def _packed(self, position):
        """Return {operand name: constant} of what a hoisted prologue reads."""
        return {name: self.graph.nodes[position].inputs[name] for name in self.plans[position].constants}

    def _constants(self):
        """Return every constant that is read: by steps, or packed."""
        read = [key for key in self.memory.slots if isinstance(key, Value)]
        return read + [value for position in sorted(self.hoisted) for value in self._packed(position).values()]

    def fixed(self):
        """Return [(slot, array)] of all constants and of what is packed of them: another list after a version moved."""
        now = epoch()
        if now != self._epoch:
            if [cell[0] for cell in self._cells] != self._versions:
                with LOCKS.constants:
                    versions = [cell[0] for cell in self._cells]
                    self._fixed = self._make_constants()
                    self._versions = versions
            self._epoch = now
        return self._fixed

    def _make_constants(self):
        made, packed = [], {}
        for slot, key in enumerate(self.memory.slots):
            if isinstance(key, Value):
                made.append((slot, np.ascontiguousarray(values_of(key.tensor, key.derived))))
            elif isinstance(key, tuple):
                position, name = key
                if position not in packed:
                    constants = self._packed(position)
                    derived = {id(value.tensor): value.derived for value in constants.values()}
                    packed[position] = packing(
                        self.plans[position],
                        {name: (value.tensor, version(value)) for name, value in constants.items()},
                        lambda tensor, derived=derived: values_of(tensor, derived[id(tensor)]),
                    )
                made.append((slot, packed[position][name]))
        return made


class Arena:
    """The memory of one call, and the program's steps bound to it."""

    def __init__(self, program):
        self.program, graph, memory = program, program.graph, program.memory
        self.block = runtime.empty((memory.nbytes,), "uint8")
        self.base = self.block.__array_interface__["data"][0]
        self.slots = [None] * len(memory.slots)  # arrays
        self.fixed = None
        self.inputs = [
            (name, memory.buffers[id(value)].slot, value, value.shape, _code(value.spec))
            for name, value in graph.inputs.items()
        ]
        self.direct = [(name, slot, *graph.outputs[name].spec) for name, slot in memory.direct.items()]
        self.copied = [(name, value) for name, value in graph.outputs.items() if name not in memory.direct]
        self._given = [slot for _, slot, *_ in (*self.inputs, *self.direct)]  # slots that hold a call's arrays
        self.segments = self._bind()
        self._relocated = [
            [segment for segment in self.segments if isinstance(segment, runtime.Segment) and segment.uses(slot)]
            for slot in range(len(memory.slots))
        ]

    # ---- memory

    def _put(self, slot, array, address=None):
        """Let a slot be the memory of a contiguous array."""
        self.slots[slot] = array
        if address is None:
            address = array.__array_interface__["data"][0]
        for segment in self._relocated[slot]:
            segment.relocate(slot, address)

    def _view(self, value):
        """Return the array that a value is now: in a variable, in a slot, or in this arena."""
        if value.role == "variable":
            return value.tensor.data
        memory = self.program.memory
        buffer = memory.buffers[id(value)]
        region, start, nbytes = memory.place(buffer)
        if region == "address":
            return _variable_view(buffer, value)
        if region == "arena":
            block = self.block
        elif nbytes == self.slots[region].nbytes:
            return self.slots[region].reshape(value.shape)
        else:
            block = self.slots[region].reshape(-1).view(np.uint8)
        return block[start : start + value.spec.nbytes].view(value.dtype).reshape(value.shape)

    def _addresses(self, places):
        """Return places as `runtime.Segment` takes them."""
        base = {"arena": self.base, "address": 0}
        return {
            name: (start, nbytes, region) if isinstance(region, int) else (base[region] + start, nbytes)
            for name, (region, start, nbytes) in places.items()
        }

    def segment(self, bound):
        """Return steps bound to this arena."""
        return runtime.Segment([(step, self._addresses(places), barrier) for step, places, barrier in bound])

    def _bind(self):
        """Return segments of C steps and, between them, callables for host steps."""
        return [
            self.host(item.position) if isinstance(item, Host) else self.segment(item.steps)
            for item in self.program.schedule
        ]

    def host(self, position):
        """Return a callable that runs the reference of a node on this arena's memory."""
        node = self.program.graph.nodes[position]
        specs = {name: value.spec for name, value in node.outputs.items()}
        unread = {}
        if node.needs is None:
            function, args = node.op.reference, (node.attrs,)
        else:
            function, args = node.op.reference_backward, (node.attrs, node.needs)
            unread = {name: stand_in(spec) for name, spec in node.specs.items() if name not in node.inputs}

        def run():
            arrays = {**unread, **{name: self._view(value) for name, value in node.inputs.items()}}
            for name, result in run_reference(function, specs, arrays, *args).items():
                np.copyto(self._view(node.outputs[name]), result)

        return run

    # ---- running

    def run(self, arrays, fixed):
        """Run all segments on inputs by name and constants by slot; returns the outputs, new arrays."""
        if fixed is not self.fixed:
            for slot, array in fixed:
                self._put(slot, array)
            self.fixed = fixed
        for name, slot, value, shape, code in self.inputs:
            array = arrays[name]
            address = runtime.address_of(array, shape, code) if type(array) is np.ndarray else 0
            if not address:
                array = _as_input(name, array, value)
                address = None
            self._put(slot, array, address)
        for value in self.program.memory.strided:
            np.copyto(self._view(value), value.tensor.data)
        results = dict.fromkeys(self.program.graph.outputs)
        for name, slot, shape, dtype in self.direct:
            results[name], address = runtime.empty_at(shape, dtype)
            self._put(slot, results[name], address)
        self.walk()
        self._finish(results)
        return results

    def walk(self):
        """Run all segments."""
        for segment in self.segments:
            if isinstance(segment, runtime.Segment):
                segment.run(1 if segment.cost < runtime.EAGER_SERIAL else config.get_num_threads())
            else:
                segment()

    def _finish(self, results):
        """Copy the other outputs, write updates that were not made in place, and let go of the caller's arrays."""
        for name, value in self.copied:
            results[name] = runtime.empty(*value.spec)
            np.copyto(results[name], self._view(value))
        if self.program.memory.copies:
            # All are read before any is written: one update may be another's old value.
            staged = [(tensor, self._view(value).copy()) for tensor, value in self.program.memory.copies]
            for tensor, array in staged:
                np.copyto(tensor.data, array)
        for slot in self._given:
            self.slots[slot] = None


def _code(spec):
    """Return what `memoryview.format` says of a dtype."""
    return memoryview(np.empty(0, spec.dtype)).format


def _as_input(name, array, value):
    """Return a contiguous array of an input's dtype: the caller's where it is one."""
    array = np.asarray(array)
    if array.shape != value.shape:
        raise ShapeError(f"input {name!r} has shape {array.shape}, this program takes {value.shape}")
    if array.dtype == value.dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    cast = runtime.empty(*value.spec)
    np.copyto(cast, array, casting="unsafe")
    return cast


def _variable_view(buffer, value):
    """Return an array over the memory of a variable that a pinned or aliased value lives in."""
    owner = next(array for array in buffer.keep if array.nbytes == buffer.nbytes)
    return owner.reshape(-1)[: value.spec.size].view(value.dtype).reshape(value.shape)
