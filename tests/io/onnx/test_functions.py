"""Functions that a model defines for itself."""

import threading

import numpy as np
import pytest

from fastconv import InferenceSession, errors
from fastconv.io.onnx import network, proto
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


def test_a_function_named_like_an_operator_is_what_runs_and_is_checked():
    mine = function("Relu", small.node("Neg", "a", "b"), domain="")
    assert run(small.node("Relu", "x", "y"), functions=[mine]) == [2, -3]
    itself = function("Relu", small.node("Relu", "a", "b"), domain="")
    with pytest.raises(errors.ModelFormatError, match="'Relu' calls itself"):
        run(small.node("Relu", "x", "y"), functions=[itself])
    wrong = function("Relu", small.node("Mystery", "a", "b"), domain="")
    with pytest.raises(errors.UnsupportedOpError, match="function 'Relu' Mystery"):
        run(small.node("Relu", "x", "y"), functions=[wrong])


def test_functions_named_like_operators_cannot_stand_for_too_much():
    names = ["Abs", "Neg", "Relu", "Exp", "Log", "Sqrt", "Sin", "Cos", "Tan", "Floor", "Ceil", "Sign", "Erf", "Tanh",
             "Sigmoid", "Softplus", "Softsign", "Elu", "Selu", "Celu", "Identity", "Round"]  # fmt: skip
    chain = [function(names[0], small.node("Atan", "a", "b"), domain="")]
    for before, name in zip(names, names[1:], strict=False):
        chain.append(function(name, small.node(before, "a", "h"), small.node(before, "h", "b"), domain=""))
    with pytest.raises(errors.ModelFormatError, match=f"{2 ** (len(names) - 1)} nodes"):
        run(small.node(names[-1], "x", "y"), functions=chain)


def nested(count):
    """Return functions f0, f1, ..., each of which calls the one before."""
    return [function("f0", small.node("Neg", "a", "b"))] + [
        function(f"f{i}", call(f"f{i - 1}")) for i in range(1, count)
    ]


def test_functions_nest_only_so_deep():
    assert run(call("f62", "x", "y"), functions=nested(63)) == [2, -3]
    with pytest.raises(errors.ModelFormatError, match="nested more than 64 deep"):
        run(call("f499", "x", "y"), functions=nested(500))
    # Also where each one has been looked at before it is called.
    calls = [call(f"f{i}", "x", f"h{i}") for i in range(499)]
    with pytest.raises(errors.ModelFormatError, match="nested more than 64 deep"):
        run(*calls, call("f499", "x", "y"), functions=nested(500))


def test_functions_in_subgraphs_count_as_deep():
    def branching(i):
        then = small.graph([call(f"f{i - 1}", "a yes", "t")], [], [small.value("t", [2])])
        other = small.graph([small.node("Identity", "a", "e")], [], [small.value("e", [2])])
        node = small.node("If", "yes", "b", then_branch=then, else_branch=other)
        return function(f"f{i}", node, input=["a", "yes"])

    functions = [function("f0", small.node("Neg", "a", "b"), input=["a", "yes"]), *map(branching, range(1, 40))]
    yes = small.node("Constant", [], "yes", value=np.array(True))
    assert run(yes, call("f31", "x yes", "y"), functions=functions) == [2, -3]
    with pytest.raises(errors.ModelFormatError, match="nested more than 64 deep"):
        run(yes, call("f32", "x yes", "y"), functions=functions)


def leaky():
    """Return a LeakyRelu whose slope is the function's."""
    node = small.node("LeakyRelu", "a", "t")
    node.attribute = [proto.Attribute(name="alpha", type=1, ref_attr_name="slope")]
    return node


def in_a_branch(node):
    graph = small.graph([node], [], [small.value("t", [2])])
    yes = small.node("Constant", [], "yes", value=np.array(True))
    return yes, small.node("If", "yes", "b", then_branch=graph, else_branch=graph)


def test_references_in_subgraphs_are_resolved():
    named = function("Leaky", *in_a_branch(leaky()), attribute=["slope"])
    assert run(call("Leaky", "x", "y", slope=0.5), functions=[named]) == [-1, 3]
    nodes = call("Leaky", "x", "h", slope=0.5), call("Leaky", "h", "y", slope=4.0)
    assert run(*nodes, functions=[named]) == [-4, 3]
    # Two branches deep, and by default.
    inner = small.graph(list(in_a_branch(leaky())), [], [small.value("b", [2])])
    yes = small.node("Constant", [], "sure", value=np.array(True))
    node = small.node("If", "sure", "b", then_branch=inner, else_branch=inner)
    deep = function("Leaky", yes, node, attribute_proto=[proto.Attribute(name="slope", type=1, f=0.25)])
    assert run(call("Leaky", "x", "y"), functions=[deep]) == [-0.5, 3]
    # Neither given nor with a default: the operator's own.
    np.testing.assert_allclose(run(call("Leaky", "x", "y"), functions=[named]), [-0.02, 3], rtol=1e-6)


def test_references_to_nothing():
    with pytest.raises(errors.ModelFormatError, match="takes its attribute 'alpha' from 'slope'"):
        outside = leaky()
        outside.input, outside.output = ["x"], ["y"]
        run(outside, functions=[])
    with pytest.raises(errors.ModelFormatError, match="takes its attribute 'alpha' from 'slope'"):
        run(call("Leaky", "x", "y"), functions=[function("Leaky", *in_a_branch(leaky()))])
    # The function has it, nobody gives it, and the operator has no default.
    cast = small.node("Cast", "a", "b")
    cast.attribute = [proto.Attribute(name="to", type=2, ref_attr_name="to")]
    with pytest.raises(errors.ModelFormatError, match="lacks its attribute 'to'"):
        run(call("Cast", "x", "y"), functions=[function("Cast", cast, attribute=["to"])])


def test_graphs_are_no_arguments():
    node = small.node("If", "yes", "b")
    node.attribute = [proto.Attribute(name=f"{k}_branch", type=5, ref_attr_name="body") for k in ("then", "else")]
    yes = small.node("Constant", [], "yes", value=np.array(True))
    body = small.graph([small.node("Constant", [], "t", value=X)], [], [small.value("t", [2])])
    with pytest.raises(errors.UnsupportedOpError, match="'body' is a graph"):
        run(call("Choose", "x", "y", body=body), functions=[function("Choose", yes, node, attribute=["body"])])


def test_threads_share_one_body(monkeypatch):
    named = function("Leaky", *in_a_branch(leaky()), attribute=["slope"])
    nodes = proto.read_model(model(call("Leaky", "x", "y", slope=0.5), functions=[named]))
    net, both, walked = network.Network(nodes), threading.Barrier(2, timeout=20), []
    resolve, walk = network._with_references, network.Network.walk

    def together(node, attributes):
        if node.op_type == "Constant":  # the first of the body: both threads have found none yet
            both.wait()
        return resolve(node, attributes)

    def recorded(self, nodes, *args, **options):
        walked.append(nodes)
        return walk(self, nodes, *args, **options)

    monkeypatch.setattr(network, "_with_references", together)
    monkeypatch.setattr(network.Network, "walk", recorded)
    (node,) = net.nodes
    threads = [
        threading.Thread(target=net.call_function, args=(node, net.functions["own", "Leaky", ""], [network.Operand(X)]))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bodies = [nodes for nodes in walked if nodes[0].op_type == "Constant"]
    assert len(bodies) == 2 and bodies[0] is bodies[1]
