"""Matrix products."""

import numpy as np

from .... import ops
from ..operand import Operand
from ._arrays import in_float32
from ._registry import evaluates, lowers
from .arithmetic import broadcast


@lowers("Gemm")
def gemm(call, a, b, c=None):
    if a.dtype != np.float32:
        return NotImplemented
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    swap_a, swap_b = bool(call.attribute("transA", 0)), bool(call.attribute("transB", 0))
    left = a.tensor((1, 0)) if swap_a else a.tensor()
    units = b.shape[0 if swap_b else 1]
    per_unit = c is None or (c.ndim > 0 and c.shape == (1,) * (c.ndim - 1) + (units,))
    if alpha == 1 and beta == 1 and per_unit:
        kernel = call.weight(b, (1, 0) if swap_b else None)
        bias = None if c is None else call.weight(c)
        return Operand(ops.dense(left, kernel, bias if c is None or c.ndim == 1 else bias.reshape((units,))))
    y = Operand(_scaled(ops.matmul(left, call.weight(b), transpose_b=swap_b), alpha))
    if c is None or beta == 0:
        return y
    return broadcast(call, lambda y, c: ops.add(y, _scaled(c, beta)), y, c)


def _scaled(tensor, factor):
    return tensor if factor == 1 else ops.multiply(tensor, factor)


@evaluates("Gemm")
@in_float32
def gemm_arrays(call, a, b, c=None):
    a = a.T if call.attribute("transA", 0) else a
    b = b.T if call.attribute("transB", 0) else b
    kind = a.dtype.type
    y = kind(call.attribute("alpha", 1.0)) * (a @ b)
    return y if c is None else y + kind(call.attribute("beta", 1.0)) * c


@lowers("MatMul")
def matmul(call, a, b):
    return _product(call, a, b) if a.dtype == np.float32 else NotImplemented


def _product(call, a, b):
    # A vector is a matrix of one row, or of one column.
    shape_a = a.shape if a.ndim > 1 else (1, *a.shape)
    shape_b = b.shape if b.ndim > 1 else (*b.shape, 1)
    left = a.tensor() if a.ndim > 1 else a.tensor().reshape(shape_a)
    right = call.weight(b) if b.ndim > 1 else call.weight(b).reshape(shape_b)
    batch_a, batch_b = shape_a[:-2], shape_b[:-2]
    batch = np.broadcast_shapes(batch_a, batch_b)
    if not batch_b:
        y = ops.dense(left, right) if b.constant is not None else ops.matmul(left, right)
    elif batch_a == batch_b or not batch_a:
        y = ops.matmul(left, right)
    else:
        return NotImplemented
    shape = (*batch, *((y.shape[-2],) if a.ndim > 1 else ()), *((y.shape[-1],) if b.ndim > 1 else ()))
    return Operand(y if y.shape == shape else y.reshape(shape))


@evaluates("MatMul")
@in_float32
def matmul_arrays(call, a, b):
    return a @ b


@evaluates("FusedMatMul", domain="com.microsoft")
@in_float32
def fused_matmul(call, a, b):
    a = np.swapaxes(a, -1, -2) if call.attribute("transA", 0) else a
    b = np.swapaxes(b, -1, -2) if call.attribute("transB", 0) else b
    return a.dtype.type(call.attribute("alpha", 1.0)) * (a @ b)
