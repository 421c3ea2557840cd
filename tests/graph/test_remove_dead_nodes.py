"""Nodes that nobody reads are removed, and results that only a backward pass would read."""

import numpy as np

import fastconv
from fastconv import ops
from fastconv.autograd import gradients
from fastconv.graph import trace
from fastconv.graph.passes.remove_dead_nodes import remove_dead_nodes
from fastconv.op import Spec

from .conftest import check, compiled, random, titles


def test_what_nobody_reads():
    def fn(x):
        ops.tanh(ops.exp(x))
        return {"y": ops.relu(x)}

    check(fn, random(7), left=["relu"])


def test_what_an_update_reads_stays():
    v = fastconv.tensor(np.zeros(7, np.float32))

    def fn(x):
        v.assign(ops.tanh(x))
        return {"y": ops.relu(x)}

    x = random(7)
    program, _ = compiled(fn, x)
    assert sorted(titles(program.graph)) == ["relu", "tanh"]
    assert np.array_equal(v.numpy(), ops.tanh(x).numpy())


def test_what_is_saved_for_no_backward_node():
    def fn(x, training):
        x.requires_grad = training
        y = ops.max_pool2d(x, 2)
        return {"y": y, **({"dx": gradients(y.sum(), [x])[0]} if training else {})}

    for training in (False, True):
        graph = trace(lambda x, t=training: fn(x, t), {"x": Spec((1, 4, 4, 3))})
        (pooling,) = (node for node in remove_dead_nodes(graph).nodes if node.title == "max_pool2d")
        assert ("index" in pooling.outputs) == training
        assert all("index" in node.outputs for node in graph.nodes if node.title == "max_pool2d"), "as it was"


def test_nothing_to_do():
    graph = trace(lambda x: {"y": ops.relu(x)}, {"x": Spec((7,))})
    assert remove_dead_nodes(graph) is graph
