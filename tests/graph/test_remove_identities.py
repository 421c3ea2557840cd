"""Nodes that change nothing are removed."""

import numpy as np
import pytest

from fastconv import ops

from .conftest import check, compiled, random, titles

X = random(2, 3, 4, 5)
FORMS = {
    "transposes": (lambda x: ops.transpose(ops.transpose(x, (0, 2, 3, 1)), (0, 3, 1, 2)), []),
    "two transposes": (lambda x: ops.transpose(ops.transpose(x, (0, 2, 3, 1)), (0, 2, 3, 1)), ["transpose"]),
    "no transpose": (lambda x: ops.transpose(x, (0, 1, 2, 3)), []),
    "reshapes": (lambda x: ops.reshape(ops.flatten(x), (6, 20)), ["reshape"]),
    "there and back": (lambda x: ops.reshape(ops.reshape(x, (6, -1)), (2, 3, 4, 5)), []),
    "pad": (lambda x: ops.pad(x, ((0, 0),) * 4), []),
    "slice": (lambda x: x[:, 0:, ...], []),
    "sum of one": (lambda x: ops.add_n([x]), []),
    "concatenate one": (lambda x: ops.concatenate([x], 1), []),
    "pooling": (lambda x: ops.max_pool2d(x, 1, 1), []),
    "upsampling": (lambda x: ops.upsample(x, 1), []),
}


@pytest.mark.parametrize("form", FORMS)
def test_identities(form):
    fn, left = FORMS[form]
    program = check(lambda x: {"y": fn(x)}, X, left=left)
    assert not np.shares_memory(program.run(x0=X)["y"], X)
    check(lambda x: {"y": fn(ops.relu(x)) * 2.0, "z": fn(x)}, X, left=titles(compiled(
        lambda x: {"y": fn(ops.relu(x)) * 2.0, "z": fn(x)}, X)[0].graph))  # fmt: skip


def test_a_transpose_of_axes_of_one_moves_nothing():
    x = random(2, 1, 7, 1)
    check(lambda x: {"y": ops.transpose(x, (0, 3, 1, 2))}, x, left=["reshape"])
    check(lambda x: {"y": ops.transpose(ops.transpose(x, (2, 0, 1, 3)), (1, 3, 0, 2))}, x, left=["reshape"])


def test_not_identities():
    check(lambda x: {"y": x[:, ::-1]}, X, left=["getitem"])
    check(lambda x: {"y": ops.max_pool2d(x, 1, 2)}, X, left=["max_pool2d"])
    check(lambda x: {"y": ops.transpose(x, (0, 2, 1, 3))}, X, left=["transpose"])
