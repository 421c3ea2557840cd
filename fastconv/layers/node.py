"""Layer graphs: symbolic tensors that remember which layer made them.

    x = Input((28, 28, 1))       LayerTensor, made by the node of an InputLayer
    y = Conv2D(8, 3)(x)          LayerTensor, made by a Node of the Conv2D: its arguments hold x, its outputs y
    z = 1.0 - y                  LayerTensor, made by a Node of an Operation, a layer that `fastconv.ops` makes

A layer has one node for each time it was called on such tensors, so a shared layer has several.
"""

import numpy as np

from ..autograd import Symbol, Tensor
from ..op import Spec


class LayerTensor(Tensor):
    """A shape and a dtype, and the place in a graph of layers that it comes from.

    Operators and the functions of `fastconv.ops` on it give another.
    """

    __slots__ = ("producer", "index")

    def __init__(self, spec, producer, index, name=None):
        super().__init__(Symbol(spec), name=name)
        self.producer, self.index = producer, index

    @staticmethod
    def operate(function, args, kwargs):
        """Make a function of `fastconv.ops` that was called on such tensors part of their graph."""
        from .operation import Operation

        return Operation(function)(*args, **kwargs)

    def __repr__(self):
        return f"<LayerTensor shape={self.shape}, dtype={self.dtype}, made by layer {self.producer.layer.name!r}>"


class Node:
    """One call of a layer on symbolic tensors.

    Attributes
    ----------
    layer : Layer
    args, kwargs
        Of the call, with LayerTensors in them.
    outputs
        What the call returned, with a LayerTensor for each tensor: one, or a list, tuple or dict of them.
    """

    def __init__(self, layer, args, kwargs, results):
        self.layer, self.args, self.kwargs = layer, args, kwargs
        self.outputs_flat = []
        self.outputs = map_structure(self._wrap, results)
        self.inputs_flat = [t for t in flatten((args, kwargs)) if isinstance(t, LayerTensor)]

    def _wrap(self, result):
        tensor = LayerTensor(Spec(result.shape, result.dtype), self, len(self.outputs_flat), self.layer.name)
        self.outputs_flat.append(tensor)
        return tensor

    @property
    def inputs(self):
        """The first argument as the caller gave it; everything, if there are several."""
        return self.args[0] if len(self.args) == 1 and not self.kwargs_hold_tensors else self.inputs_flat

    @property
    def kwargs_hold_tensors(self):
        """Whether a keyword argument is, or contains, a tensor."""
        return any(isinstance(value, LayerTensor) for value in flatten(self.kwargs))


def flatten(value):
    """Return the leaves of nested lists, tuples and dicts, in order."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in flatten(item)]
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in flatten(item)]
    return [value]


def map_structure(fn, value):
    """Return `value` with `fn` applied to every leaf of its lists, tuples and dicts."""
    if isinstance(value, dict):
        return {key: map_structure(fn, item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_structure(fn, item) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(map_structure(fn, item) for item in value)
    return fn(value)


def shapes_of(value):
    """Return the shapes of the tensors in a structure; what is no tensor becomes None."""
    return map_structure(lambda leaf: tuple(leaf.shape) if isinstance(leaf, (Tensor, np.ndarray)) else None, value)


def is_shape(value):
    """Tell whether `value` is one shape, rather than a structure of shapes."""
    return isinstance(value, (list, tuple)) and all(n is None or isinstance(n, (int, np.integer)) for n in value)


def map_shapes(fn, shapes):
    """Return a structure of shapes with `fn` applied to each."""
    if is_shape(shapes):
        return fn(tuple(shapes))
    if isinstance(shapes, dict):
        return {key: map_shapes(fn, item) for key, item in shapes.items()}
    if isinstance(shapes, (list, tuple)):
        return type(shapes)(map_shapes(fn, item) for item in shapes)
    return shapes
