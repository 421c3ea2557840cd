"""What is refused before anything runs."""

import numpy as np
import pytest

from fastconv import InferenceSession, errors
from fastconv.io.onnx import proto
from fastconv.io.onnx.check import check
from fastconv.io.onnx.tensors import from_array
from tests.io.onnx import small

KNOWN = {("", "Relu"), ("", "Add"), ("", "If"), ("com.microsoft", "QGemm"), ("mine", "Twice")}


def node(op_type, inputs, outputs, **fields):
    return proto.Node(op_type=op_type, input=inputs.split(), output=outputs.split(), **fields)


def value(name, dims=()):
    shape = proto.TensorShape(dim=[proto.Dimension(dim_value=d) for d in dims])
    return proto.ValueInfo(name=name, type=proto.Type(tensor_type=proto.TensorType(elem_type=1, shape=shape)))


def model(*nodes, inputs="x", outputs="y", initializers=(), functions=(), **fields):
    graph = proto.Graph(
        node=list(nodes),
        input=[value(name) for name in inputs.split()],
        output=[value(name) for name in outputs.split()],
        initializer=list(initializers),
    )
    fields = {"ir_version": 8, "opset_import": [proto.OperatorSetId(version=17)]} | fields
    return proto.Model(graph=graph, functions=list(functions), **fields)


def branch(*nodes, outputs="b", **fields):
    graph = proto.Graph(node=list(nodes), output=[value(name) for name in outputs.split()], **fields)
    return proto.Attribute(name="then_branch", type=5, g=graph)


def function(name, *nodes, **fields):
    fields = {"input": ["a"], "output": ["b"], "opset_import": [proto.OperatorSetId(version=17)]} | fields
    return proto.Function(name=name, domain="own", node=list(nodes), **fields)


def test_a_good_model():
    bias = from_array(np.ones(1, "float32"), "bias")
    good = model(node("Relu", "x", "h"), node("Add", "h bias", "y"), initializers=[bias])
    check(good, KNOWN)
    assert [n.op_type for n in good.graph.node] == ["Relu", "Add"]
    # An initializer may be an input's default, and an optional input is "".
    check(
        model(
            proto.Node(op_type="Add", input=["x", "", "bias"], output=["y", ""]), inputs="x bias", initializers=[bias]
        ),
        KNOWN,
    )
    # Domains by their other name; files older than opsets.
    check(model(node("Relu", "x", "y", domain="ai.onnx"), opset_import=[proto.OperatorSetId("ai.onnx", 17)]), KNOWN)
    check(model(node("Relu", "x", "y"), ir_version=2, opset_import=()), KNOWN)


def test_nodes_are_put_in_order():
    shuffled = model(node("Add", "b c", "y"), node("Relu", "b", "c"), node("Relu", "a", "b"), node("Relu", "x", "a"))
    check(shuffled, KNOWN)
    assert [n.output[0] for n in shuffled.graph.node] == ["a", "b", "c", "y"]


def test_a_branch_waits_for_what_it_takes_from_around_it():
    takes = branch(node("Relu", "late", "b"))
    shuffled = model(node("If", "x", "y", attribute=[takes]), node("Relu", "x", "late"))
    check(shuffled, KNOWN)
    assert [n.op_type for n in shuffled.graph.node] == ["Relu", "If"]


def test_all_missing_operators_are_one_error():
    bad = model(
        node("Gelu", "x", "a", name="first"),
        node("Gelu", "a", "b"),
        node("If", "b", "c", attribute=[branch(node("Mystery", "a", "b", name="inner"))]),
        node("QAdd", "c", "y", domain="com.microsoft"),
        opset_import=[proto.OperatorSetId(version=20), proto.OperatorSetId("com.microsoft", 1)],
    )
    with pytest.raises(errors.UnsupportedOpError) as caught:
        check(bad, KNOWN)
    text = str(caught.value)
    assert "ai.onnx Gelu (opset 20): Gelu 'first', Gelu number 1" in text
    assert "ai.onnx Mystery (opset 20): then_branch of If number 2 Mystery 'inner'" in text
    assert "com.microsoft QAdd (opset 1): QAdd number 3" in text


def test_functions_are_looked_into():
    twice = function("Twice", node("Relu", "a", "h"), node("Relu", "h", "b"))
    imports = [proto.OperatorSetId(version=17), proto.OperatorSetId("own", 1)]
    check(model(node("Twice", "x", "y", domain="own"), functions=[twice], opset_import=imports), KNOWN)
    unknown = function("Twice", node("Mystery", "a", "b"))
    with pytest.raises(errors.UnsupportedOpError, match="function 'Twice' Mystery number 0"):
        check(model(node("Twice", "x", "y", domain="own"), functions=[unknown], opset_import=imports), KNOWN)
    calls = function("Twice", node("Twice", "a", "b", domain="own"))
    with pytest.raises(errors.ModelFormatError, match="'Twice' calls itself"):
        check(model(node("Twice", "x", "y", domain="own"), functions=[calls], opset_import=imports), KNOWN)
    with pytest.raises(errors.ModelFormatError, match="'Twice' is defined twice"):
        check(model(functions=[twice, twice], outputs="x"), KNOWN)
    loose = function("Twice", node("Relu", "q", "b"))
    with pytest.raises(errors.ModelFormatError, match="nobody makes 'q' in function 'Twice'"):
        check(model(node("Twice", "x", "y", domain="own"), functions=[loose], opset_import=imports), KNOWN)


def test_functions_that_stand_for_too_much():
    chain = [function("f0", node("Relu", "a", "b"))]
    for i in range(1, 40):
        call = {"domain": "own"}
        chain.append(function(f"f{i}", node(f"f{i - 1}", "a", "h", **call), node(f"f{i - 1}", "h", "b", **call)))
    with pytest.raises(errors.ModelFormatError, match=f"{2**39} nodes"):
        check(model(node("f39", "x", "y", domain="own"), functions=chain), KNOWN)


RELU = node("Relu", "x", "y")


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (model(RELU, ir_version=0), "IR version 0"),
        (model(RELU, ir_version=99), "IR version 99"),
        (model(RELU, opset_import=[proto.OperatorSetId(version=0)]), "version 0"),
        (model(RELU, opset_import=[proto.OperatorSetId("", 17), proto.OperatorSetId("ai.onnx", 18)]), "or several"),
        (model(RELU, opset_import=[]), "whose version the model does not give"),
        (model(node("QGemm", "x", "y", domain="com.microsoft")), "'com.microsoft', whose version"),
        (model(node("Relu", "z", "y")), r"nobody makes 'z' \(wanted by Relu number 0\)"),
        (model(RELU, outputs="y z"), "nobody makes 'z'"),
        (model(RELU, node("If", "x", "q", attribute=[branch(node("Relu", "w", "b"))])), "nobody makes 'w' .*then_branch"),
        (model(RELU, node("Relu", "x", "y", name="again")), "Relu 'again' makes 'y', which something else makes too"),
        (model(node("Relu", "y", "x"), node("Relu", "x", "y")), "makes 'x', which something else"),
        (model(RELU, outputs="y y"), "output 'y' twice"),
        (model(RELU, inputs="x x"), "an input named 'x' twice"),
        (model(RELU, initializers=[from_array(np.zeros(1)), from_array(np.zeros(1))]), "without a name"),
        (model(RELU, initializers=[from_array(np.zeros(1), "w"), from_array(np.zeros(1), "w")]), "an initializer named 'w' twice"),
        (
            model(node("Add", "x c", "a", name="A"), node("Relu", "a", "b", name="B"), node("Relu", "b", "c", name="C"),
                  node("Relu", "c", "y")),
            "in a circle: .*'A' -> .*'B' -> .*'C'|in a circle: .*'B' -> .*'C' -> .*'A'|in a circle: .*'C' -> .*'A' -> .*'B'",
        ),
        (model(node("Relu", "y", "y")), "in a circle: Relu number 0"),
        (
            model(node("Relu", "x", "y", attribute=[proto.Attribute(name="a"), proto.Attribute(name="a")])),
            "the attribute 'a' twice",
        ),
        (model(RELU, initializers=[proto.Tensor(name="w", dims=[1 << 30], data_type=1, raw_data=b"abcd")]), "has 4 bytes"),
        (
            model(node("Relu", "x", "y", attribute=[proto.Attribute(name="t", type=4, t=proto.Tensor(dims=[5], data_type=1))])),
            "has 0 values",
        ),
        (proto.Model(ir_version=8), "no graph"),
    ],
)  # fmt: skip
def test_refused(bad, what):
    with pytest.raises(errors.ModelFormatError, match=what):
        check(bad, KNOWN)


def test_shapes_too_large_to_be_true():
    bad = model(RELU)
    bad.graph.value_info = [value("h", (1 << 21, 1 << 20))]
    with pytest.raises(errors.ModelFormatError, match="'h' has dimensions .*too many to be true"):
        check(bad, KNOWN)


def test_what_is_not_supported():
    newer = model(RELU, opset_import=[proto.OperatorSetId(version=29)])
    with pytest.raises(errors.UnsupportedOpError, match="opset 29; this fastconv knows those up to 28"):
        check(newer, KNOWN)
    sequence = model(RELU)
    sequence.graph.input[0].type = proto.Type(sequence_type=proto.ElementType())
    sparse = proto.SparseTensor(values=from_array(np.zeros(1), "few"))
    sequence.graph.sparse_initializer = [sparse]
    with pytest.raises(
        errors.UnsupportedOpError, match="sequence inputs and outputs: 'x'\n  sparse initializers: 'few'"
    ):
        check(sequence, KNOWN)


def test_versions_that_are_known_are_those_of_the_onnx_package():
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    assert proto.IR_VERSION >= 14 and proto.OPSET >= 28
    if onnx.__version__.startswith("1.23."):
        assert (proto.IR_VERSION, proto.OPSET) == (onnx.IR_VERSION, onnx.defs.onnx_opset_version())


def test_a_long_chain_backwards():
    n = 5000
    chain = [node("Relu", f"v{i}", f"v{i + 1}") for i in range(n)][::-1]
    long = model(*chain, inputs="v0", outputs=f"v{n}")
    check(long, KNOWN)
    assert long.graph.node[0].input == ["v0"]


@pytest.mark.parametrize("op_type", ["Expand", "Tile"])
def test_sizes_that_show_only_on_the_way(op_type):
    """No file can make the machine fetch 600 TB: one error that names the node."""
    nodes = [small.node(op_type, "c s", "big", name="culprit"), small.node("ReduceSum", "big", "y")]
    weights = {"c": np.ones((1, 1), "float32"), "s": np.array([1 << 45, 5])}
    data = small.model(nodes, [small.value("x", [1])], [small.value("y", [1, 1])], weights)
    with pytest.raises(errors.FastconvError, match="culprit"):
        session = InferenceSession(data)
        session.run(None, {"x": np.ones(1, "float32")})
