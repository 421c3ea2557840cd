"""What a network takes and gives: name, shape and type of its inputs and outputs, in ONNX Runtime's words."""

from typing import NamedTuple

from ...autograd import SYMBOLIC, no_grad, symbol, using
from ...errors import FastconvError
from . import proto
from .operand import Operand
from .tensors import element_type

# Names of types where they are not NumPy's.
_TYPES = {"float32": "float", "float64": "double", "object": "string"}
# What open dimensions are, the first and the others, while shapes are looked for: networks may want multiples of 2.
_SAMPLES = ((2, 256), (3, 384))


class NodeArg(NamedTuple):
    """An input or output.

    Attributes
    ----------
    name : str
    shape : list of int, str or None
        A name or None stands for an open dimension. None instead of a list: the number of axes is not known.
    type : str
        As "tensor(float)". None for an output whose type the file does not say, and that depends on data.
    """

    name: str
    shape: list | None
    type: str | None


def input_of(value, sizes):
    """Return the `NodeArg` of a proto.ValueInfo; raises unless that has a type of arrays that NumPy holds.

    Parameters
    ----------
    value : proto.ValueInfo
    sizes : dict of str -> int
        For open dimensions, by name.
    """
    kind = _type_of(element_type(value))
    shape = value.type.tensor_type.shape
    return NodeArg(value.name, shape and [_dimension(d, sizes) for d in shape.dim], kind)


def outputs_of(network, sizes):
    """Return the `NodeArg` of every output. What the file does not say of one is found by a walk on shapes, if it can be.

    To look into a network, people add outputs to a file of which they only say the name.
    """
    graph, walked, found = network.model.graph, None, []
    said = {value.name: value for value in (*graph.value_info, *graph.output) if has_type(value)}
    for name in network.output_names:
        if name in said:
            found.append(input_of(said[name], sizes))
        else:
            walked = _walk(network, sizes) if walked is None else walked
            found.append(walked.get(name, NodeArg(name, None, None)))
    return found


def has_type(value):
    """Tell whether a file says of which type an input or output is."""
    tensor = value.type and value.type.tensor_type
    return bool(tensor) and tensor.elem_type != proto.UNDEFINED


def _dimension(dimension, sizes):
    """Return the size of a dimension, or its name, or None: some exporters write -1 where they mean that any size will do."""
    if dimension.dim_param:
        return sizes.get(dimension.dim_param, dimension.dim_param)
    return None if (dimension.dim_value or 0) < 0 else dimension.dim_value


def _type_of(dtype):
    return f"tensor({_TYPES.get(dtype.name, dtype.name)})"


def _walk(network, sizes):
    """Return {name: NodeArg} of the outputs whose shapes do not depend on data; open dimensions are tried in two sizes."""
    inputs = [input_of(value, sizes) for value in network.inputs]
    if any(argument.shape is None for argument in inputs):
        return {}
    try:
        first, second = (_walk_for(network, inputs, *samples) for samples in _SAMPLES)
    except FastconvError:
        return {}  # not for these sizes; it may run for others
    names = {}
    for argument in inputs:
        for axis, dimension in enumerate(argument.shape):
            if isinstance(dimension, str):
                names.setdefault(tuple(samples[axis > 0] for samples in _SAMPLES), set()).add(dimension)
    found = {}
    for name in network.output_names:
        one, two = first.get(name), second.get(name)
        if isinstance(getattr(one, "axes", None), tuple) and one.ndim == two.ndim:
            pairs = zip(one.shape, two.shape, strict=True)
            shape = [m if m == n else _only(names.get((m, n), ())) for m, n in pairs]
            found[name] = NodeArg(name, shape, _type_of(one.dtype))
    return found


def _walk_for(network, inputs, batch, size):
    feeds = {}
    for value, argument in zip(network.inputs, inputs, strict=True):
        shape = [(size if i else batch) if not isinstance(n, int) else n for i, n in enumerate(argument.shape)]
        feeds[argument.name] = Operand(symbol(tuple(shape), element_type(value).name))
    with using(SYMBOLIC), no_grad():
        return network(feeds)[0]


def _only(names):
    """Return the one name that there is; None if there are several, or none."""
    return next(iter(names)) if len(names) == 1 else None
