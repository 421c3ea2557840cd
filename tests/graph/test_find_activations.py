"""Activations written as arithmetic become one node."""

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv.op import REGISTRY

from .conftest import check, compiled, eager, random, titles

X = 4 * random(3, 50, seed=1)


def clip(x, low, high):
    return ops.minimum(ops.maximum(x, low), high)


FORMS = {
    "relu": [lambda x: ops.maximum(x, 0.0), lambda x: ops.maximum(0.0, x)],
    "relu6": [lambda x: clip(x, 0.0, 6.0), lambda x: ops.maximum(ops.minimum(x, 6.0), 0.0)],
    "clip": [lambda x: clip(x, -1.0, 0.5), lambda x: ops.maximum(x, 1.0), lambda x: ops.minimum(x, 1.0)],
    "silu": [lambda x: x * ops.sigmoid(x), lambda x: ops.sigmoid(x) * x],
    "hard_swish": [
        lambda x: x * clip(x + 3.0, 0.0, 6.0) / 6.0,
        lambda x: x * (clip(3.0 + x, 0.0, 6.0) / 6.0),
        lambda x: clip(x + 3.0, 0.0, 6.0) * x * (1 / 6),
        lambda x: x * ops.relu6(x + 3.0) / 6.0,
    ],
    "mish": [lambda x: x * ops.tanh(ops.softplus(x))],
}


@pytest.mark.parametrize("name", FORMS)
def test_found(name):
    if "clip" not in REGISTRY:
        pytest.skip("there are no such activations")
    for form in FORMS[name]:
        check(lambda x, form=form: {"y": form(x)}, X, left=[name], exact=name in ("relu", "relu6", "clip"))


OTHERS = {
    "another factor": lambda x: x * ops.sigmoid(2.0 * x),
    "plus two": lambda x: x * clip(x + 2.0, 0.0, 6.0) / 6.0,
    "a fifth": lambda x: x * clip(x + 3.0, 0.0, 6.0) / 5.0,
    "limits that cross": lambda x: ops.maximum(ops.minimum(x, -1.0), 1.0),
    "six by that": lambda x: 6.0 / (x * clip(x + 3.0, 0.5, 6.0)),
    "six by the ramp": lambda x: x * (6.0 / clip(x + 3.0, 0.0, 6.0)),
    "no number": lambda x: ops.maximum(x, float("nan")),
    "by itself": lambda x: ops.sigmoid(x) * ops.sigmoid(x),
    "wider than x": lambda x: ops.maximum(x, fastconv.tensor(np.zeros((2, 1, 1), np.float32))),
}


@pytest.mark.parametrize("form", OTHERS)
def test_not_found(form):
    def fn(x):
        return {"y": OTHERS[form](x)}

    program, got = compiled(fn, X)
    assert not {"silu", "hard_swish", "mish"} & set(titles(program.graph))
    assert np.allclose(got["y"], eager(fn, X)["y"], rtol=1e-6, atol=1e-6, equal_nan=True)


def test_a_factor_that_others_read():
    def fn(x):
        gate = ops.sigmoid(x)
        return {"y": x * gate, "gate": gate}

    check(fn, X, left=["sigmoid", "multiply"])


def test_a_limit_may_change():
    """The limit is a variable of the user's: the program follows it."""
    limit = fastconv.tensor(0.0)

    def fn(x):
        return {"y": ops.maximum(x, limit)}

    program = check(fn, X, left=["relu"])
    for value in (-1.0, 2.0, 0.0):
        limit.assign(value)
        for _ in range(2):
            assert np.array_equal(program.run(x0=X)["y"], np.maximum(X, value))
