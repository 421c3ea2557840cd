"""A layer as an ONNX model of one node, for the engines that read such files."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def model_of(layer):
    """Return (bytes of the model, array for its input "x"), NCHW."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape, np.float32)

    window = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "pads": [layer.padding] * 4}
    weights = {}
    if layer.kind == "matmul":
        x = draw(*layer.x)
        weights = {"b": draw(layer.x[1], layer.outputs)}
        node = helper.make_node("MatMul", ["x", "b"], ["y"])
    else:
        n, h, w, c = layer.x
        x = draw(n, c, h, w)
        if layer.kind == "conv":
            size = (layer.outputs, c // layer.groups, layer.kernel, layer.kernel)
            weights = {"w": draw(*size), "b": draw(layer.outputs)}
            node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=layer.groups, **window)
        else:
            kind = {"max_pool": "MaxPool", "avg_pool": "AveragePool"}[layer.kind]
            node = helper.make_node(kind, ["x"], ["y"], **window)
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString(), x
