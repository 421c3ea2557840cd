"""Where the time of a program goes: every phase of every node timed by itself.

The times add up to a little more than a run takes: here every phase is a parallel region of its own.
"""

import time
from typing import NamedTuple

from .. import config
from .._kernels import runtime
from .program import Arena
from .schedule import Bound


class Row(NamedTuple):
    """A phase of a node, or a host step, and the least seconds that it took."""

    node: int  # its position in the program's graph
    name: str | None  # what the network calls the node
    operation: str  # "conv2d" or "conv2d.backward"
    steps: tuple[str, ...]  # names of the kernels' steps; empty for a host step
    seconds: float


class Stopwatch(Arena):
    """An arena whose phases are timed."""

    def _bind(self):
        self.times = []  # (position, names of steps, [seconds])
        segments = []
        for position, phase, places in self.program.phases():
            self.times.append((position, () if phase is None else tuple(step.name for step in phase), []))
            bound = None if phase is None else [Bound(step, places, False) for step in phase]
            segments.append(self.host(position) if bound is None else self.segment(bound))
        return segments

    def walk(self):
        """Run all segments, each timed."""
        for segment, (_, _, seconds) in zip(self.segments, self.times, strict=True):
            begin = time.perf_counter()
            if isinstance(segment, runtime.Segment):
                segment.run(1 if segment.cost < runtime.STEP_SERIAL else config.get_num_threads())
            else:
                segment()
            seconds.append(time.perf_counter() - begin)


def profile(program, arrays, rounds=5):
    """Run a program `rounds` times, after one time that does not count, and time its parts.

    Parameters
    ----------
    program : Program
        Its updates are made, as by `Program.run`.
    arrays : dict of str -> array_like
        The inputs.
    rounds : int

    Returns
    -------
    list of Row
        In the order of the program.

    Examples
    --------
    >>> from fastconv import ops
    >>> from fastconv.graph import Program, trace
    >>> from fastconv.op import Spec
    >>> program = Program(trace(lambda x: {"y": ops.relu(x)}, {"x": Spec((2,))}))
    >>> [(row.operation, row.steps) for row in profile(program, {"x": [-1.0, 2.0]})]
    [('relu', ('relu',))]
    """
    program = program.current()
    watch = Stopwatch(program)
    for _ in range(rounds + 1):
        program.run_in(watch, arrays)
    nodes = program.graph.nodes
    return [
        Row(position, nodes[position].name, nodes[position].title, names, min(seconds[1:]))
        for position, names, seconds in watch.times
    ]
