"""Matrix products in all four transpositions, against BLAS. Packing is part of every call on both sides."""

import baseline
import numpy as np
import pytest
from rows import Operation

from fastconv.ops.matmul import OP, Attrs

# (m, k, n, transpose_a, transpose_b)
CASES = [
    pytest.param(128, 128, 128, False, False, id="128x128x128", marks=pytest.mark.short),
    pytest.param(768, 768, 768, False, False, id="768x768x768"),
    pytest.param(768, 768, 768, False, True, id="768x768x768, b transposed"),
    pytest.param(768, 768, 768, True, False, id="768x768x768, a transposed"),
    pytest.param(768, 768, 768, True, True, id="768x768x768, both transposed"),
    pytest.param(32, 2048, 128, False, False, id="32x2048x128, a dense layer"),
    pytest.param(1, 576, 64, False, False, id="1x576x64, a dense layer at batch 1"),
    pytest.param(16384, 32, 32, False, False, id="16384x32x32, many rows"),
]
OVER_CASES = pytest.mark.parametrize(("m", "k", "n", "transpose_a", "transpose_b"), CASES)


def operation(m, k, n, transpose_a, transpose_b):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((k, m) if transpose_a else (m, k), np.float32)
    b = rng.standard_normal((n, k) if transpose_b else (k, n), np.float32)
    return Operation(OP, {"a": a, "b": b}, Attrs(transpose_a, transpose_b))


def as_product(operation):
    """Return (A, B, dy): the operands as they are multiplied."""
    a, b, dy = (operation.arrays[name] for name in ("a", "b", "dy"))
    return a.T if operation.attrs.transpose_a else a, b.T if operation.attrs.transpose_b else b, dy


@OVER_CASES
def test_forward(row, request, m, k, n, transpose_a, transpose_b):
    o = operation(m, k, n, transpose_a, transpose_b)
    a, b, _ = as_product(o)
    ways = baseline.matmul("y", a, b)
    row.measure("product", request.node.callspec.id, "forward", o.forward, ways, flops=2 * m * k * n)


@OVER_CASES
def test_backward_a(row, request, m, k, n, transpose_a, transpose_b):
    o = operation(m, k, n, transpose_a, transpose_b)
    _, b, dy = as_product(o)
    ways = baseline.matmul("da", *((b, dy.T) if transpose_a else (dy, b.T)))
    row.measure("product", request.node.callspec.id, "backward a", o.backward("a"), ways, flops=2 * m * k * n)


@OVER_CASES
def test_backward_b(row, request, m, k, n, transpose_a, transpose_b):
    o = operation(m, k, n, transpose_a, transpose_b)
    a, _, dy = as_product(o)
    ways = baseline.matmul("db", *((dy.T, a) if transpose_b else (a.T, dy)))
    row.measure("product", request.node.callspec.id, "backward b", o.backward("b"), ways, flops=2 * m * k * n)
