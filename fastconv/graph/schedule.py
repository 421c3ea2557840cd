"""In which order the steps of a program run, and where all threads have to wait.

    plans --phases--> steps, a barrier where a phase touches bytes that steps since the last barrier write --> Stretch
                                                                                  host steps in between --> Host

It depends on offsets, not on addresses: arenas of one program share it.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a buffer is: `start` is an offset in the arena or in the memory of a slot, else an address."""

    region: str | int  # "arena", "address", or the number of a slot
    start: int
    nbytes: int


class Bound(NamedTuple):
    """A step, where its buffers are, and whether all threads wait before it."""

    step: Any
    places: dict[str, Place]
    barrier: bool


@dataclass
class Stretch:
    """Steps of C that run in one parallel region."""

    steps: list[Bound] = field(default_factory=list)


@dataclass
class Host:
    """A node whose reference runs in NumPy."""

    position: int


def phases(graph, plans, hoisted, memory):
    """Yield (position of a node, a phase of its C steps, their places); for a host step (position, None, None)."""
    for position, (node, plan) in enumerate(zip(graph.nodes, plans, strict=True)):
        if plan is None:
            yield position, None, None
            continue
        places = memory.places(position, node, plan)
        written = memory.written.get(position, ())
        for phase in (*(() if position in hoisted else plan.prologue), *plan.phases):
            steps = tuple(step for step in phase if not _reads(step, written))
            if steps:
                yield position, steps, places


def _reads(step, names):
    return any(name in names and not writes for _, name, writes in step.operands)


def schedule(all_phases):
    """Return a list of `Stretch` and `Host` from what `phases` yields."""
    found, stretch, since = [], None, Accesses()
    for position, phase, places in all_phases:
        if phase is None:
            found.append(Host(position))
            stretch = None
            continue
        if stretch is None:
            stretch, since = Stretch(), Accesses()
            found.append(stretch)
        barrier = since.conflict(phase, places)
        if barrier:
            since = Accesses()
        stretch.steps += [Bound(step, places, barrier and i == 0) for i, step in enumerate(phase)]
        since.add(phase, places)
    return found


class Accesses:
    """What steps have read and written since the last barrier: ranges of bytes by region."""

    def __init__(self):
        self.reads, self.writes = {}, {}

    def add(self, phase, places):
        """Remember what a phase touches."""
        for place, writes in _operands(phase, places):
            ranges = (self.writes if writes else self.reads).setdefault(place.region, [])
            ranges.append((place.start, place.start + place.nbytes))

    def conflict(self, phase, places):
        """Tell whether a phase reads what was written, or writes what was read or written."""
        return any(
            _hits(place, self.writes) or (writes and _hits(place, self.reads))
            for place, writes in _operands(phase, places)
        )


def _operands(phase, places):
    return [(places[name], writes) for step in phase for _, name, writes in step.operands]


def _hits(place, ranges):
    stop = place.start + place.nbytes
    return any(first < stop and place.start < last for first, last in ranges.get(place.region, ()))
