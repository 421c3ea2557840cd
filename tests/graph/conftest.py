"""What the tests of passes share."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.graph import Program, trace
from fastconv.op import Spec


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def constant(*shape, seed=0):
    return fastconv.tensor(random(*shape, seed=seed))


def titles(graph):
    return [node.title for node in graph.nodes]


def eager(fn, *arrays):
    """Return {name: array} of the function, operation by operation."""
    with fastconv.no_grad():
        results = fn(*map(fastconv.tensor, arrays))
    return {name: tensor.numpy() for name, tensor in results.items()}


def compiled(fn, *arrays):
    """Return (program, {name: array}) of the function, traced and optimised; the inputs are x0, x1, ..."""
    inputs = {f"x{i}": array for i, array in enumerate(arrays)}
    program = Program(trace(lambda **xs: fn(*xs.values()), {name: Spec(a.shape) for name, a in inputs.items()}))
    return program, program.run(**inputs)


def check(fn, *arrays, left, exact=True, rtol=1e-5):
    """Compare a program with eager calls; `left` are the titles of the nodes that it should have."""
    program, got = compiled(fn, *arrays)
    want = eager(fn, *arrays)
    assert titles(program.graph) == left
    for name, value in want.items():
        if exact:
            assert np.array_equal(got[name], value), name
        else:
            scale = max(np.abs(value).max(), 1e-3)
            assert np.abs(got[name] - value).max() <= rtol * scale, name
    return program


LINEAR = {
    "conv1d": (ops.conv1d, (2, 9, 6), (3, 6, 10)),
    "conv2d": (ops.conv2d, (2, 7, 6, 5), (3, 3, 5, 10)),
    "conv3d": (ops.conv3d, (1, 4, 5, 4, 3), (2, 3, 3, 3, 4)),
    "depthwise_conv2d": (ops.depthwise_conv2d, (2, 7, 6, 4), (3, 3, 4, 3)),
    "conv2d_transpose": (ops.conv2d_transpose, (2, 4, 4, 6), (3, 3, 10, 6)),
    "dense": (ops.dense, (5, 20), (20, 7)),
}
WINOGRAD = (lambda *a, **k: ops.conv2d(*a, padding="same", **k), (1, 9, 9, 16), (3, 3, 16, 32))
ALL = {**LINEAR, "winograd": WINOGRAD}


def title(name):
    """Return the operation of a `linear`."""
    return "conv2d" if name == "winograd" else name


@pytest.fixture(params=ALL)
def linear(request):
    """(name, function of x and what comes after its weights, an x, the shape of y) of each of them in turn."""
    op, x, kernel = ALL[request.param]
    weight = constant(*kernel)
    shape = eager(lambda x: {"y": op(x, weight)}, random(*x))["y"].shape
    return request.param, lambda x, *rest: op(x, weight, *rest), random(*x, seed=1), shape
