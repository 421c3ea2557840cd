"""How plans of parts become the plan of a whole."""

from itertools import chain, zip_longest

from ..op import Plan


def side_by_side(*plans):
    """Merge plans of which none reads what another writes: their first phases run together, then the second, and so on."""
    return _merged(plans, _together(plan.phases for plan in plans))


def in_turn(*plans):
    """Merge plans that may read what those before them write. Prologues read constants alone, and run together."""
    return _merged(plans, tuple(chain.from_iterable(plan.phases for plan in plans)))


def _together(sequences):
    return tuple(tuple(chain.from_iterable(phases)) for phases in zip_longest(*sequences, fillvalue=()))


def _merged(plans, phases):
    def union(field):
        return {name: value for plan in plans for name, value in getattr(plan, field).items()}

    return Plan(
        phases=phases,
        prologue=_together(plan.prologue for plan in plans),
        **{field: union(field) for field in ("workspace", "packed", "inplace", "alias", "parts")},
    )
