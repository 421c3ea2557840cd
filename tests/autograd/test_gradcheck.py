"""gradcheck finds wrong gradients."""

from typing import NamedTuple

import numpy as np
import pytest

from fastconv.autograd import apply, gradcheck, tensor
from fastconv.errors import ArgumentError, GradientError
from fastconv.op import Op


class Attrs(NamedTuple):
    factor: float


CUBE = Op(
    name="cube",
    inputs=("x",),
    outputs=("y",),
    infer=lambda specs, attrs: {"y": specs["x"]},
    reference=lambda arrays, attrs: {"y": arrays["x"] ** 3},
    reference_backward=lambda arrays, attrs, needs: {"dx": attrs.factor * arrays["dy"] * arrays["x"] ** 2},
    keeps=lambda attrs, needs: ("x",),
    attrs=Attrs,
    differentiable=frozenset({"x"}),
)


@pytest.mark.parametrize("shape", [(), (3,), (20, 7)])
def test_right_and_wrong(shape):
    x = np.random.default_rng(0).standard_normal(shape)
    assert gradcheck(lambda t: apply(CUBE, (t,), Attrs(3.0)), [x])
    with pytest.raises(GradientError, match="input 0 at"):
        gradcheck(lambda t: apply(CUBE, (t,), Attrs(3.001)), [x])
    with pytest.raises(GradientError):
        gradcheck(lambda t: apply(CUBE, (t,), Attrs(np.nan)), [x])


def test_names_the_worst_element():
    def f(a, b):
        return a * a, apply(CUBE, (b,), Attrs(2.0))

    with pytest.raises(GradientError, match=r"input 1 at element \(1,\)"):
        gradcheck(f, [np.ones(2), np.array([1.0, 10.0])])


def test_inputs():
    assert gradcheck(lambda x: x * 2, tensor([1.0, 2.0]))
    assert gradcheck(lambda x, i: x[i], [np.arange(4.0), np.array([1, 1])])
    assert gradcheck(lambda x, y: x * 1, [np.ones(2), np.ones(2)])  # y is not used: its gradient is zero
    with pytest.raises(ArgumentError, match="float"):
        gradcheck(lambda i: i, [np.arange(3)])
