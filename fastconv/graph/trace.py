"""Recording a graph: the executor under which operations append nodes instead of running.

The tape does not know the difference, so the traced backward pass is the eager one, recorded.
"""

import numpy as np

from ..autograd import Tensor, executor, using
from ..autograd.eager import backward_results, infer
from ..errors import UnsupportedOpError
from ..op import Spec
from .graph import Graph, Node, Value


class Tracer:
    """Executor that records. A variable is any tensor that holds an array; `assign` gives it a new value."""

    def __init__(self):
        self.nodes = []
        self.captured = {}  # place in memory -> (tensor, value it has now)
        self.updates = {}  # place in memory -> (tensor, value at the end)
        self.assigned = {}  # id of a version cell -> the place that was assigned
        self.constants = {}  # (spec, number) -> value
        self.names = {}
        self.label = None  # of the nodes that come

    def fresh(self, stem):
        """Return a name not used in this graph yet."""
        count = self.names[stem] = self.names.get(stem, -1) + 1
        return f"{stem}.{count}" if count else stem

    def place(self, tensor):
        """Return what tells variables apart: memory and layout, so that `detach()` is the same one.

        Raises
        ------
        UnsupportedOpError
            For a view of a variable that has been assigned as a whole: the view's new value is not known.
        """
        if not isinstance(tensor.data, np.ndarray):
            raise UnsupportedOpError(
                f"a tensor of shape {tensor.shape} made while a layer graph was built cannot be used in a program"
            )
        array = tensor.data
        place = array.__array_interface__["data"][0], array.shape, array.strides, array.dtype
        if self.assigned.get(id(tensor.version_cell()), place) != place:
            raise UnsupportedOpError(
                f"a view of shape {tensor.shape} of {tensor.name or 'a variable'} is used after the variable, or another "
                "view of it, was assigned in the same traced function; take the view of the new value instead"
            )
        return place

    def data(self, tensor):
        """Return the value that a tensor has at this point of the trace."""
        if isinstance(tensor.data, Value):
            return tensor.data
        place = self.place(tensor)
        if place not in self.captured:
            role = "variable" if tensor.data.flags.c_contiguous else "strided"
            spec = Spec(tensor.data.shape, tensor.data.dtype.name)
            self.captured[place] = tensor, Value(spec, role, self.fresh(tensor.name or "constant"), tensor)
        return self.captured[place][1]

    def record(self, op, attrs, inputs, results, specs, needs=None):
        """Append a node whose results have the specs in `results`; returns its values by name."""
        stem = op.name if needs is None else f"d{op.name}"
        outputs = {name: Value(spec, "temporary", self.fresh(stem)) for name, spec in results.items()}
        self.nodes.append(Node(op, attrs, inputs, outputs, specs, needs, self.label))
        return dict(outputs)

    def forward(self, op, operands, attrs):
        """Record `op` forward on Tensors by operand name."""
        inputs = {name: self.data(tensor) for name, tensor in operands.items()}
        specs = {name: value.spec for name, value in inputs.items()}
        return self.record(op, attrs, inputs, infer(op, specs, attrs), specs)

    def backward(self, op, operands, attrs, needs, specs):
        """Record the backward of `op` on values by operand name."""
        specs = {**specs, **{name: value.spec for name, value in operands.items()}}
        return self.record(op, attrs, dict(operands), backward_results(specs, needs), specs, needs)

    def assign(self, tensor, new):
        """Record that the program leaves the value of the tensor `new` in the memory of the variable `tensor`."""
        value, place = self.data(new), self.place(tensor)
        if value.spec != Spec(tensor.data.shape, tensor.data.dtype.name):
            raise UnsupportedOpError(
                f"{tensor.name or 'a variable'} of shape {tensor.shape}, {tensor.dtype} cannot be assigned {value!r}"
            )
        if not tensor.data.flags.writeable:
            raise UnsupportedOpError(
                f"{tensor.name or 'a variable'} of shape {tensor.shape} lies in read-only memory, and the program would write "
                "to it: make the tensor from a copy of the array"
            )
        self.captured[place] = self.updates[place] = tensor, value
        self.assigned[id(tensor.version_cell())] = place

    def full(self, spec, value):
        """Return the constant array of one number, as a value."""
        key = spec, value
        if key not in self.constants:
            self.constants[key] = self.data(Tensor(np.full(spec.shape, value, spec.dtype)))
        return self.constants[key]


class labelled:
    """Context manager: nodes that are recorded inside have this name. Does nothing where nothing is recorded."""

    __slots__ = ("_name", "_tracer", "_before")

    def __init__(self, name):
        self._name = name

    def __enter__(self):
        tracer = executor()
        self._tracer = tracer if isinstance(tracer, Tracer) else None
        if self._tracer is not None:
            self._before, tracer.label = tracer.label, self._name

    def __exit__(self, *error):
        if self._tracer is not None:
            self._tracer.label = self._before


def trace(fn, specs):
    """Run `fn` once on tensors that hold graph values, and return what it did as a `Graph`.

    Parameters
    ----------
    fn : callable
        Takes Tensors by name, returns {name: Tensor}. `tensor.assign(new)` inside becomes an update.
    specs : dict of str -> Spec
        The inputs; every dimension known.
    """
    tracer = Tracer()
    inputs = {name: Value(spec, "input", name) for name, spec in specs.items()}
    with using(tracer):
        results = fn(**{name: Tensor(value) for name, value in inputs.items()})
    outputs = {name: tracer.data(tensor) for name, tensor in results.items()}
    return Graph(inputs, tracer.nodes, outputs, list(tracer.updates.values()))
