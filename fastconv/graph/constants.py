"""What a graph computes from constants alone is taken out of it: run once, and again after a variable's version moved.

    kernel, scale --scale_kernel--> folded --conv2d(x, .)--> y        hoist: the program reads `folded`, a constant
                    '- Derived -'

A variable that the graph does not update is a constant, and so is every result of constants. Results are arrays that never
change after they were made: a program takes new ones when a version moved, and programs of several shapes share them.
"""

import weakref
from dataclasses import replace

import numpy as np

from .. import config
from .._kernels import runtime
from ..autograd import Tensor
from ..autograd.eager import evaluate, lower, run_plan, spec_of, stand_in
from ..ops.transpose import TRANSPOSE
from .graph import Value

# (operation, attributes, sources, ...) -> Derived, as long as a program uses it. The sources live as long as it does, so
# their ids tell them apart.
_shared = weakref.WeakValueDictionary()


class Derived:
    """The results of a node over constants; without a node, the contiguous copy of one constant.

    Parameters
    ----------
    node : Node or None
    sources : dict of str -> Value
        Its constants by operand name; those may be derived themselves.

    Attributes
    ----------
    tensors : dict of str -> Tensor
        One for each result. They hold no values, but what is packed of them (`Tensor.packings`).
    cells : tuple of list
        The version cells of all variables behind it.
    """

    def __init__(self, node, sources):
        self.sources = {name: (value.tensor, value.derived) for name, value in sources.items()}
        if node is None:
            self.results = {"y": sources["x"].spec}
            self.call = None
        else:
            self.results = {name: value.spec for name, value in node.outputs.items()}
            plan = lower(node.op, node.specs, node.attrs, node.needs)
            self.call = node.op, node.attrs, node.needs, plan, node.specs
        self.tensors = {name: Tensor(stand_in(spec)) for name, spec in self.results.items()}
        cells = [cell for value in sources.values() for cell in version_cells(value)]
        self.cells = tuple({id(cell): cell for cell in cells}.values())
        self._made_of, self._made = None, {}  # version, {name: weak reference to an array}: programs own the arrays

    def roots(self):
        """Return the variables behind it."""
        return [
            root for tensor, derived in self.sources.values() for root in (derived.roots() if derived else [tensor])
        ]

    def array(self, tensor):
        """Return the values of now of one of `tensors`."""
        name = next(name for name, other in self.tensors.items() if other is tensor)
        version = tuple(cell[0] for cell in self.cells)
        kept = self._made[name]() if self._made_of == version else None
        return self._make(version)[name] if kept is None else kept

    def _make(self, version):
        sources = {name: values_of(tensor, derived) for name, (tensor, derived) in self.sources.items()}
        if self.call is None:
            made = {"y": contiguous(sources["x"])}
        else:
            op, attrs, needs, plan, specs = self.call
            made = evaluate(op, attrs, needs, plan, sources, specs, self.results)
            made = {name: np.ascontiguousarray(array) for name, array in made.items()}
        self._made = {name: weakref.ref(array) for name, array in made.items()}
        self._made_of = version
        return made


def contiguous(array):
    """Return a contiguous copy of an array: where its axes are only in another order, by the kernel that transposes."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    stored = array.transpose(order)
    if stored.flags.c_contiguous:
        if not stored.flags.aligned:  # somewhere in a file: as bytes first, which is fast
            stored = np.array(stored.reshape(-1).view(np.uint8)).view(array.dtype).reshape(stored.shape)
        attrs = TRANSPOSE.attrs(tuple(order.index(axis) for axis in range(array.ndim)))
        plan = lower(TRANSPOSE, {"x": spec_of(stored)}, attrs)
        if plan is not None:
            return run_plan(plan, {"x": stored}, {"y": spec_of(array)})["y"]
    return np.array(array, order="C")


def values_of(tensor, derived):
    """Return the array of a constant: of `tensor`, or of that result of `derived` that `tensor` stands for."""
    return tensor.data if derived is None else derived.array(tensor)


def version_cells(value):
    """Return the version cells of the variables behind a constant."""
    return (value.tensor.version_cell(),) if value.derived is None else value.derived.cells


def version(value):
    """Return what changes whenever a constant's values do."""
    if value.derived is None:
        return value.tensor.version
    return tuple(cell[0] for cell in value.derived.cells)


def _derive(node, sources, read=frozenset()):
    """Return the `Derived` of a node, shared with other programs that compute the same; `read` is of `Graph.read`."""
    if node is not None and lower(node.op, node.specs, node.attrs, node.needs) is None:
        node = node.without_unread(read)
    call = None if node is None else (node.op, node.attrs, node.needs, tuple(node.specs.items()), tuple(node.outputs))
    operands = tuple((name, id(value.tensor)) for name, value in sources.items())
    key = call, operands, runtime.table(), config.get_precision()
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = Derived(node, sources)
    return found


def hoist(graph):
    """Return the graph without the nodes that depend on constants alone; their results have the role "constant".

    So have the variables that the graph does not update. No bit changes.
    """
    updated, read = {id(tensor.version_cell()) for tensor, _ in graph.updates}, graph.read()
    constants = {}  # id(value) -> the constant in its place

    def constant(value):
        if id(value) not in constants and value.role in ("variable", "strided"):
            if id(value.tensor.version_cell()) not in updated:
                made = Value(value.spec, "constant", value.name, value.tensor)
                if value.role == "strided":
                    made.derived = _derive(None, {"x": made})
                    made.tensor = made.derived.tensors["y"]
                constants[id(value)] = made
        return constants.get(id(value), value)

    kept = []
    for node in graph.nodes:
        inputs = {name: constant(value) for name, value in node.inputs.items()}
        if all(value.role == "constant" for value in inputs.values()):
            derived = _derive(node, inputs, read)
            for name, value in node.outputs.items():
                if name in derived.tensors:
                    made = constants[id(value)] = Value(value.spec, "constant", value.name, derived.tensors[name])
                    made.derived = derived
        else:
            kept.append(node.with_inputs(inputs))
    outputs = {name: constant(value) for name, value in graph.outputs.items()}
    updates = [(tensor, constant(value)) for tensor, value in graph.updates]
    return replace(graph, nodes=kept, outputs=outputs, updates=updates)
