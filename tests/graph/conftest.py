"""What the tests of passes share."""

import numpy as np

import fastconv
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
