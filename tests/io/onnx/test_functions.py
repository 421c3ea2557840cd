"""Functions that a model defines for itself."""

import numpy as np
import pytest

from fastconv import InferenceSession, errors
from fastconv.io.onnx import proto
from tests.io.onnx import small

X = np.array([-2, 3], "float32")
OPSETS = [proto.OperatorSetId(version=17), proto.OperatorSetId("own", 1)]


def function(name, *nodes, domain="own", **fields):
    return proto.Function(
        **{"name": name, "domain": domain, "input": ["a"], "output": ["b"], "node": list(nodes), "opset_import": OPSETS}
        | fields
    )


def model(*nodes, functions):
    graph = small.graph(list(nodes), [small.value("x", [2])], [small.value("y", [2])])
    return proto.write_model(proto.Model(ir_version=10, opset_import=OPSETS, graph=graph, functions=list(functions)))


def run(*nodes, functions):
    return InferenceSession(model(*nodes, functions=functions)).run(None, {"x": X})[0].tolist()


def call(name, inputs="a", outputs="b", overload="", **attributes):
    node = small.node(name, inputs, outputs, domain="own", **attributes)
    node.overload = overload
    return node


def test_overloads_are_told_apart():
    both = [
        function("Sign", small.node("Neg", "a", "b"), overload="less"),
        function("Sign", small.node("Identity", "a", "b"), overload="same"),
    ]
    assert run(call("Sign", "x", "y", "less"), functions=both) == [2, -3]
    assert run(call("Sign", "x", "y", "same"), functions=both) == [-2, 3]
    with pytest.raises(errors.UnsupportedOpError, match="own Sign"):
        run(call("Sign", "x", "y"), functions=both)


def test_the_default_domain_has_two_names():
    mine = function("Mine", small.node("Neg", "a", "b"), domain="ai.onnx")
    assert run(small.node("Mine", "x", "y"), functions=[mine]) == [2, -3]
