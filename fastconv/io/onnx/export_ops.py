"""How operations that compute are written as ONNX nodes: ``TABLE[name](emitter, node)``. For the others see `export_moves`.

A function asks the emitter for its operands in the order of axes that suits the ONNX operator, and says in which order
the results are. Reference: https://onnx.ai/onnx/operators
"""

import numpy as np

from ... import shapes
from ...errors import UnsupportedOpError
from ...ops import _transposed
from .emitter import FAR, Table, channels_first_order, flat_pads, number, same_order

TABLE = _exports = Table()


# ---- activations, also those fused into another operation


def _clip(e, x, like, low, high):
    return e.node("Clip", x, e.constant(number(low, like)), e.constant(number(high, like)))


def _elu(e, x, like, alpha, scale):
    if scale == 1:
        return e.node("Elu", x, alpha=float(alpha))
    return e.node("Selu", x, alpha=float(alpha), gamma=float(scale))


def _gated(e, x, gate):
    return e.node("Mul", x, gate)


def _gelu(e, x, like):
    share = e.node("Erf", e.node("Mul", x, e.constant(number(0.5**0.5, like))))
    return _gated(e, x, e.node("Add", e.node("Mul", share, half := e.constant(number(0.5, like))), half))


def _gelu_tanh(e, x, like):
    cubic = e.node("Add", e.node("Mul", e.node("Mul", x, x), e.constant(number(0.0713548162726, like))),
                   e.constant(number(1.59576912160573, like)))  # fmt: skip
    return _gated(e, x, e.node("Sigmoid", e.node("Mul", x, cubic)))


# (emitter, name of x, a Value of the type of x, alpha, beta) -> name of the result
_ACTIVATIONS = {
    "relu": lambda e, x, like, a, b: e.node("Relu", x),
    "leaky_relu": lambda e, x, like, a, b: e.node("LeakyRelu", x, alpha=float(a)),
    "relu6": lambda e, x, like, a, b: _clip(e, x, like, 0, 6),
    "clip": _clip,
    "sigmoid": lambda e, x, like, a, b: e.node("Sigmoid", x),
    "tanh": lambda e, x, like, a, b: e.node("Tanh", x),
    "elu": _elu,
    "softplus": lambda e, x, like, a, b: e.node("Softplus", x),
    "softsign": lambda e, x, like, a, b: e.node("Softsign", x),
    "hard_sigmoid": lambda e, x, like, a, b: e.node("HardSigmoid", x, alpha=float(a), beta=float(b)),
    "hard_swish": lambda e, x, like, a, b: _gated(e, x, e.node("HardSigmoid", x, alpha=float(a), beta=float(b))),
    "silu": lambda e, x, like, a, b: _gated(e, x, e.node("Sigmoid", x)),
    "gelu": lambda e, x, like, a, b: _gelu(e, x, like),
    "gelu_tanh": lambda e, x, like, a, b: _gelu_tanh(e, x, like),
    "mish": lambda e, x, like, a, b: _gated(e, x, e.node("Tanh", e.node("Softplus", x))),
}


@_exports(*_ACTIVATIONS)
def _activation(e, node):
    x, y = node.inputs["x"], node.outputs["y"]
    order = e.order(x)
    name = _ACTIVATIONS[node.op.name](e, e.tensor(x, order), y, *node.attrs)
    e.define(y, name, order)


def _finish(e, node, name, order):
    """Add what an operation's epilogue does to the tensor `name`, whose axes are in `order`."""
    y, epilogue = node.outputs["y"], node.attrs.epilogue
    if "residual" in node.inputs:
        name = e.node("Add", name, e.tensor(node.inputs["residual"], order))
    if epilogue.activation is not None:
        if epilogue.activation not in _ACTIVATIONS:
            raise UnsupportedOpError(f"activation {epilogue.activation!r}")
        name = _ACTIVATIONS[epilogue.activation](e, name, y, epilogue.alpha, epilogue.beta)
    e.define(y, name, order)


@_exports("threshold")
def _threshold(e, node):
    x, y, attrs = node.inputs["x"], node.outputs["y"], node.attrs
    order = e.order(x)
    name = e.tensor(x, order)
    limit = e.constant(number(attrs.threshold, y))
    below = e.constant(number(0, y))
    if attrs.slope:
        below = e.node("Mul", e.node("Sub", name, limit), e.constant(number(attrs.slope, y)))
    e.define(y, e.node("Where", e.node("LessOrEqual", name, limit), below, name), order)


# ---- convolutions


def _left_to_the_engine(e, x, attrs):
    """Tell whether only the engine can know the padding: "same" needs no sizes but where it takes strides."""
    return attrs.padding == "same" and None in e.shape(x)[1:-1] and max(attrs.strides) > 1


def _padding(e, x, attrs, kernel, dilations=None):
    """Return the attribute that says where a window goes."""
    if _left_to_the_engine(e, x, attrs):
        return {"auto_pad": "SAME_UPPER"}
    return {"pads": flat_pads(shapes.resolve_padding(attrs.padding, x.shape[1:-1], kernel, attrs.strides, dilations))}


def _bias(e, node):
    return e.tensor(node.inputs["bias"]) if "bias" in node.inputs else None


@_exports("conv1d", "conv2d", "conv3d")
def _conv(e, node):
    x, kernel, attrs = node.inputs["x"], node.inputs["kernel"], node.attrs
    rank = kernel.ndim - 2
    weight = e.tensor(kernel, (rank + 1, rank, *range(rank)))  # HWIO to OIHW
    _write_conv(e, node, x, weight, kernel.shape[:rank], attrs.groups)


@_exports("depthwise_conv1d", "depthwise_conv2d")
def _depthwise(e, node):
    x, kernel = node.inputs["x"], node.inputs["kernel"]
    rank = kernel.ndim - 2
    *size, channels, multiplier = kernel.shape
    order = (rank, rank + 1, *range(rank))  # (KH, KW, C, M) to (C, M, KH, KW)
    if multiplier == 1:
        weight = e.tensor(kernel, order)
    else:
        weight = e.reshaped(kernel, order, (channels * multiplier, 1, *size))
    _write_conv(e, node, x, weight, size, channels)


def _write_conv(e, node, x, weight, size, groups):
    attrs, order = node.attrs, channels_first_order(x.ndim)
    name = e.node(
        "Conv",
        e.tensor(x, order),
        weight,
        _bias(e, node),
        kernel_shape=list(size),
        strides=list(attrs.strides),
        dilations=list(attrs.dilation_rate),
        group=groups,
        **_padding(e, x, attrs, size, attrs.dilation_rate),
    )
    _finish(e, node, name, order)


@_exports("conv1d_transpose", "conv2d_transpose", "conv3d_transpose")
def _conv_transpose(e, node):
    x, kernel, attrs = node.inputs["x"], node.inputs["kernel"], node.attrs
    rank, order = kernel.ndim - 2, channels_first_order(x.ndim)
    geometry = _transposed.geometry(x.shape, kernel.shape, attrs)  # its paddings are the same for all sizes
    before = [pair[0] for pair in geometry.padding]
    after, more = [], []
    for axis, (n, size) in enumerate(zip(geometry.out, geometry.size, strict=True)):
        extent = shapes.effective_kernel(kernel.shape[axis], attrs.dilation_rate[axis])
        rest = (n - 1) * attrs.strides[axis] + extent - before[axis] - size
        after.append(max(rest, 0))
        more.append(max(-rest, 0))
    name = e.node(
        "ConvTranspose",
        e.tensor(x, order),
        e.tensor(kernel, (rank + 1, rank, *range(rank))),
        _bias(e, node),
        kernel_shape=list(kernel.shape[:rank]),
        strides=list(attrs.strides),
        dilations=list(attrs.dilation_rate),
        pads=before + after,
        output_padding=more,
        group=attrs.groups,
    )
    _finish(e, node, name, order)


# ---- products


@_exports("dense")
def _dense(e, node):
    x, kernel = node.inputs["x"], node.inputs["kernel"]
    bias = _bias(e, node)
    if x.ndim == 2:
        name = e.node("Gemm", e.tensor(x), e.tensor(kernel), bias)
    else:
        name = e.node("MatMul", e.tensor(x), e.tensor(kernel))
        name = name if bias is None else e.node("Add", name, bias)
    _finish(e, node, name, None)


@_exports("matmul")
def _matmul(e, node):
    names = []
    for operand, swap in (("a", node.attrs.transpose_a), ("b", node.attrs.transpose_b)):
        value = node.inputs[operand]
        order = list(range(value.ndim))
        if swap:
            order[-2:] = order[:-3:-1]
        names.append(e.tensor(value, order))
    e.define(node.outputs["y"], e.node("MatMul", *names))


# ---- normalisation and softmax


@_exports("batch_norm_inference")
def _batch_norm(e, node):
    x, mean = node.inputs["x"], node.inputs["moving_mean"]
    order = channels_first_order(x.ndim)
    vectors = []
    for name, missing in (("gamma", 1), ("beta", 0)):
        value = node.inputs.get(name)
        vectors.append(e.constant(np.full(mean.shape, missing, mean.dtype)) if value is None else e.tensor(value))
    vectors += [e.tensor(mean), e.tensor(node.inputs["moving_variance"])]
    name = e.node("BatchNormalization", e.tensor(x, order), *vectors, epsilon=float(node.attrs.epsilon))
    e.define(node.outputs["y"], name, order)


@_exports("softmax", "log_softmax")
def _softmax(e, node):
    x = node.inputs["x"]
    order = same_order(e, [x])
    op_type = "Softmax" if node.op.name == "softmax" else "LogSoftmax"
    name = e.node(op_type, e.tensor(x, order), axis=order.index(x.ndim - 1))
    e.define(node.outputs["y"], name, order)


# ---- pooling


@_exports(*(f"{kind}_pool{rank}d" for kind in ("max", "avg") for rank in (1, 2, 3)), "sum_pool2d")
def _pool(e, node):
    x, y, attrs = node.inputs["x"], node.outputs["y"], node.attrs
    order, kind = channels_first_order(x.ndim), node.op.name[:3]
    source, strides = _without_gaps(e, x, e.tensor(x, order), attrs)
    name = e.node(
        "MaxPool" if kind == "max" else "AveragePool",
        source,
        kernel_shape=list(attrs.pool_size),
        strides=strides,
        **_padding(e, x, attrs, attrs.pool_size),
        count_include_pad={"max": None, "avg": 0, "sum": 1}[kind],
    )
    if kind == "sum":
        name = e.node("Mul", name, e.constant(number(np.prod(attrs.pool_size), y)))
    e.define(y, name, order)


def _without_gaps(e, x, name, attrs):
    """Return the name of what a pooling reads, and its strides.

    ONNX Runtime refuses auto_pad where windows leave gaps between them: the padding that it computes is below 0. Of windows of
    one pixel, those that are read are sliced out before.
    """
    strides = list(attrs.strides)
    if not _left_to_the_engine(e, x, attrs):
        return name, strides
    gaps = [i for i, (k, s) in enumerate(zip(attrs.pool_size, strides, strict=True)) if k < s]
    wide = [attrs.pool_size[i] for i in gaps if attrs.pool_size[i] > 1]
    if wide:
        raise UnsupportedOpError(
            f"padding 'same' of windows of {wide[0]} pixels, farther apart, for images of any size"
        )
    if gaps:
        ends, axes, steps = [FAR] * len(gaps), [2 + i for i in gaps], [strides[i] for i in gaps]
        name = e.node("Slice", name, *map(e.integers, ([0] * len(gaps), ends, axes, steps)))
    return name, [1 if i in gaps else s for i, s in enumerate(strides)]


@_exports(*(f"global_{kind}_pool{rank}d" for kind in ("max", "avg") for rank in (1, 2, 3)))
def _global_pool(e, node):
    x, y = node.inputs["x"], node.outputs["y"]
    order = channels_first_order(x.ndim)
    op_type = "GlobalMaxPool" if "max" in node.op.name else "GlobalAveragePool"
    name = e.node(op_type, e.tensor(x, order))
    if node.attrs.keepdims:
        e.define(y, name, order)
    else:
        e.define(y, e.node("Flatten", name, axis=1))


# ---- pointwise functions and arithmetic

_FUNCTIONS = {
    "abs": "Abs",
    "arccos": "Acos",
    "arccosh": "Acosh",
    "arcsin": "Asin",
    "arcsinh": "Asinh",
    "arctan": "Atan",
    "arctanh": "Atanh",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "negative": "Neg",
    "reciprocal": "Reciprocal",
    "round": "Round",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "sqrt": "Sqrt",
    "tan": "Tan",
}
_ARITHMETIC = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "power": "Pow",
    "maximum": "Max",
    "minimum": "Min",
    "prelu": "PRelu",  # whose slope must not have more axes than its input
}


@_exports(*_FUNCTIONS, "square")
def _function(e, node):
    x = node.inputs["x"]
    order = e.order(x)
    name = e.tensor(x, order)
    square = node.op.name == "square"
    e.define(node.outputs["y"], e.node("Mul", name, name) if square else e.node(_FUNCTIONS[node.op.name], name), order)


@_exports(*_ARITHMETIC)
def _arithmetic(e, node):
    y = node.outputs["y"]
    values = [node.inputs["a"], node.inputs["b"]]
    if node.op.name == "prelu" and e.shape(values[0]) != e.shape(y):
        raise UnsupportedOpError("a prelu whose slope is larger than its input")
    order = same_order(e, [v for v in values if v.ndim == y.ndim])
    # Something of fewer axes broadcasts only where the last ones stand last.
    if any(v.ndim < y.ndim and (v.size > 1 and e.array(v) is None) for v in values):
        order = None
    names = []
    for value in values:
        array = e.array(value)
        if value.ndim == y.ndim:
            names.append(e.tensor(value, order))
        elif order is None or value.size == 1:
            names.append(e.tensor(value))
        else:
            names.append(e.reshaped(value, None, (*(1,) * (y.ndim - value.ndim), *array.shape), order))
    e.define(y, e.node(_ARITHMETIC[node.op.name], *names), order)


@_exports("add_n")
def _add_n(e, node):
    values = list(node.inputs.values())
    order = same_order(e, values)
    names = [e.tensor(value, order) for value in values]
    name = names[0] if len(names) == 1 else e.node("Add" if len(names) == 2 else "Sum", *names)
    e.define(node.outputs["y"], name, order)


@_exports("sum", "mean", "max")
def _reduce(e, node):
    x, y, attrs = node.inputs["x"], node.outputs["y"], node.attrs
    op_type = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax"}[node.op.name]
    order = same_order(e, [x])
    axes = sorted(order.index(axis) for axis in attrs.axis)
    name = e.tensor(x, order)
    if not axes:
        e.define(y, name, order)
        return
    if e.opset >= 18 or op_type == "ReduceSum":
        name = e.node(op_type, name, e.integers(axes), keepdims=int(attrs.keepdims))
    else:
        name = e.node(op_type, name, axes=axes, keepdims=int(attrs.keepdims))
    kept = [axis for axis in order if attrs.keepdims or axis not in attrs.axis]
    ranks = sorted(kept)
    e.define(y, name, [ranks.index(axis) for axis in kept])
