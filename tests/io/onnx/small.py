"""Small ONNX models, made by the project's own writer."""

import numpy as np

from fastconv.io.onnx import proto
from fastconv.io.onnx.tensors import from_array

TYPES = {
    "float32": proto.FLOAT,
    "float64": proto.DOUBLE,
    "int32": proto.INT32,
    "int64": proto.INT64,
    "int8": proto.INT8,
    "uint8": proto.UINT8,
    "bool": proto.BOOL,
    "float16": proto.FLOAT16,
    "str": proto.STRING,
}


def value(name, shape, dtype="float32"):
    """Return a ValueInfo; names stand for open dimensions, None for a shape that is not said."""
    dims = [proto.Dimension(dim_param=n) if isinstance(n, str) else proto.Dimension(dim_value=n) for n in shape or ()]
    kind = proto.TensorType(elem_type=TYPES[dtype], shape=None if shape is None else proto.TensorShape(dim=dims))
    return proto.ValueInfo(name=name, type=proto.Type(tensor_type=kind))


def node(kind, inputs, outputs, name="", domain="", **attributes):
    """Return a Node; attributes are ints, floats, strings, arrays, graphs, or lists of the first three."""
    return proto.Node(
        op_type=kind,
        domain=domain,
        name=name,
        input=inputs.split() if isinstance(inputs, str) else inputs,
        output=outputs.split(),
        attribute=[_attribute(key, item) for key, item in attributes.items()],
    )


def _attribute(name, item):
    fields = {int: (2, "i"), float: (1, "f"), str: (3, "s"), np.ndarray: (4, "t"), proto.Graph: (5, "g")}
    if isinstance(item, list):
        kind, field = {int: (7, "ints"), float: (6, "floats"), str: (8, "strings")}[type(item[0])]
        item = [part.encode() if isinstance(part, str) else part for part in item]
    else:
        kind, field = fields[type(item)]
        item = item.encode() if field == "s" else from_array(item) if field == "t" else item
    return proto.Attribute(name=name, type=kind, **{field: item})


def graph(nodes, inputs, outputs, weights=None, name="small"):
    """Return a Graph."""
    tensors = [from_array(array, key) for key, array in (weights or {}).items()]
    return proto.Graph(name=name, node=nodes, input=inputs, output=outputs, initializer=tensors)


def model(nodes, inputs, outputs, weights=None, opset=17):
    """Return the bytes of a model; nodes may be com.microsoft's."""
    return proto.write_model(
        proto.Model(
            ir_version=8,
            opset_import=[proto.OperatorSetId(version=opset), proto.OperatorSetId(domain="com.microsoft", version=1)],
            graph=graph(nodes, inputs, outputs, weights),
        )
    )


def classifier(seed=0):
    """Return the bytes of a small classifier of (N, 3, 8, 8): convolutions, a sum, pooling, shape arithmetic, Gemm."""
    rng = np.random.default_rng(seed)

    def weight(*shape):
        return rng.normal(0, 0.3, shape).astype("float32")

    nodes = [
        node("Conv", "x w1 b1", "c1", name="stem", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Relu", "c1", "r1", name="stem/relu"),
        node("Conv", "r1 w2", "c2", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Add", "c2 r1", "s"),
        node("Relu", "s", "r2"),
        node("MaxPool", "r2", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", "p", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f w3 b3", "z", transB=1),
        node("Softmax", "z", "y", axis=1),
    ]
    weights = {"w1": weight(8, 3, 3, 3), "b1": weight(8), "w2": weight(8, 8, 3, 3), "w3": weight(5, 8), "b3": weight(5)}
    return model(nodes, [value("x", ["N", 3, 8, 8])], [value("y", ["N", 5])], weights)
