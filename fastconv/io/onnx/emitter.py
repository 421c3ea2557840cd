"""The ONNX graph as it is written: nodes, initializers, and tensors in a lazy order of axes.

fastconv computes with channels last, ONNX with channels first. A value is therefore kept as it was stored by the node that
made it, with the order of its axes; a Transpose is written only where a node needs another order, and once for all
nodes that need it. A transposition in the traced network writes nothing at all.
"""

import math
from typing import NamedTuple

import numpy as np

from . import proto
from .tensors import from_array

FAR = np.iinfo(np.int64).max  # the end of a slice that has none


class Stored(NamedTuple):
    """A value as the file has it: axis i of the tensor `name` is axis `order[i]` of the value."""

    name: str
    order: tuple[int, ...]


def channels_first_order(rank):
    """Return the order in which ONNX wants (N, ..., C)."""
    return (0, rank - 1, *range(1, rank - 1))


class Emitter:
    """The nodes and initializers of a graph.

    Parameters
    ----------
    opset : int
    shapes : dict of Value -> tuple
        For values of the traced graph: None for a dimension that depends on what the model leaves open.
    names : dict of int -> str
        Names of variables, by the id of the array that they hold.
    """

    def __init__(self, opset, shapes, names):
        self.opset, self.shapes, self.names = opset, shapes, names
        self.nodes, self.initializers = [], []
        self._values = {}  # traced value -> Stored
        self._copies = {}  # (name of a tensor, or a constant, permutation) -> name of its transpose
        self._constants = {}  # (dtype, shape, bytes) of small constants -> name
        self._taken = set()

    # ---- names

    def unique(self, stem):
        """Return a name that the file does not have yet."""
        name, count = stem, 1
        while not name or name in self._taken:
            name, count = f"{stem or 'value'}.{count}", count + 1
        self._taken.add(name)
        return name

    # ---- values of the traced graph

    def define(self, value, name, order=None):
        """Say where a value of the traced graph is."""
        self._values[value] = Stored(name, tuple(range(value.ndim)) if order is None else tuple(order))

    def order(self, value):
        """Return the order of axes in which a value is there, None for a constant, which is there in any."""
        return self._values[value].order if value in self._values else None

    def array(self, value):
        """Return the array of a constant, or None."""
        return None if value.tensor is None else value.tensor.data

    def shape(self, value):
        """Return the shape of a value, None for a dimension that depends on what the model leaves open."""
        return self.shapes.get(value, value.shape)

    def tensor(self, value, order=None):
        """Return the name of a value whose axes are in `order` (default: as in the traced graph)."""
        order = tuple(range(value.ndim)) if order is None else tuple(order)
        array = self.array(value)
        if array is not None:
            key = value, order
            if key not in self._copies:
                self._copies[key] = self.constant(array.transpose(order), self._variable(value))
            return self._copies[key]
        stored = self._values[value]
        if stored.order == order:
            return stored.name
        perm = tuple(stored.order.index(axis) for axis in order)
        key = stored.name, perm
        if key not in self._copies:
            self._copies[key] = self.node("Transpose", stored.name, perm=perm)
        return self._copies[key]

    def flat(self, value):
        """Return the name of a tensor with the elements of a value in its order, whatever the shape: for reshapes."""
        stored = self._values.get(value)
        if stored is not None:
            moved = [axis for axis in stored.order if self.shape(value)[axis] != 1]
            if moved == sorted(moved):
                return stored.name
        return self.tensor(value)

    def reshaped(self, value, order, shape, then=None):
        """Return the name of a value with its axes in `order`, under another `shape`, its axes in the order `then`."""
        array = self.array(value)
        if array is not None:
            array = array.transpose(order or range(array.ndim)).reshape(shape)
            return self.constant(array if then is None else array.transpose(then), self._variable(value))
        name = self.node("Reshape", self.tensor(value, order), self.integers(shape))
        return name if then is None else self.node("Transpose", name, perm=list(then))

    def _variable(self, value):
        return self.names.get(id(value.tensor), value.name)

    # ---- parts of the file

    def constant(self, array, stem="constant"):
        """Return the name of an initializer; one for equal small arrays."""
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes()) if array.size <= 8 and stem == "constant" else None
        if key in self._constants:
            return self._constants[key]
        name = self.unique(stem)
        self.initializers.append(from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        if key is not None:
            self._constants[key] = name
        return name

    def integers(self, values):
        """Return the name of a constant vector of int64."""
        return self.constant(np.array(values, "int64"))

    def node(self, op_type, *inputs, **attributes):
        """Append a node; returns the name of its output. An input or attribute None is left out."""
        output = self.unique(op_type.lower())
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        self.nodes.append(
            proto.Node(
                name=f"{op_type}_{len(self.nodes)}",
                op_type=op_type,
                input=["" if name is None else name for name in inputs],
                output=[output],
                attribute=[_attribute(name, value) for name, value in attributes.items() if value is not None],
            )
        )
        return output

    def rename(self, old, new):
        """Give a tensor that a node makes the name of an output of the graph."""
        for node in self.nodes:
            node.input = [new if name == old else name for name in node.input]
            node.output = [new if name == old else name for name in node.output]


def _attribute(name, value):
    if isinstance(value, (list, tuple)):
        return proto.Attribute(name=name, type=7, ints=list(value))
    if isinstance(value, str):
        return proto.Attribute(name=name, type=3, s=value.encode())
    if isinstance(value, float):
        return proto.Attribute(name=name, type=1, f=value)
    return proto.Attribute(name=name, type=2, i=value)


def same_order(emitter, values):
    """Return an order of axes for values of one rank that costs the least transposition."""
    votes = {}
    for value in values:
        order = emitter.order(value)
        if order is not None:
            votes[order] = votes.get(order, 0) + math.prod(n or 2 for n in emitter.shape(value))
    return max(votes, key=votes.get) if votes else tuple(range(values[0].ndim))


class Table(dict):
    """What writes each operation, by its name. Called with names, it is the decorator that puts a function there."""

    def __call__(self, *names):
        def put(function):
            self.update(dict.fromkeys(names, function))
            return function

        return put


def number(value, like):
    """Return an array of one number, in the type of a value."""
    return np.array(value, like.dtype)


def flat_pads(pairs):
    """Return pairs (before, after) as ONNX writes them: all that is before, then all that is after."""
    return [before for before, _ in pairs] + [after for _, after in pairs]
