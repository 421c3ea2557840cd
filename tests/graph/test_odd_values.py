"""Graphs at the edges: empty arrays, any dtype, outputs that are inputs, operations of other people."""

import threading
from typing import NamedTuple

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.autograd import Tensor, apply
from fastconv.graph import Program, profile, trace
from fastconv.graph.program import MAX_ARENAS
from fastconv.op import ITEM_SIZE, Op, Spec


class NoAttrs(NamedTuple):
    """None."""


def host_op(name, function, outputs=("y",)):
    """Return an operation that is not registered and has a reference alone; `function` returns {name: array}."""

    def infer(specs, attrs):
        found = function({k: np.zeros(s.shape, s.dtype) for k, s in specs.items()})
        return {k: Spec(v.shape, v.dtype.name) for k, v in found.items()}

    return Op(name, ("*x",), outputs, infer, lambda arrays, attrs: function(arrays), NoAttrs)


def call(op, *xs):
    return apply(op, xs, NoAttrs())


@pytest.mark.parametrize("dtype", ITEM_SIZE)
def test_every_dtype_goes_through(dtype):
    double = host_op("double", lambda arrays: {"y": np.add(arrays["x0"], arrays["x0"], dtype=dtype)})
    constant = Tensor(np.arange(3).astype(dtype))

    def fn(x):
        return {"twice": call(double, x), "same": x, "constant": call(double, constant), "parts": x[1:]}

    program = Program(trace(fn, {"x": Spec((3,), dtype)}))
    x = np.array([0, 1, 2]).astype(dtype)
    results = program.run(x=x)
    assert all(array.dtype.name == dtype for array in results.values())
    for name in ("twice", "constant"):
        assert np.array_equal(results[name], np.add(x, x, dtype=dtype))
    assert np.array_equal(results["same"], x) and not np.shares_memory(results["same"], x)
    assert np.array_equal(results["parts"], x[1:])


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3), (0, 4)])
def test_empty_arrays(shape):
    def fn(x):
        y = ops.relu(x)
        return {"y": ops.concatenate([y, y], 0), "x": x, "z": ops.reshape(y, (-1, 0)[:1] if 0 not in shape else (0,))}

    program = Program(trace(fn, {"x": Spec(shape)}))
    results = program.run(x=np.zeros(shape))
    assert results["y"].shape == (2 * shape[0], *shape[1:]) and results["x"].shape == shape
    assert results["z"].shape == (0,)
    assert program.memory_plan().arena >= 0 and profile(program, {"x": np.zeros(shape)}) is not None


def test_no_nodes_at_all():
    w = fastconv.tensor([1.0, 2.0])
    program = Program(trace(lambda x, unused: {"x": x, "again": x, "w": w}, {"x": Spec((2,)), "unused": Spec((5,))}))
    results = program.run(x=[3, 4], unused=np.zeros(5))
    assert list(results) == ["x", "again", "w"] and program.memory_plan().arena == 0
    assert results["x"].tolist() == results["again"].tolist() == [3, 4] and results["w"].tolist() == [1, 2]
    assert not np.shares_memory(results["x"], results["again"])


def test_numbers_without_axes():
    program = Program(trace(lambda x: {"y": ops.relu(x) + 1.0}, {"x": Spec(())}))
    assert program.run(x=2.0)["y"] == 3.0 and program.run(x=np.float32(-1))["y"] == 1.0


def test_an_operation_of_several_outputs():
    split = host_op("split", lambda arrays: {"y0": arrays["x0"][:2], "y1": arrays["x0"][2:]}, ("y0", "y1"))

    def fn(x):
        first, second = call(split, ops.relu(x))
        return {"y": ops.relu(second)}

    x = np.arange(5, dtype=np.float32)
    assert Program(trace(fn, {"x": Spec((5,))})).run(x=x)["y"].tolist() == [2, 3, 4]


def test_an_operation_that_leaves_outputs_out():
    """What nobody wants of an operation need not be made."""

    def function(arrays):
        return {"y0": arrays["x0"] * 2}

    some = Op(
        "some", ("*x",), ("y0", "y1"), lambda specs, attrs: {"y0": specs["x0"], "y1": specs["x0"]},
        lambda arrays, attrs: function(arrays), NoAttrs,
    )  # fmt: skip
    program = Program(trace(lambda x: {"y": call(some, x)[0]}, {"x": Spec((3,))}))
    assert program.run(x=[1, 2, 3])["y"].tolist() == [2, 4, 6]
    w = fastconv.tensor([1.0, 2.0, 3.0])
    constant = Program(trace(lambda x: {"y": call(some, w)[0] + x}, {"x": Spec((3,))}))
    assert constant.run(x=[0, 0, 0])["y"].tolist() == [2, 4, 6]


def test_host_steps_between_kernels_read_what_is_bound():
    """Inputs, constants and outputs that host steps touch, with a new address each time."""
    roll = host_op("roll", lambda arrays: {"y": np.roll(arrays["x0"], 1) + arrays["x1"]})
    w = fastconv.tensor(np.ones(4, np.float32))

    def fn(x):
        return {"a": call(roll, x, w), "b": ops.relu(call(roll, ops.relu(x), x)), "c": call(roll, ops.relu(x), w)}

    program = Program(trace(fn, {"x": Spec((4,))}))
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal(4).astype(np.float32)
        relu = np.maximum(x, 0)
        results = program.run(x=x)
        assert np.array_equal(results["a"], np.roll(x, 1) + w.numpy())
        assert np.array_equal(results["b"], np.maximum(np.roll(relu, 1) + x, 0))
        assert np.array_equal(results["c"], np.roll(relu, 1) + w.numpy())
        w.assign(w.numpy() + 1)


def test_more_calls_at_once_than_arenas_are_kept():
    """All are inside the program at the same time, each in memory of its own; afterwards only some arenas stay."""
    count = 2 * MAX_ARENAS
    inside = threading.Barrier(count)

    def meet(arrays):
        if arrays["x0"].any():  # not while it is traced
            inside.wait(timeout=60)
        return {"y": arrays["x0"].copy()}

    op = host_op("meet", meet)
    program = Program(trace(lambda x: {"y": ops.relu(call(op, ops.relu(x)))}, {"x": Spec((100,))}))
    results = {}

    def work(i):
        results[i] = program.run(x=np.full(100, i + 1))["y"]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(program._idle) == MAX_ARENAS
    for i, y in results.items():
        assert np.all(y == i + 1)
        assert not any(np.shares_memory(y, arena.block) for arena in program._idle)
