"""Running operations on NumPy arrays at once.

float32 runs the operation's plan; float64, and operations without a plan (host steps), run the reference.

What a plan packs of one parameter is kept with the parameter until its version moves:

    conv2d(x, kernel): kernel.packings has this version and layout?   yes: phases
                                                                      no:  prologue, phases; keep what the prologue wrote

Programs (`fastconv/graph`) use the same store, by `packing`.
"""

from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from .. import config
from .._kernels import runtime
from ..op import ITEM_SIZE, REGISTRY, Plan, Spec

PLAN_CACHE = 4096
_NAMES = {np.dtype(name): name for name in ITEM_SIZE}  # numpy.dtype.name is slow


def spec_of(array):
    """Return the `Spec` of a NumPy array."""
    return Spec(array.shape, _NAMES[array.dtype])


@lru_cache(maxsize=PLAN_CACHE)
def _infer(op, specs, attrs):
    return op.results(dict(specs), attrs)


@lru_cache(maxsize=PLAN_CACHE)
def _plan(op, specs, attrs, needs, saving, table, precision):
    # Table and precision are no arguments of a plan, but every plan depends on them.
    if needs is not None:
        return op.plan_backward(dict(specs), attrs, needs)
    return (op.plan if saving else op.plan_inference)(dict(specs), attrs)


def _cached(function, op):
    """Return a function with its cache; without it for an operation that is not registered, made for one network, say."""
    return function if REGISTRY.get(op.name) is op else function.__wrapped__


def lower(op, specs, attrs, needs=None, saving=True):
    """Return the plan of one call, or None where the reference has to run (float64, nothing to compute, host steps).

    Parameters
    ----------
    op : Op
    specs : dict of Spec
        Forward: the inputs. Backward: inputs, outputs, saved and ``"d" + output``.
    attrs : NamedTuple
    needs : frozenset of str, optional
        The inputs whose gradients are wanted; None means forward.
    saving : bool
        False: an operation that has a plan for inference takes that, which makes nothing for the backward pass.
    """
    for name, spec in specs.items():
        if (spec.dtype == "float64" and name not in op.settings) or 0 in spec.shape:
            return None
    return _cached(_plan, op)(
        op,
        tuple(specs.items()),
        attrs,
        needs,
        saving or op.plan_inference is None,
        runtime.table(),
        config.get_precision(),
    )


def infer(op, specs, attrs):
    """Return the specs of outputs and saved, from a cache."""
    return _cached(_infer, op)(op, tuple(specs.items()), attrs)


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

    The parameter keeps it (`Tensor.packings`), and so does a program that runs with it; each takes about the memory of the
    weights. It is whole before it is kept and never changes after: threads share it without a lock.
    """

    version: int
    layout: tuple[tuple[Any, ...], ...]  # the steps that write it, whatever plan they belong to
    buffers: dict[str, np.ndarray]


MAX_LAYOUTS = 4  # kept of one parameter: eager calls, programs of several shapes and strides


@lru_cache(maxsize=PLAN_CACHE)
def _source(prologue):
    """Return the one input that is packed (None: none, or several and therefore small), and the layout."""
    reads = Plan(prologue=prologue).constants
    layout = tuple((step.function, step.arguments, step.operands) for phase in prologue for step in phase)
    return next(iter(reads)) if len(reads) == 1 else None, layout


def packed_layout(plan):
    """Return what tells apart what is packed of one parameter."""
    return _source(plan.prologue)[1]


def _blocks(sizes):
    return {name: runtime.empty((nbytes,), "uint8") for name, nbytes in sizes.items()}


def _find_packing(tensor, version, layout):
    """Return what a tensor keeps of a version and layout, or None, after what it keeps of other versions is dropped."""
    kept = tensor.packings
    for packing in kept:
        if packing.layout == layout and packing.version == version:
            return packing
    # What is stale goes back into the pool first, from which the new one comes.
    tensor.packings = tuple(packing for packing in kept if packing.version == version)
    return None


def _keep_packing(tensor, packing):
    # Read and write are not one: of two threads that do it at once one may lose its own, and packs again.
    others = [other for other in tensor.packings if other.version == packing.version and other.layout != packing.layout]
    tensor.packings = (packing, *others)[:MAX_LAYOUTS]


def _pack(plan, parameters):
    """Return (buffers of the packed constants, the phases that have yet to write them, who keeps them then)."""
    source, layout = _source(plan.prologue)
    if source not in parameters:
        return _blocks(plan.packed), plan.prologue, None
    parameter, version = parameters[source]
    packing = _find_packing(parameter, version, layout)
    if packing is not None:
        return packing.buffers, (), None
    packing = Packing(version, layout, _blocks(plan.packed))
    return packing.buffers, plan.prologue, lambda: _keep_packing(parameter, packing)


def packing(plan, constants, array_of):
    """Return {name: array} of what the prologue of a plan makes of constants.

    Parameters
    ----------
    plan : Plan
    constants : dict of str -> (Tensor, hashable)
        The inputs that the prologue reads, and their versions. A single one keeps what is made of it.
    array_of : callable
        Returns the values of a Tensor; only asked where they have to be packed.
    """
    source, layout = _source(plan.prologue)
    if source is not None:
        found = _find_packing(*constants[source], layout)
        if found is not None:
            return found.buffers
    made = Packing(constants[source][1] if source is not None else None, layout, _blocks(plan.packed))
    named = {operand[1] for phase in plan.prologue for step in phase for operand in step.operands}
    work = _blocks({name: nbytes for name, nbytes in plan.workspace.items() if name in named})
    arrays = {name: np.ascontiguousarray(array_of(tensor)) for name, (tensor, _) in constants.items()}
    runtime.execute(plan.prologue, _ranges({**arrays, **made.buffers, **work}))
    if source is not None:
        _keep_packing(constants[source][0], made)
    return made.buffers


def _ranges(arrays):
    """Return {name: (address, nbytes)} of arrays by name."""
    return {name: (array.__array_interface__["data"][0], array.nbytes) for name, array in arrays.items()}


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
    phases = (*prologue, *plan.phases)
    if phases:
        runtime.execute(phases, _ranges({**arrays, **made, **packed, **work}))
    if keep is not None:
        keep()
    return made


def evaluate(op, attrs, needs, plan, arrays, specs, results, parameters=MappingProxyType({})):
    """Run one call by its plan, or by the reference where there is none; returns arrays by name, as `results` lists them.

    `needs` None means forward. `specs` are those of every operand, kept or not. See `run_plan` for `parameters`.
    """
    if plan is not None:
        return run_plan(plan, arrays, results, parameters)
    if needs is None:
        return run_reference(op.reference, results, arrays, attrs)
    unread = {name: stand_in(spec) for name, spec in specs.items() if name not in arrays}
    return run_reference(op.reference_backward, results, {**unread, **arrays}, attrs, needs)


def forward(op, arrays, attrs, parameters=MappingProxyType({})):
    """Run `op` forward on arrays by operand name; returns outputs and saved by name. See `run_plan` for `parameters`."""
    specs = {name: spec_of(array) for name, array in arrays.items()}
    results = infer(op, specs, attrs)  # first: it raises the errors of the arguments
    plan = None if op.view else lower(op, specs, attrs)
    return evaluate(op, attrs, None, plan, arrays, specs, results, parameters)


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
    results, plan = backward_results(specs, needs), lower(op, specs, attrs, needs)
    return evaluate(op, attrs, needs, plan, arrays, specs, results)
