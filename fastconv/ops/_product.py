"""Plans of matrix products in all four transpositions, for matmul and dense."""

from .._kernels import gemm
from . import _amx
from ._epilogue import side_by_side
from ._pairs import multiplies_pairs, rounded

# A product with a transposed left operand of more rows than this reads the right one often enough to pack it.
PACK_ROWS = 256


def plan_product(a, b, y, m, k, n, *, transpose_a=False, transpose_b=False, batches=1, a_batched=True, b_batched=True):
    """Return (phases, workspace) of y (m, n) = op(a) op(b), the operands given by buffer name.

    `a` is (m, k), or (k, m) where transposed; `b` (k, n) or (n, k). An operand that is not batched serves every batch.
    """
    if terms := _amx.terms(k, n):
        return _amx.plan_product(
            a,
            b,
            y,
            m,
            k,
            n,
            terms,
            transpose_a=transpose_a,
            transpose_b=transpose_b,
            batches=batches,
            a_batched=a_batched,
            b_batched=b_batched,
        )
    a_batch, b_batch = m * k * a_batched, k * n * b_batched
    common = dict(depth=k, rows=m, columns=n, y_row=n, batches=batches, a_batch=a_batch, y_batch=m * n)
    if transpose_a and not transpose_b and m <= PACK_ROWS:
        return ((gemm.transposed_product(a, b, y, a_row=m, b_row=n, b_batch=b_batch, **common),),), {}
    pairs = not transpose_a and multiplies_pairs(k)
    batched = batches if b_batched else 1
    name, pack, nbytes = pack_right(b, k, n, transpose=transpose_b, batches=batched, pairs=pairs)
    packed_batch = nbytes // (2 if pairs else 4) // max(batches, 1) if b_batched else 0
    if transpose_a:
        step = gemm.transposed_product(a, name, y, a_row=m, b_row=n, b_batch=packed_batch, packed=True, **common)
        return ((pack,), (step,)), {name: nbytes}
    a, rounding, workspace = rounded(a, m * k * (batches if a_batched else 1), pairs)
    step = gemm.product(a, name, None, None, y, a_row=k, packed_batch=packed_batch, pairs=pairs, **common)
    return (*side_by_side(((pack,),), rounding), (step,)), {name: nbytes, **workspace}


def pack_right(b, k, n, *, transpose=False, batches=1, pairs=False):
    """Return (buffer name, step, bytes) of the packed panels of a right operand (k, n), or (n, k) where transposed."""
    # Both gradients may pack the same operand, one of them transposed.
    name = f"packed_{b}" + "_transposed" * transpose + "_pairs" * pairs
    nbytes = gemm.packed_bytes(batches, 1, k, n, pairs)
    step = gemm.pack(
        b,
        name,
        (0,),
        groups=batches,
        depth=k,
        columns=n,
        b_group=k * n,
        b_tap=0,
        b_k=1 if transpose else n,
        b_n=k if transpose else 1,
        pairs=pairs,
    )
    return name, step, nbytes
