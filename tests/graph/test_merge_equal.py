"""The same operation on the same values runs once."""

import numpy as np

import fastconv
from fastconv import ops

from .conftest import check, compiled, random


def test_equal_nodes_are_one():
    def fn(x):
        return {"a": ops.relu(x), "b": ops.relu(x) + ops.tanh(x), "c": ops.tanh(x)}

    check(fn, random(2, 3, 4, 5), left=["relu", "tanh", "add_n"])


def test_equal_values_for_two_variables():
    v, w = (fastconv.tensor(np.zeros(3, np.float32)) for _ in range(2))

    def fn(x):
        v.assign(ops.relu(x))
        w.assign(ops.relu(x))
        return {"y": x}

    compiled(fn, random(3) + 1)
    assert np.array_equal(v.numpy(), w.numpy()) and v.numpy().any()


def test_other_attributes_are_another_operation():
    check(
        lambda x: {"y": ops.leaky_relu(x, 0.1) * ops.leaky_relu(x, 0.2)},
        random(7),
        left=["leaky_relu"] * 2 + ["multiply"],
    )
