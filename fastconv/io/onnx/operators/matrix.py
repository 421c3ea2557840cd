"""Matrix products."""

from .... import ops
from ..operand import Operand
from ._registry import lowers


@lowers("Gemm")
def gemm(call, a, b, c=None):
    if call.attribute("alpha", 1.0) != 1 or call.attribute("beta", 1.0) != 1 or call.attribute("transA", 0):
        return NotImplemented
    kernel = call.weight(b, (1, 0) if call.attribute("transB", 0) else None)
    return Operand(ops.dense(a.tensor(), kernel, None if c is None else call.weight(c)))
