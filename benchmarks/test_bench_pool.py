"""Pooling: limited by bandwidth. The bytes counted are each array once: x, y, the saved index, dy, dx."""

import baseline
import numpy as np
import pytest
from rows import Operation

from fastconv.ops._pooling import attributes
from fastconv.ops.avg_pool2d import OP as AVERAGE
from fastconv.ops.max_pool2d import OP as MAX

# (op, shape of x, pool_size, strides, padding)
CASES = [
    pytest.param(MAX, (32, 32, 32, 32), 2, 2, "valid", id="max 2x2 32x32x32, batch 32"),
    pytest.param(MAX, (32, 8, 8, 128), 2, 2, "valid", id="max 2x2 8x8x128, batch 32", marks=pytest.mark.short),
    pytest.param(MAX, (2, 112, 112, 64), 3, 2, ((1, 1), (1, 1)), id="max 3x3 112x112x64, stride 2, batch 2"),
    pytest.param(AVERAGE, (32, 32, 32, 32), 2, 2, "valid", id="average 2x2 32x32x32, batch 32"),
    pytest.param(AVERAGE, (8, 14, 14, 256), 3, 1, "valid", id="average 3x3 14x14x256, stride 1, batch 8"),
]


def operation(op, shape, pool_size, strides, padding):
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    return Operation(op, {"x": x}, attributes(pool_size, strides, padding))


@pytest.mark.parametrize(("op", "shape", "pool_size", "strides", "padding"), CASES)
def test_forward(row, request, op, shape, pool_size, strides, padding):
    o = operation(op, shape, pool_size, strides, padding)
    nbytes = sum(array.nbytes for array in (*o.inputs.values(), *o.forward.results.values()))
    ways = getattr(baseline, op.name)(o.arrays, o.attrs)
    row.measure("pooling", request.node.callspec.id, "forward", o.forward, ways, o.reference(), nbytes=nbytes)


@pytest.mark.parametrize(("op", "shape", "pool_size", "strides", "padding"), CASES)
def test_backward(row, request, op, shape, pool_size, strides, padding):
    o = operation(op, shape, pool_size, strides, padding)
    read = o.forward.results["index"].nbytes if "index" in o.forward.results else 0
    nbytes = o.arrays["dy"].nbytes + o.arrays["x"].nbytes + read
    ways = getattr(baseline, f"{op.name}_backward")(o.arrays, o.attrs)
    name = request.node.callspec.id
    row.measure("pooling", name, "backward", o.backward("x"), ways, o.reference("x"), nbytes=nbytes)
