"""Tracing, memory planning and programs, on small functions."""

import threading

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.autograd import Tensor, gradients
from fastconv.errors import ArgumentError, ShapeError
from fastconv.graph import Program, trace
from fastconv.graph.memory import Buffer, assign_offsets
from fastconv.op import Spec


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def variable(array, name):
    return fastconv.tensor(np.asarray(array, np.float32), requires_grad=True, name=name)


def two_layers(kernel, bias, weight):
    def fn(x):
        y = ops.conv2d(x, kernel, bias, padding="same", activation="relu")
        y = ops.max_pool2d(y)
        return {"y": ops.dense(ops.flatten(y), weight)}

    return fn


@pytest.fixture
def network():
    kernel, bias = variable(random(3, 3, 3, 20), "kernel"), variable(random(20), "bias")
    weight = variable(random(4 * 4 * 20, 7), "weight")
    return kernel, bias, weight, two_layers(kernel, bias, weight)


def test_program_equals_eager(network):
    *_, fn = network
    x = random(5, 8, 8, 3, seed=1)
    program = Program(trace(fn, {"x": Spec(x.shape)}))
    with fastconv.no_grad():
        expected = fn(x)["y"].numpy()
    for threads in (1, 2, 3):
        with fastconv.num_threads(threads):
            assert np.array_equal(program.run(x=x)["y"], expected)


def test_graph_prints(network):
    *_, fn = network
    text = str(trace(fn, {"x": Spec((1, 8, 8, 3))}))
    assert "conv2d(x=%x:float32[1, 8, 8, 3], kernel=%kernel:float32[3, 3, 3, 20]" in text
    assert text.count("\n") == 5


def test_inputs_are_cast_and_checked(network):
    *_, fn = network
    program = Program(trace(fn, {"x": Spec((2, 8, 8, 3))}))
    images = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3))
    expected = program.run(x=images.astype(np.float32))["y"]
    for dtype in (np.uint8, np.int64, np.float64):
        assert np.array_equal(program.run(x=images.astype(dtype))["y"], expected)
    with pytest.raises(ShapeError, match=r"input 'x' has shape \(1, 8, 8, 3\), this program takes \(2, 8, 8, 3\)"):
        program.run(x=images[:1])
    with pytest.raises(ArgumentError, match="this program takes"):
        program.run(z=images)


def test_new_weights_are_used(network):
    kernel, _, _, fn = network
    x = random(2, 8, 8, 3)
    program = Program(trace(fn, {"x": Spec(x.shape)}))
    program.run(x=x)
    kernel.assign(random(3, 3, 3, 20, seed=9))
    with fastconv.no_grad():
        assert np.array_equal(program.run(x=x)["y"], fn(x)["y"].numpy())


def test_results_do_not_alias_the_arena(network):
    *_, fn = network
    program = Program(trace(fn, {"x": Spec((1, 8, 8, 3))}))
    first = program.run(x=random(1, 8, 8, 3, seed=1))["y"]
    copy = first.copy()
    program.run(x=random(1, 8, 8, 3, seed=2))
    assert np.array_equal(first, copy)


def test_concurrent_runs(network):
    *_, fn = network
    program = Program(trace(fn, {"x": Spec((2, 8, 8, 3))}))
    inputs = [random(2, 8, 8, 3, seed=i) for i in range(4)]
    expected = [program.run(x=x)["y"] for x in inputs]
    wrong = []

    def work(i):
        for _ in range(50):
            if not np.array_equal(program.run(x=inputs[i])["y"], expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_traced_gradients_equal_eager(network):
    kernel, bias, weight, fn = network
    x, variables = random(3, 8, 8, 3), [kernel, bias, weight]

    def step(x):
        loss = ops.mean(ops.square(fn(x)["y"]))
        return {"loss": loss, **dict(zip("abc", gradients(loss, variables), strict=True))}

    program = Program(trace(step, {"x": Spec(x.shape)}))
    expected = {name: tensor.numpy() for name, tensor in step(fastconv.tensor(x)).items()}
    got = program.run(x=x)
    for name in expected:
        assert np.array_equal(got[name], expected[name]), name
    assert kernel.grad is None


def test_updates_happen_in_place():
    w = variable(random(6), "w")
    data, version = w.data, w.version
    program = Program(trace(lambda x: (w.assign(w - x), {"y": w * 2})[1], {"x": Spec((6,))}))
    before = w.numpy().copy()
    x = random(6, seed=3)
    y = program.run(x=x)["y"]
    assert w.data is data and w.version > version
    assert np.allclose(w.numpy(), before - x) and np.allclose(y, 2 * (before - x))


def test_swapped_updates():
    a, b = variable(np.zeros(4), "a"), variable(np.ones(4), "b")

    def swap(x):
        old_a, old_b = a + 0.0, b
        a.assign(old_b)
        b.assign(old_a)
        return {"y": x}

    program = Program(trace(swap, {"x": Spec((1,))}))
    program.run(x=[0])
    assert a.numpy().all() and not b.numpy().any()


def test_old_value_read_after_the_update():
    w = variable(np.full(40, 3.0), "w")

    def step(x):
        old = w * 1.0
        w.assign(ops.relu(w - x))
        return {"y": old + x}

    y = Program(trace(step, {"x": Spec((40,))})).run(x=np.ones(40))["y"]
    assert np.all(y == 4) and np.all(w.numpy() == 2)


def test_same_operand_twice():
    def fn(x):
        y = ops.relu(x)
        return {"y": ops.relu(ops.add_n([y, y, y]))}

    x = random(3, 70)
    assert np.allclose(Program(trace(fn, {"x": Spec(x.shape)})).run(x=x)["y"], 3 * np.maximum(x, 0))


def test_dead_nodes_are_removed():
    graph = trace(lambda x: (ops.softmax(x), {"y": ops.relu(x)})[1], {"x": Spec((2, 3))})
    assert [node.op.name for node in graph.nodes] == ["softmax", "relu"]
    assert [node.op.name for node in Program(graph).graph.nodes] == ["relu"]


def test_values_are_refused_while_tracing():
    with pytest.raises(fastconv.errors.UnsupportedOpError, match="while a function is traced"):
        trace(lambda x: {"y": x * float(x[0])}, {"x": Spec((3,))})
    assert isinstance(fastconv.tensor([1.0]) + 1, Tensor), "the tracer is gone after an error"


def test_offsets_never_overlap_in_time():
    rng = np.random.default_rng(0)
    for _ in range(30):
        buffers = []
        for _ in range(40):
            first = int(rng.integers(0, 30))
            buffers.append(Buffer(int(rng.integers(1, 5000)), first, first + int(rng.integers(0, 8))))
        total = assign_offsets(buffers)
        for i, a in enumerate(buffers):
            assert a.offset % 64 == 0 and a.offset + a.nbytes <= total
            for b in buffers[:i]:
                if a.first <= b.last and b.first <= a.last:
                    assert a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset
        peak = max(sum(b.nbytes + 63 for b in buffers if b.first <= t <= b.last) for t in range(40))
        assert total <= 1.5 * peak


def test_old_value_kept_by_another_update():
    old, w = variable(np.zeros(2), "old"), variable([-1, 2], "w")

    def step(x):
        old.assign(w)
        w.assign(ops.relu(w))
        return {"y": x}

    Program(trace(step, {"x": Spec((1,))})).run(x=[0])
    assert old.numpy().tolist() == [-1, 2] and w.numpy().tolist() == [0, 2]


def test_detached_variable_sees_the_update():
    w = variable([-1, 2], "w")

    def step(x):
        w.assign(ops.relu(w))
        return {"y": w.detach() + x}

    assert Program(trace(step, {"x": Spec((2,))})).run(x=[0, 0])["y"].tolist() == [0, 2]


def test_view_of_an_updated_variable_is_refused():
    w = variable(np.ones((2, 3)), "w")
    with fastconv.no_grad():
        view = w.reshape((6,))

    def step(x):
        w.assign(w * 2.0)
        return {"y": view + x}

    with pytest.raises(fastconv.errors.UnsupportedOpError, match=r"a view of shape \(6,\) of a variable is used after"):
        trace(step, {"x": Spec((6,))})


def test_view_read_before_the_update():
    w = variable(np.ones((2, 3)), "w")
    with fastconv.no_grad():
        view = w.reshape((6,))

    def step(x):
        y = view + x
        w.assign(ops.relu(w - 3.0))
        return {"y": y * 1.0}

    assert Program(trace(step, {"x": Spec((6,))})).run(x=np.zeros(6))["y"].tolist() == [1] * 6
    assert not w.numpy().any()


@pytest.mark.parametrize("view", [lambda w: w.T, lambda w: w[::-1], lambda w: w[:, 1:]], ids=["T", "reversed", "slice"])
def test_captured_views(view):
    w = variable(np.arange(12.0).reshape(3, 4), "w")
    with fastconv.no_grad():
        captured = view(w)
    x = random(5, captured.shape[0])
    program = Program(trace(lambda x: {"y": ops.matmul(x, captured)}, {"x": Spec(x.shape)}))
    for _ in range(2):
        assert np.allclose(program.run(x=x)["y"], x @ np.asarray(captured), rtol=1e-6, atol=1e-5)
        w.assign(random(3, 4, seed=5))


def test_two_programs_of_one_variable_from_two_threads():
    w = variable(np.zeros(1000), "w")
    programs = [Program(trace(lambda x: (w.assign(w + ops.mean(x)), {"y": x})[1], {"x": Spec((n,))})) for n in (3, 5)]
    threads = [
        threading.Thread(target=lambda p=p, n=n: [p.run(x=np.ones(n)) for _ in range(300)])
        for p, n in zip(programs, (3, 5), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.all(w.numpy() == 600)


def test_inference_saves_nothing_for_a_backward_pass():
    x = random(2, 9, 9, 5)
    expected = ops.max_pool2d(x, 5, 1, "same").numpy()
    inference = Program(trace(lambda x: {"y": ops.max_pool2d(x, 5, 1, "same")}, {"x": Spec(x.shape)}))
    assert [list(node.outputs) for node in inference.graph.nodes] == [["y"]]
    assert np.array_equal(inference.run(x=x)["y"], expected)

    def step(x):
        y = ops.max_pool2d(x * weight, 5, 1, "same")
        return {"y": y, "dweight": gradients(y.sum(), [weight])[0]}

    weight = variable(random(5), "weight")
    training = Program(trace(step, {"x": Spec(x.shape)}))
    pools = [node for node in training.graph.nodes if node.op.name == "max_pool2d" and node.needs is None]
    assert [list(node.outputs) for node in pools] == [["y", "index"]]


def test_a_number_written_to_often_leaves_one_program():
    limit = Tensor(np.zeros((), "float32"))
    program = Program(trace(lambda x: {"y": ops.maximum(x, limit)}, {"x": Spec((3,))}))
    x = np.array([-5, 0.5, 9], "float32")
    for number in range(1200):  # more than Python's limit of recursion
        limit.assign(np.float32(number / 200))
        assert program.run(x=x)["y"].tolist() == np.maximum(x, np.float32(number / 200)).tolist()
    assert program.current()._renewed is None


def test_gradients_of_equal_constants_and_different_shapes():
    x, z = Tensor(np.ones((2, 3), "float32"), True), Tensor(np.ones((4, 5), "float32"), True)

    def fn(a):
        dx, dz = gradients(ops.sum(x * a), [x])[0], gradients(ops.sum(z * a), [z])[0]
        return {"dx": dx, "dz": dz}

    got = Program(trace(fn, {"a": Spec(())})).run(a=np.float32(2))
    assert (got["dx"] == np.full((2, 3), 2)).all() and (got["dz"] == np.full((4, 5), 2)).all()
