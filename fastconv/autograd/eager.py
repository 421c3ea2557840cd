"""Running operations on NumPy arrays at once.

float32 runs the operation's plan; float64, and operations without a plan (host steps), run the reference.

What a plan packs of one parameter is kept with the parameter until its version moves:

    conv2d(x, kernel): kernel.packing is of this version and layout?   yes: phases
                                                                       no:  prologue, phases; keep what the prologue wrote
"""

from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from .. import config
from .._kernels import runtime
from ..op import ITEM_SIZE, Plan, Spec

PLAN_CACHE = 4096
_NAMES = {np.dtype(name): name for name in ITEM_SIZE}  # numpy.dtype.name is slow


def spec_of(array):
    """Return the `Spec` of a NumPy array."""
    return Spec(array.shape, _NAMES[array.dtype])


@lru_cache(maxsize=PLAN_CACHE)
def _infer(op, specs, attrs):
    return op.infer(dict(specs), attrs)


@lru_cache(maxsize=PLAN_CACHE)
def _plan(op, specs, attrs, needs, table, precision):
    # Table and precision are no arguments of a plan, but every plan depends on them.
    if needs is None:
        return op.plan(dict(specs), attrs)
    return op.plan_backward(dict(specs), attrs, needs)


def lower(op, specs, attrs, needs=None):
    """Return the plan of one call, or None where the reference has to run (float64, nothing to compute, host steps).

    Parameters
    ----------
    op : Op
    specs : dict of Spec
        Forward: the inputs. Backward: inputs, outputs, saved and ``"d" + output``.
    attrs : NamedTuple
    needs : frozenset of str, optional
        The inputs whose gradients are wanted; None means forward.
    """
    for name, spec in specs.items():
        if (spec.dtype == "float64" and name not in op.settings) or 0 in spec.shape:
            return None
    return _plan(op, tuple(specs.items()), attrs, needs, runtime.table(), config.get_precision())


def infer(op, specs, attrs):
    """Return the specs of outputs and saved, from a cache."""
    return _infer(op, tuple(specs.items()), attrs)


def stand_in(spec):
    """Return NaNs of a shape without their memory: what a backward sees of an operand that it does not keep."""
    value = np.nan if spec.dtype.startswith("float") else 0
    return np.broadcast_to(np.array(value, spec.dtype), spec.shape)


def backward_results(specs, needs):
    """Return the specs of ``"d" + input`` for each wanted input."""
    return {"d" + name: specs[name] for name in sorted(needs)}


def run_reference(function, results, arrays, *args):
    """Call a reference and cast what it returns to the specs in `results`."""
    with np.errstate(all="ignore"):  # log(0) is -inf here as in a kernel, without a word
        values = function(arrays, *args)
    return {name: np.asarray(values[name], spec.dtype).reshape(spec.shape) for name, spec in results.items()}


class Packing(NamedTuple):
    """A parameter as kernels read it.

    The parameter keeps one and is its only owner: they die together, and all of them take about the memory of the weights.
    It is whole before it is kept and never changes after: threads share it without a lock.
    """

    version: int
    layout: tuple[tuple[Any, ...], ...]  # the steps that write it, whatever plan they belong to
    buffers: dict[str, np.ndarray]


@lru_cache(maxsize=PLAN_CACHE)
def _source(prologue):
    """Return the one input that is packed (None: none, or several and therefore small), and the layout."""
    reads = Plan(prologue=prologue).constants
    layout = tuple((step.function, step.arguments, step.operands) for phase in prologue for step in phase)
    return next(iter(reads)) if len(reads) == 1 else None, layout


def _blocks(sizes):
    return {name: runtime.empty((nbytes,), "uint8") for name, nbytes in sizes.items()}


def _pack(plan, parameters):
    """Return (buffers of the packed constants, the phases that have yet to write them, who keeps them then)."""
    source, layout = _source(plan.prologue)
    if source not in parameters:
        return _blocks(plan.packed), plan.prologue, None
    parameter, version = parameters[source]
    kept = parameter.packing
    if kept is not None and kept.version == version and kept.layout == layout:
        return kept.buffers, (), None
    parameter.packing = kept = None  # back into the pool, from which the new one comes
    packing = Packing(version, layout, _blocks(plan.packed))
    return packing.buffers, plan.prologue, lambda: setattr(parameter, "packing", packing)


def run_plan(plan, arrays, results, parameters=MappingProxyType({})):
    """Run a plan on contiguous arrays now; returns new arrays by name, as `results` (specs) lists them.

    `parameters` are {name: (Tensor, its version before its array was taken)} of the operands that may keep what is packed
    of them, and of nothing else.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    made = {}
    for name, spec in results.items():
        if name in plan.alias:
            made[name] = arrays[plan.alias[name]].reshape(spec.shape)
        else:
            made[name] = runtime.empty(spec.shape, spec.dtype)
    packed, prologue, keep = _pack(plan, parameters)
    work = _blocks(plan.workspace)
    buffers = {
        name: (array.__array_interface__["data"][0], array.nbytes)
        for name, array in (*arrays.items(), *made.items(), *packed.items(), *work.items())
    }
    phases = (*prologue, *plan.phases)
    if phases:
        runtime.execute(phases, buffers)
    if keep is not None:
        keep()
    return made


def forward(op, arrays, attrs, parameters=MappingProxyType({})):
    """Run `op` forward on arrays by operand name; returns outputs and saved by name. See `run_plan` for `parameters`."""
    specs = {name: spec_of(array) for name, array in arrays.items()}
    results = infer(op, specs, attrs)
    plan = lower(op, specs, attrs)
    if plan is None:
        return run_reference(op.reference, results, arrays, attrs)
    return run_plan(plan, arrays, results, parameters)


def backward(op, arrays, attrs, needs, specs=None):
    """Run the backward of `op`; returns ``"d" + input`` for each name in `needs`.

    Parameters
    ----------
    arrays : dict of ndarray
        What `op.keeps` names, and ``"d" + output`` for each output.
    specs : dict of Spec, optional
        Of inputs, outputs and saved that are not among `arrays` (their shape may still matter).
    """
    specs = {**(specs or {}), **{name: spec_of(array) for name, array in arrays.items()}}
    results = backward_results(specs, needs)
    plan = lower(op, specs, attrs, needs)
    if plan is None:
        unread = {name: stand_in(spec) for name, spec in specs.items() if name not in arrays}
        return run_reference(op.reference_backward, results, {**unread, **arrays}, attrs, needs)
    return run_plan(plan, arrays, results)
