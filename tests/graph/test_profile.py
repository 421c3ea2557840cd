"""Timing the parts of a program."""

import numpy as np

import fastconv
from fastconv import layers, ops
from fastconv.graph import Program, profile, trace
from fastconv.models import Sequential
from fastconv.op import Spec


def test_every_phase_is_timed_and_updates_are_made():
    count = fastconv.tensor(np.zeros(3, np.float32))

    def fn(x):
        count.assign(ops.add_n([count, ops.relu(x[np.array([2, 0, 1])])]))
        return {"y": count}

    program = Program(trace(fn, {"x": Spec((3,))}))
    rows = profile(program, {"x": np.ones(3)}, rounds=2)
    assert [(row.node, row.operation, row.steps) for row in rows] == [
        (0, "getitem", ()),  # a host step
        (1, "relu", ("relu",)),
        (2, "add_n", ("add_n",)),
    ]
    assert all(row.seconds > 0 for row in rows)
    assert count.numpy().tolist() == [3.0] * 3  # one round does not count, but runs


def test_nodes_have_the_names_of_their_layers():
    model = Sequential([layers.Conv2D(4, 3, name="first", input_shape=(8, 8, 1)), layers.ReLU(name="second")])
    model.add(layers.Flatten(name="third"))

    def fn(x):
        with fastconv.no_grad():
            return {"y": ops.exp(model(x))}

    program = Program(trace(fn, {"x": Spec((1, 8, 8, 1))}))
    rows = profile(program, {"x": np.zeros((1, 8, 8, 1))})
    assert [(row.name, row.operation) for row in rows] == [("first", "conv2d"), (None, "exp")]
