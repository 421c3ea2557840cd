"""Where the time of a program goes: every phase of every node timed by itself.

The times add up to a little more than a run takes: here every phase is a parallel region of its own.
"""

import time
from typing import NamedTuple

from .. import config
from .._kernels import runtime
from .program import Arena


class Row(NamedTuple):
    """A phase of a node, or a host step, and the least seconds that it took."""

    node: int  # its position in the program's graph
    operation: str  # "conv2d" or "conv2d.backward"
    steps: tuple[str, ...]  # names of the kernels' steps; empty for a host step
    seconds: float


class Stopwatch(Arena):
    """An arena whose phases are timed."""

    def _bind(self):
        self.times = []  # (position, names of steps, [seconds])
        return [self._timed(*phase) for phase in self.phases()]

    def _timed(self, position, phase, addresses):
        seconds = []
        names = () if phase is None else tuple(step.name for step in phase)
        self.times.append((position, names, seconds))
        segment = None if phase is None else runtime.Segment([(step, addresses, False) for step in phase])

        def run():
            begin = time.perf_counter()
            if segment is None:
                addresses()
            else:
                segment.run(1 if segment.cost < runtime.STEP_SERIAL else config.get_num_threads())
            seconds.append(time.perf_counter() - begin)

        return run


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
    watch = Stopwatch(program)
    for _ in range(rounds + 1):
        program.run_in(watch, arrays)
    return [
        Row(position, program.graph.nodes[position].title, names, min(seconds[1:]))
        for position, names, seconds in watch.times
    ]
