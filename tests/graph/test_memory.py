"""Where values live: parts of concatenations, nothing written over inputs, the report."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.graph import Program, trace
from fastconv.op import Spec

from .conftest import check, compiled, constant, eager, random


def copies(program):
    """Return how many copies the concatenations of a program make."""
    titles = [node.title for node in program.graph.nodes]
    return sum(len(phase) for position, phase, _ in program.phases() if titles[position] == "concatenate")


def test_parts_of_a_concatenation_are_written_in_place():
    def fn(x, z):
        return {"y": ops.tanh(ops.concatenate([ops.relu(x), ops.sigmoid(z), ops.relu6(x)], 1))}

    x, z = random(1, 3, 5), random(1, 7, 5)
    program = check(fn, x, z, left=["relu", "sigmoid", "relu6", "concatenate", "tanh"])
    assert copies(program) == 0


def test_the_whole_may_be_an_output():
    def fn(x, z):
        return {"y": ops.concatenate([ops.relu(x), ops.sigmoid(z)], 0)}

    x, z = random(3, 5), random(7, 5)
    program = check(fn, x, z, left=["relu", "sigmoid", "concatenate"])
    assert copies(program) == 0 and program.nbytes == 0


def test_nested_concatenations():
    def fn(x):
        inner = ops.concatenate([ops.relu(x), ops.tanh(x)], 0)
        return {"y": ops.concatenate([ops.sigmoid(x), inner], 0)}

    assert copies(check(fn, random(3, 5), left=["relu", "tanh", "concatenate", "sigmoid", "concatenate"])) == 0


COPIED = {  # and how often
    "an input": (lambda x: ops.concatenate([x, ops.relu(x)], 0), 1),
    "a constant": (lambda x: ops.concatenate([ops.relu(x), CONSTANT], 0), 1),
    "rows between": (lambda x: ops.concatenate([ops.relu(x), ops.tanh(x)], 1), 2),
    "twice": (lambda x: (lambda y: ops.concatenate([y, y], 0))(ops.relu(x)), 2),
    "read later": (lambda x: (lambda y: ops.concatenate([y, ops.tanh(x)], 0)[:3] + y)(ops.relu(x)), 1),
    "in two": (lambda x: (lambda y: ops.concatenate([y, x], 0) + ops.concatenate([x, y], 0))(ops.relu(x)), 3),
}
CONSTANT = constant(2, 5)


@pytest.mark.parametrize("form", COPIED)
def test_what_is_copied_all_the_same(form):
    fn, count = COPIED[form]
    program, got = compiled(lambda x: {"y": fn(x)}, random(3, 5))
    assert np.array_equal(got["y"], eager(lambda x: {"y": fn(x)}, random(3, 5))["y"])
    assert copies(program) == count


def test_a_part_stays_until_all_have_read_it():
    """relu(whole) may not be written over a part that is read after it."""

    def fn(x):
        y = ops.tanh(x)
        whole = ops.concatenate([y, ops.sigmoid(x)], 0)
        return {"z": ops.relu(whole), "y": ops.relu6(y)}

    x = random(3, 5)
    _, got = compiled(fn, x)
    for name, value in eager(fn, x).items():
        assert np.array_equal(got[name], value)


def test_nothing_is_written_over_an_input():
    def fn(x):
        return {"y": ops.relu6(ops.relu(ops.flatten(x)))}

    x = random(3, 4, 5)
    x.flags.writeable = False
    before = x.copy()
    _, got = compiled(fn, x)
    assert np.array_equal(x, before) and np.array_equal(got["y"], np.maximum(before, 0).reshape(3, 20))


def test_inputs_of_every_layout():
    program = Program(trace(lambda x: {"y": ops.relu(x) * 2.0}, {"x": Spec((4, 6))}))
    x = random(4, 6)
    want = program.run(x=x)["y"]
    raw = np.zeros(4 * 6 * 4 + 1, np.uint8)
    unaligned = raw[1:].view(np.float32).reshape(4, 6)
    unaligned[...] = x
    for form in (np.asfortranarray(x), x[::-1][::-1], x.astype(">f4"), unaligned, x.tolist(), np.ma.array(x)):
        assert np.array_equal(program.run(x=form)["y"], want)
    assert np.array_equal(program.run(x=x.astype(np.float64))["y"], want)


# ---- the report


def network():
    kernel, bias, weight = constant(3, 3, 16, 16), constant(16), constant(64, 10)

    def fn(x):
        y = ops.max_pool2d(ops.relu(ops.conv2d(x, kernel, padding="same") + bias))
        return {"y": ops.softmax(ops.dense(ops.flatten(ops.max_pool2d(y)), weight))}

    return kernel, bias, weight, fn


def test_report():
    kernel, bias, weight, fn = network()
    program = Program(trace(fn, {"x": Spec((2, 8, 8, 16))}))
    plan = program.memory_plan()
    assert not kernel.packings and not program._idle, "nothing has been allocated"
    assert plan.inputs == 2 * 8 * 8 * 16 * 4 and plan.outputs == 2 * 10 * 4
    assert plan.weights == sum(t.data.nbytes for t in (kernel, bias, weight))
    assert plan.derived == bias.data.nbytes
    assert plan.arena == program.nbytes >= plan.peak >= 2 * 4 * 4 * 16 * 4  # a pooled convolution's result
    program.run(x=random(2, 8, 8, 16))
    packings = [*kernel.packings, *weight.packings]
    assert plan.packed == sum(array.nbytes for packing in packings for array in packing.buffers.values())
    assert str(plan).startswith("arena") and "conv2d" in str(plan)
    assert plan.buffers[0].nbytes == max(line.nbytes for line in plan.buffers)


def test_report_counts_a_shared_weight_once():
    weight = constant(20, 20)
    program = Program(trace(lambda x: {"y": ops.dense(ops.dense(x, weight), weight)}, {"x": Spec((3, 20))}))
    plan = program.memory_plan()
    program.run(x=random(3, 20))
    assert plan.weights == weight.data.nbytes
    assert plan.packed == sum(a.nbytes for packing in weight.packings for a in packing.buffers.values())


def test_report_of_a_training_program():
    w = fastconv.tensor(random(20, 20))

    def step(x):
        y = ops.dense(x, w)
        w.assign(w - ops.matmul(ops.transpose(x), y))
        return {"y": y}

    plan = Program(trace(step, {"x": Spec((3, 20))})).memory_plan()
    assert plan.packed == 0 and plan.weights == w.data.nbytes and plan.peak <= plan.arena <= 1.1 * plan.peak + 64 * 8


# ---- channels of images side by side: rows of the whole lie apart


def images(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


POINT, SQUARE, NARROW = constant(1, 1, 16, 64), constant(3, 3, 16, 40), constant(3, 3, 16, 3)
GROUPED, WIDE, LAST, BIAS = constant(3, 3, 8, 36), constant(1, 1, 16, 33), constant(1, 1, 16, 7), constant(40)
BRANCHES = {
    "1x1": lambda x: ops.conv2d(x, POINT, activation="relu"),
    "winograd": lambda x: ops.conv2d(x, SQUARE, BIAS, padding="same"),
    "rows of the activation": lambda x: ops.conv2d(x, SQUARE, padding="same", activation="silu"),
    "three outputs": lambda x: ops.conv2d(x, NARROW, padding="same", activation="sigmoid"),
    "groups": lambda x: ops.conv2d(x, GROUPED, padding="same", groups=2),
    "a vector and a bit": lambda x: ops.conv2d(x, WIDE, activation="tanh"),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [(21, 20), (4, 5), (1, 1)])
@pytest.mark.parametrize("branch", BRANCHES)
def test_channels_are_written_where_they_belong(branch, size, threads):
    def fn(x):
        return {"y": ops.tanh(ops.concatenate([BRANCHES[branch](x), ops.relu(x), ops.conv2d(x, LAST)]))}

    x = images(3, *size, 16)
    with fastconv.num_threads(threads):
        program, got = compiled(fn, x)
    assert np.array_equal(got["y"], eager(fn, x)["y"])
    assert copies(program) == 1  # of relu


def test_a_whole_of_channels_may_be_an_output():
    def fn(x):
        return {"y": ops.concatenate([BRANCHES["1x1"](x), BRANCHES["winograd"](x)])}

    x = images(2, 9, 9, 16)
    program, got = compiled(fn, x)
    assert np.array_equal(got["y"], eager(fn, x)["y"])
    assert copies(program) == 0 and program.nbytes == 0


def test_infinities_within_a_wider_output():
    def fn(x):
        return {"y": ops.concatenate([BRANCHES["winograd"](x), BRANCHES["1x1"](x)])}

    x = images(2, 9, 9, 16)
    x[1, 4, 4, 3] = np.inf
    with np.errstate(all="ignore"):
        program, got = compiled(fn, x)
        assert np.array_equal(got["y"], eager(fn, x)["y"], equal_nan=True)
    assert copies(program) == 0 and not np.isfinite(got["y"]).all()


@pytest.mark.parametrize("form", ["a residual", "twice", "read beside"])
def test_channels_that_are_copied(form):
    def fn(x):
        y = BRANCHES["winograd"](x)
        if form == "a residual":
            y = ops.conv2d(x, SQUARE, padding="same", residual=y)
        z = ops.concatenate([y, y if form == "twice" else BRANCHES["1x1"](x)])
        return {"y": z + 1, **({"beside": ops.tanh(y)} if form == "read beside" else {})}

    x = images(2, 9, 9, 16)
    program, got = compiled(fn, x)
    want = eager(fn, x)
    assert all(np.array_equal(got[name], want[name]) for name in want)
    assert copies(program) == {"a residual": 1, "twice": 2, "read beside": 1}[form]
