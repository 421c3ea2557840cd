"""An ONNX file as a PyTorch module: a straight line of PyTorch's own functions, as a user would write the network.

It serves comparisons, with the operators of convolutional networks; what it lacks it names.
"""

import operator

import torch
from torch import fx
from torch.nn import functional as F

from fastconv.errors import UnsupportedOpError
from fastconv.io.onnx.files import load_model
from fastconv.io.onnx.tensors import to_array


def convert(path):
    """Return (module, names of its inputs); the module takes tensors in that order and returns a tuple of tensors.

    Raises
    ------
    UnsupportedOpError
        When operators or forms of them are not there: the first is named.
    """
    model, folder = load_model(path)
    builder = Builder({tensor.name: to_array(tensor, folder) for tensor in model.graph.initializer})
    names = [value.name for value in model.graph.input if value.name not in builder.constants]
    for i, name in enumerate(names):
        builder.values[name] = builder.graph.placeholder(f"x{i}")
    for node in model.graph.node:
        builder.add(node, folder)
    builder.graph.output(tuple(builder.value(value.name) for value in model.graph.output))
    return fx.GraphModule(builder.root, builder.graph), names


class Builder:
    """The module while nodes are added: `values` are nodes of the fx graph, `constants` arrays."""

    def __init__(self, constants):
        self.constants, self.values = dict(constants), {}
        self.graph, self.root = fx.Graph(), torch.nn.Module()

    def value(self, name):
        """Return the fx node of a name; a constant becomes a buffer."""
        if not name:
            return None
        if name not in self.values:
            label = f"w{len(self.values)}"
            self.root.register_buffer(label, torch.from_numpy(self.constants[name].copy()))
            self.values[name] = self.graph.get_attr(label)
        return self.values[name]

    def constant(self, node, i, default=None):
        """Return the numbers that are input `i` of a node, as a list or a number."""
        if i >= len(node.input) or not node.input[i]:
            return default
        if node.input[i] not in self.constants:
            raise UnsupportedOpError(f"{node.op_type} ({node.name}) with an input {i} that is no constant")
        return self.constants[node.input[i]].tolist()

    def call(self, function, *args, **kwargs):
        return self.graph.call_function(function, args, kwargs)

    def add(self, node, folder):
        attributes = {attribute.name: attribute.value for attribute in node.attribute}
        if node.op_type == "Constant":
            self.constants[node.output[0]] = to_array(attributes["value"], folder)
            return
        handler = HANDLERS.get(node.op_type)
        if handler is None or node.domain not in ("", "ai.onnx"):
            raise UnsupportedOpError(
                f"this comparison has no {' '.join([node.op_type, node.name]).strip()} for PyTorch"
            )
        result = handler(self, node, attributes)
        results = [result] if len(node.output) == 1 else result
        self.values |= dict(zip(node.output, results, strict=False))


def _pads(builder, node, attributes, x, fill=0.0):
    """Return (x, padding for PyTorch's functions); where the sides differ, x is padded before."""
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise UnsupportedOpError(f"{node.op_type} ({node.name}) with auto_pad={attributes['auto_pad'].decode()}")
    pads = attributes.get("pads", [0, 0, 0, 0])
    half = len(pads) // 2
    if pads[:half] == pads[half:]:
        return x, pads[:half]
    sides = [side for axis in reversed(range(half)) for side in (pads[axis], pads[half + axis])]
    return builder.call(F.pad, x, sides, "constant", fill), [0] * half


def _conv(builder, node, attributes):
    x, weight, bias = (builder.value(name) for name in (*node.input, "")[:3])
    x, padding = _pads(builder, node, attributes, x)
    function = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[builder.constants[node.input[1]].ndim]
    rank = len(padding)
    strides, dilations = (attributes.get(key, [1] * rank) for key in ("strides", "dilations"))
    return builder.call(function, x, weight, bias, strides, padding, dilations, attributes.get("group", 1))


def _pool(function, fill):
    def handler(builder, node, attributes):
        x, padding = _pads(builder, node, attributes, builder.value(node.input[0]), fill)
        kernel = attributes["kernel_shape"]
        options = {"stride": attributes.get("strides", [1] * len(kernel)), "padding": padding}
        if function is F.avg_pool2d:
            options["count_include_pad"] = bool(attributes.get("count_include_pad", 0))
        return builder.call(function, x, kernel, ceil_mode=bool(attributes.get("ceil_mode", 0)), **options)

    return handler


def _batch_norm(builder, node, attributes):
    x, weight, bias, mean, variance = (builder.value(name) for name in node.input)
    return builder.call(F.batch_norm, x, mean, variance, weight, bias, eps=attributes.get("epsilon", 1e-5))


def _gemm(builder, node, attributes):
    a, b, c = (builder.value(name) for name in (*node.input, "")[:3])
    if attributes.get("alpha", 1) != 1 or attributes.get("beta", 1) != 1 or attributes.get("transA"):
        raise UnsupportedOpError(f"Gemm ({node.name}) with alpha, beta or transA")
    return builder.call(F.linear, a, b if attributes.get("transB") else builder.call(torch.t, b), c)


def _clip(builder, node, attributes):
    low, high = (builder.constant(node, i, attributes.get(key)) for i, key in ((1, "min"), (2, "max")))
    return builder.call(torch.clamp, builder.value(node.input[0]), low, high)


def _reshape(builder, node, attributes):
    return builder.call(torch.reshape, builder.value(node.input[0]), builder.constant(node, 1))


def _slice(builder, node, attributes):
    starts, ends = builder.constant(node, 1), builder.constant(node, 2)
    axes = builder.constant(node, 3, list(range(len(starts))))
    steps = builder.constant(node, 4, [1] * len(starts))
    if min(axes) < 0 or min(steps) < 1:
        raise UnsupportedOpError(f"Slice ({node.name}) with negative axes or steps")
    index = [slice(None)] * (max(axes) + 1)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, end, step)
    return builder.call(operator.getitem, builder.value(node.input[0]), tuple(index))


def _resize(builder, node, attributes):
    scales = builder.constant(node, 2) or None
    mode = attributes.get("mode", b"nearest").decode()
    if scales is None or mode not in ("nearest", "linear") or scales != [1, 1, 2, 2]:
        raise UnsupportedOpError(f"Resize ({node.name}) other than twice the size")
    kwargs = {} if mode == "nearest" else {"align_corners": False}
    mode = "bilinear" if mode == "linear" else mode
    return builder.call(F.interpolate, builder.value(node.input[0]), scale_factor=scales[2:], mode=mode, **kwargs)


def _reduce_mean(builder, node, attributes):
    axes = attributes.get("axes") or builder.constant(node, 1)
    return builder.call(torch.mean, builder.value(node.input[0]), axes, keepdim=bool(attributes.get("keepdims", 1)))


def _concat(builder, node, attributes):
    return builder.call(torch.cat, [builder.value(name) for name in node.input], attributes["axis"])


def _same(builder, node, attributes):
    return builder.value(node.input[0])


def _plain(function, **options):
    """Return a handler of a function of the node's inputs; `options`: keyword -> (attribute, default)."""

    def handler(builder, node, attributes):
        keywords = {key: attributes.get(name, default) for key, (name, default) in options.items()}
        return builder.call(function, *(builder.value(name) for name in node.input), **keywords)

    return handler


def _first(function, *args, **options):
    """Return a handler of a function of the first input alone, whose further arguments are always the same."""
    return lambda builder, node, attributes: builder.call(function, builder.value(node.input[0]), *args, **options)


HANDLERS = {
    "Conv": _conv,
    "MaxPool": _pool(F.max_pool2d, float("-inf")),
    "AveragePool": _pool(F.avg_pool2d, 0.0),
    "GlobalAveragePool": _first(F.adaptive_avg_pool2d, 1),
    "GlobalMaxPool": _first(F.adaptive_max_pool2d, 1),
    "BatchNormalization": _batch_norm,
    "Gemm": _gemm,
    "MatMul": _plain(torch.matmul),
    "Relu": _plain(F.relu),
    "LeakyRelu": _plain(F.leaky_relu, negative_slope=("alpha", 0.01)),
    "Elu": _plain(F.elu, alpha=("alpha", 1.0)),
    "Sigmoid": _plain(torch.sigmoid),
    "Tanh": _plain(torch.tanh),
    "HardSwish": _plain(F.hardswish),
    "Exp": _plain(torch.exp),
    "Softmax": _plain(F.softmax, dim=("axis", -1)),
    "Clip": _clip,
    "Add": _plain(torch.add),
    "Sub": _plain(torch.sub),
    "Mul": _plain(torch.mul),
    "Div": _plain(torch.div),
    "Concat": _concat,
    "Flatten": _plain(torch.flatten, start_dim=("axis", 1)),
    "Reshape": _reshape,
    "Transpose": _plain(torch.permute, dims=("perm", None)),
    "Slice": _slice,
    "Resize": _resize,
    "ReduceMean": _reduce_mean,
    "Identity": _same,
    "Dropout": _same,
}
