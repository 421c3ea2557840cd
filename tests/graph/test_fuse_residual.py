"""A sum becomes part of the convolution or dense before it."""

import pytest

from fastconv import ops

from .conftest import check, constant, random, title


@pytest.mark.parametrize("first", [True, False])
def test_residual(linear, first):
    name, op, x, shape = linear
    if name == "conv2d_transpose":
        pytest.skip("takes no residual")
    b, residual = constant(shape[-1], seed=2), random(*shape, seed=3)

    def fn(x, r):
        return {"y": ops.relu(ops.add_n([op(x, b), r] if first else [r, op(x, b)]))}

    check(fn, x, residual, left=[title(name)], exact=False)


def test_the_later_of_two_branches_takes_the_sum():
    one, two = constant(1, 1, 5, 8), constant(3, 3, 5, 8)

    def fn(x):
        return {"y": ops.add_n([ops.conv2d(x, one), ops.conv2d(x, two, padding="same")])}

    program = check(fn, random(1, 6, 6, 5), left=["conv2d", "conv2d"], exact=False)
    assert "residual" in program.graph.nodes[1].inputs and "residual" not in program.graph.nodes[0].inputs


def test_sums_that_stay():
    weight = constant(1, 1, 5, 5)

    def doubled(x):
        y = ops.conv2d(x, weight)
        return {"y": ops.add_n([y, y])}

    def three(x):
        return {"y": ops.add_n([ops.conv2d(x, weight), x, x])}

    def read_twice(x):
        y = ops.conv2d(x, weight)
        return {"y": ops.add_n([y, x]), "z": y}

    for fn in (doubled, three, read_twice):
        check(fn, random(1, 6, 6, 5), left=["conv2d", "add_n"])
