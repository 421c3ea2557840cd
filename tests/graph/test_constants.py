"""What depends on constants alone runs once, and again after a version moved; packed weights belong to the parameter."""

import gc
import os
import pickle
import threading
import weakref
from typing import NamedTuple

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.autograd import apply
from fastconv.graph import Program, trace
from fastconv.graph.constants import contiguous
from fastconv.op import Op, Spec


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def variable(*shape, seed=0):
    return fastconv.tensor(random(*shape, seed=seed), requires_grad=True)


def titles(program):
    return [node.title for node in program.graph.nodes]


def program_of(fn, *shape):
    return Program(trace(fn, {"x": Spec(shape)}))


# ---- derived constants


def test_nodes_over_constants_are_taken_out():
    w, scale = variable(20, 7), variable(20, 7, seed=1)
    program = program_of(lambda x: {"y": ops.dense(x, ops.relu(w * scale)), "w": ops.tanh(w)}, 3, 20)
    assert titles(program) == ["dense"]
    x = random(3, 20)
    for seed in (2, 3):
        results = program.run(x=x)
        want = ops.dense(x, np.maximum(w.numpy() * scale.numpy(), 0)).numpy()
        assert np.array_equal(results["y"], want)
        assert np.allclose(results["w"], np.tanh(w.numpy()))
        (w if seed == 2 else scale).assign(random(20, 7, seed=seed))


class NoAttrs(NamedTuple):
    """None."""


def test_they_run_once():
    calls = []

    def reference(arrays, attrs):
        calls.append(1)
        return {"y": 2 * arrays["x"]}

    double = Op("double", ("x",), ("y",), lambda specs, attrs: {"y": specs["x"]}, reference, NoAttrs)
    w, other = variable(5), variable(5)
    program = program_of(lambda x: {"y": x + apply(double, (w,), NoAttrs())}, 5)
    for _ in range(3):
        assert np.array_equal(program.run(x=np.zeros(5))["y"], 2 * w.numpy())
        other.assign(np.zeros(5))
    assert len(calls) == 1
    w.assign(random(5, seed=1))
    for _ in range(3):
        assert np.array_equal(program.run(x=np.zeros(5))["y"], 2 * w.numpy())
    assert len(calls) == 2


def test_what_depends_on_an_updated_variable_stays():
    w, frozen = variable(4), variable(4, seed=1)

    def step(x):
        y = ops.relu(w) + ops.relu(frozen) + x
        w.assign(w - 1.0)
        return {"y": y}

    program = program_of(step, 4)
    assert titles(program).count("relu") == 1
    for _ in range(3):
        want = np.maximum(w.numpy(), 0) + np.maximum(frozen.numpy(), 0)
        assert np.allclose(program.run(x=np.zeros(4))["y"], want)


def test_a_constant_as_output_and_as_update():
    w, target = variable(2, 3), fastconv.tensor(np.zeros((2, 3), np.float32))

    def fn(x):
        target.assign(w * 2.0)
        return {"w": w, "again": w, "x": x}

    program = program_of(fn, 2)
    results = program.run(x=[1, 2])
    assert np.array_equal(results["w"], w.numpy()) and np.array_equal(results["again"], w.numpy())
    assert not np.shares_memory(results["w"], w.numpy()) and not np.shares_memory(results["w"], results["again"])
    assert np.array_equal(target.numpy(), w.numpy() * 2) and results["x"].tolist() == [1, 2]


def test_memory_of_a_variable_may_be_another_one():
    w = variable(20, 7)
    program = program_of(lambda x: {"y": ops.dense(x, w) + w[0]}, 3, 20)
    x = random(3, 20)
    for seed in range(3):
        w.data = random(20, 7, seed=seed)
        assert np.array_equal(program.run(x=x)["y"], (ops.dense(x, w) + w[0]).numpy())


VIEWS = {
    "transposed": lambda a: a.transpose(2, 3, 1, 0),
    "some axes": lambda a: a.transpose(0, 2, 1, 3),
    "part": lambda a: a[:, 1:, ::2].transpose(3, 1, 0, 2),
    "reversed": lambda a: a[::-1].transpose(1, 0, 2, 3),
    "repeated": lambda a: np.broadcast_to(a[:1], (4, *a.shape[1:])),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
@pytest.mark.parametrize("view", VIEWS)
def test_contiguous_copies(view, dtype):
    array = np.arange(3 * 5 * 7 * 4).reshape(3, 5, 7, 4).astype(dtype)
    copy = contiguous(VIEWS[view](array))
    assert copy.flags.c_contiguous and copy.dtype == dtype and not np.shares_memory(copy, array)
    assert np.array_equal(copy, VIEWS[view](array))


def test_programs_share_derived_constants():
    w = variable(20, 7)

    def fn(x):
        return {"y": ops.matmul(x, ops.relu(w))}

    first, second = program_of(fn, 3, 20), program_of(fn, 5, 20)
    first.run(x=random(3, 20)), second.run(x=random(5, 20))
    constants = [p.graph.nodes[0].inputs["b"] for p in (first, second)]
    assert constants[0].derived is constants[1].derived
    alive = weakref.ref(constants[0].derived)
    del first, second, constants
    gc.collect()
    assert alive() is None


# ---- packed weights


def packed_arrays(program):
    return {id(array) for slot, array in program.fixed() if isinstance(program.memory.slots[slot], tuple)}


def convolution(w):
    return lambda x: {"y": ops.conv2d(x, w, padding="same")}


def test_eager_calls_and_programs_share_one_copy():
    w = variable(3, 3, 16, 16)
    ops.conv2d(random(1, 8, 8, 16), w, padding="same")
    (packing,) = w.packings
    for batch in (1, 3):
        program = program_of(convolution(w), batch, 8, 8, 16)
        program.run(x=random(batch, 8, 8, 16))
        assert packed_arrays(program) == {id(array) for array in packing.buffers.values()}
        assert program.nbytes == 0, "x, y and what is packed lie elsewhere"
    assert w.packings == (packing,)


def test_several_layouts_are_kept_and_no_more_than_some():
    w = variable(3, 3, 16, 20)
    shapes = [(2, 8, 8, 16), (1, 12, 12, 16)]
    programs = [
        (program_of(lambda x, s=s: {"y": ops.conv2d(x, w, strides=s, padding="same")}, *shape), shape, s)
        for shape in shapes
        for s in (1, 2)
    ]
    for program, shape, s in programs * 2:
        x = random(*shape)
        assert np.array_equal(program.run(x=x)["y"], ops.conv2d(x, w, strides=s, padding="same").numpy())
    assert 2 <= len(w.packings) <= 4
    for dilation in range(1, 8):
        ops.conv2d(random(1, 30, 30, 16), w, dilation_rate=dilation)
    assert len(w.packings) <= 4


def test_packed_again_after_a_write_and_freed():
    w = variable(3, 3, 16, 16)
    program = program_of(convolution(w), 2, 8, 8, 16)
    x = random(2, 8, 8, 16)
    program.run(x=x)
    old = weakref.ref(next(iter(w.packings[0].buffers.values())))
    w.assign(random(3, 3, 16, 16, seed=1))
    assert np.array_equal(program.run(x=x)["y"], ops.conv2d(x, w.numpy().copy(), padding="same").numpy())
    gc.collect()
    assert old() is None and len(w.packings) == 1
    alive = weakref.ref(next(iter(w.packings[0].buffers.values())))
    del w, program
    gc.collect()
    assert alive() is None


def test_a_derived_kernel_keeps_no_values():
    w, scale = variable(3, 3, 16, 16), variable(16)
    program = program_of(lambda x: {"y": ops.conv2d(x, w * scale, padding="same")}, 1, 8, 8, 16)
    x = random(1, 8, 8, 16)
    for _ in range(2):
        want = ops.conv2d(x, w.numpy() * scale.numpy(), padding="same").numpy()
        assert np.array_equal(program.run(x=x)["y"], want)
        scale.assign(random(16, seed=5))
    assert all(isinstance(key, (str, tuple)) for key in program.memory.slots), "only what is packed has a slot"
    derived = program.graph.nodes[0].inputs["kernel"].derived
    assert all(reference() is None for reference in derived._made.values())


def test_unpickled_tensors_pack_anew():
    w = variable(20, 7)
    ops.dense(random(3, 20), w)
    assert w.packings and pickle.loads(pickle.dumps(w)).packings == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork():
    w = variable(3, 3, 16, 16)
    program = program_of(convolution(w), 1, 8, 8, 16)
    x = random(1, 8, 8, 16)
    program.run(x=x)
    child = os.fork()
    if not child:
        status = 1
        try:
            w.assign(random(3, 3, 16, 16, seed=1))
            want = ops.conv2d(x, w.numpy().copy(), padding="same").numpy()
            status = 0 if np.array_equal(program.run(x=x)["y"], want) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_run_while_another_writes():
    w = fastconv.tensor(np.ones((3, 3, 16, 16), np.float32))
    programs = [program_of(lambda x: {"y": ops.conv2d(x, w * 1.0, padding="same")}, n, 8, 8, 16) for n in (1, 2)]
    wrong, stop = [], threading.Event()

    def read(program, n):
        x = np.ones((n, 8, 8, 16), np.float32)
        while not stop.is_set():
            y = program.run(x=x)["y"]
            if not (np.isfinite(y).all() and 4 * 16 <= y.min() and y.max() <= 2 * 9 * 16):
                wrong.append((y.min(), y.max()))

    threads = [threading.Thread(target=read, args=(p, n)) for p, n in zip(programs * 2, (1, 2) * 2, strict=True)]
    for thread in threads:
        thread.start()
    for i in range(200):
        w.assign(np.full(w.shape, 1 + i % 2, np.float32))
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert np.array_equal(programs[0].run(x=np.ones((1, 8, 8, 16)))["y"][0, 4, 4], np.full(16, 2 * 9 * 16))
