"""A model that was loaded from ONNX, as a file again: its own nodes, with the weights it has now."""

from dataclasses import replace

import numpy as np

from ...errors import NotBuiltError, UnsupportedOpError
from ...layers.node import is_shape
from . import proto
from .arguments import has_type
from .model import common_shape
from .tensors import from_array, value_info


def loaded(model):
    """Return an `OnnxModel` as a `proto.Model`. External data come into the file itself."""
    network = model.network
    source = network.model
    arrays, problems = _weights(network)
    initializers = []
    for tensor in source.graph.initializer:
        before = network.constants[tensor.name].constant
        array = arrays.pop(tensor.name, before)
        if not _equal(array, before):
            if tensor.data_type == proto.BFLOAT16:
                problems.append(f"the weight {tensor.name!r}, which was bfloat16, has become float32")
            tensor = from_array(array, tensor.name)
        elif tensor.data_location == proto.EXTERNAL:
            tensor = from_array(before, tensor.name)
        initializers.append(tensor)
    nodes = list(network.nodes)
    # What is left was no initializer: the result of a Constant, or a weight that was saved natively.
    constants = {node.output[0]: node for node in nodes if node.op_type == "Constant"}
    stubs = set(network.constants) - {tensor.name for tensor in source.graph.initializer}
    for name, array in arrays.items():
        if name in constants or name in stubs:
            nodes = [node for node in nodes if node is not constants.get(name)]
            initializers.append(from_array(array, name))
        elif any(tensor.version for key, tensor in network.weights.items() if key[0] == name):
            problems.append(f"the weight {name!r}, which the file derives from others, has changed")
    if problems:
        raise UnsupportedOpError(f"{model._title()} cannot be saved as ONNX:\n  " + "\n  ".join(problems))
    graph = replace(
        source.graph,
        node=nodes,
        initializer=initializers,
        input=[value for value in source.graph.input if value.name not in stubs],
        output=_outputs(model),
    )
    return replace(source, graph=graph)


def _weights(network):
    """Return (arrays by name as the file had them, problems)."""
    shapes = {name: operand.shape for name, operand in network.constants.items()}
    for node in network.nodes:
        if node.op_type == "Constant" and "value" in network.attributes(node):
            shapes[node.output[0]] = network.attributes(node)["value"].shape
    arrays, problems = {}, []
    for (name, order, _), tensor in network.weights.items():
        array = tensor.data if order is None else tensor.data.transpose(np.argsort(order))
        array = array.reshape(shapes.get(name, array.shape))  # a form other than the file's has more axes, or fewer
        if name in arrays and not _equal(arrays[name], array):
            problems.append(f"the weight {name!r} is used in two ways, which were trained apart")
        arrays[name] = array
    return arrays, problems


def _equal(one, two):
    return np.array_equal(one, two, equal_nan=one.dtype.kind == "f")


def _outputs(model):
    """Return the outputs as the file declares them, or, of a network that was cut, as they come out."""
    graph = model.network.model.graph
    known = {value.name: value for value in (*graph.value_info, *graph.output) if has_type(value)}
    cut = [name for name in model.network.output_names if name not in known]
    if cut:
        if not model.built:
            raise NotBuiltError(f"{model._title()}: the shapes of {cut} are not known yet; call the model once")
        shapes = [model.input_shape] if is_shape(model.input_shape) else list(model.input_shape)
        first, second = model.walk_twice(shapes)
        for name in cut:
            shape = common_shape(first[name].shape, second[name].shape)
            known[name] = value_info(name, shape, first[name].dtype)
    return [known[name] for name in model.network.output_names]
