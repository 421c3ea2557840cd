"""Plans of matrix products: in all four transpositions for matmul, by a constant matrix for dense and convolutions."""

from .._kernels import conv_backward, gemm
from ..op import Epilogue, Plan
from . import _amx, _amx_cost
from ._packing import in_every_run, matrix_strides, pack
from ._pairs import multiplies_pairs, rounded, sums_pairs
from ._plans import in_turn, side_by_side

# A product with a transposed left operand of more rows than this reads the right one often enough to pack it.
PACK_ROWS = 256
# Of so many rows the left operand of a product of bfloat16 is rounded band by band, where it is read: it need not be written,
# and read again, and there are bands enough for several threads.
BAND_ROUND_ROWS = 512


def plan_product(a, b, y, m, k, n, *, transpose_a=False, transpose_b=False, batches=1, a_batched=True, b_batched=True):
    """Return the plan of y (m, n) = op(a) op(b), the operands given by buffer name.

    `a` is (m, k), or (k, m) where transposed; `b` (k, n) or (n, k). An operand that is not batched serves every batch.
    """
    if terms := _amx.terms_of_product(k, n, _amx_cost.MATRIX_ROWS):
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
    if transpose_a and not transpose_b and batches == 1 and sums_pairs(m, n):
        return plan_transposed_pairs(a, b, y, m, k, n)
    if transpose_a and not transpose_b and m <= PACK_ROWS:
        step = gemm.transposed_product(a, b, y, a_row=m, b_row=n, b_batch=b_batch, **common)
        return Plan(phases=((step,),))
    pairs = not transpose_a and multiplies_pairs(k)
    name, packing = pack_right(b, k, n, transpose=transpose_b, batches=batches if b_batched else 1, pairs=pairs)
    packing = in_every_run(packing)
    packed_batch = gemm.packed_bytes(1, 1, k, n, pairs) // (2 if pairs else 4) * b_batched
    if transpose_a:
        step = gemm.transposed_product(a, name, y, a_row=m, b_row=n, b_batch=packed_batch, packed=True, **common)
        return in_turn(packing, Plan(phases=((step,),)))
    rounds = pairs and m >= BAND_ROUND_ROWS
    a, rounding = rounded(a, m * k * (batches if a_batched else 1), pairs and not rounds)
    left = {"a_row": k, "pairs": pairs, "rounds": rounds}
    step = gemm.product(a, name, None, None, y, packed_batch=packed_batch, **left, **common)
    return in_turn(side_by_side(packing, rounding), Plan(phases=((step,),)))


def plan_layer(
    a, b, y, m, k, n, *, bias=None, residual=None, epilogue=Epilogue(), transpose=False, stored=False, terms=0
):
    """Return the plan of y (m, n) = activation(a op(b) + residual + bias) with a constant b, packed once.

    `stored`: a is bfloat16 already. `terms`: of `_amx.terms_of_product`, where the tile unit shall do it.
    """
    finish = {"bias": bias, "residual": residual, "epilogue": epilogue, "y_row": epilogue.pitch or n}
    if terms:
        right, rounding = _amx.pack_right(b, k, n, terms, transpose=transpose), Plan()
        step, packing = _amx.product(a, right, y, k, n, terms=terms, rows=m, **finish), right.plan
    else:
        pairs = multiplies_pairs(k, stored)
        name, packing = pack_right(b, k, n, transpose=transpose, pairs=pairs)
        a, rounding = rounded(a, m * k, pairs and not stored)
        step = gemm.product(a, name, y=y, rows=m, depth=k, columns=n, a_row=k, pairs=pairs, **finish)
    return in_turn(packing, rounding, Plan(phases=((step,),), inplace={y: residual} if residual else {}))


def plan_transposed_pairs(a, b, y, m, k, n):
    """Return the plan of y (m, n) = a^T b of products of bfloat16: the gradient of a 1x1 kernel over k pixels."""
    point = dict(
        x_size=(1,), out_size=(1,), kernel_size=(1,), strides=(1,), dilations=(1,), padding=((0, 0),), groups=1
    )
    return conv_backward.backward_kernel(a, b, y, None, images=k, depth=m, columns=n, pairs=True, **point)


def pack_right(b, k, n, *, transpose=False, batches=1, pairs=False):
    """Return (buffer name, plan) of the packed panels of a right operand (k, n), or (n, k) where transposed."""
    # Both gradients may pack the same operand, one of them transposed.
    name = f"packed_{b}" + "_transposed" * transpose + "_pairs" * pairs
    strides = matrix_strides(k, n, transpose)
    return name, pack(b, name, (0,), groups=batches, depth=k, columns=n, pairs=pairs, **strides)
