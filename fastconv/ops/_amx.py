"""Matrix products on the tile unit (AMX), for matmul, dense and convolutions: when, and by which steps."""

from typing import NamedTuple

from .. import config
from .._kernels import amx, gemm
from ..op import Plan
from . import _amx_cost
from ._packing import in_every_run, matrix_strides
from ._packing import pack as pack_panels
from ._plans import in_turn

# The shortest sums: of 16 products or fewer, float32 in sequence is more accurate on widely spread values.
LEAST_SUM = 27


def terms(depth, columns, taps=1):
    """Return how many terms the operands of sums over `depth`, of each tap, are split into, or 0: not on the tile unit.

    That says what is exact enough; `_amx_cost` says what is fast.
    """
    if not amx.available() or not depth * columns or taps * depth < LEAST_SUM:
        return 0
    return amx.TERMS[config.get_precision()]


def terms_of_product(depth, columns, rows):
    """Return `terms` of a matrix product where it is faster on the tile unit, else 0. `rows`: see `_amx_cost`."""
    number = terms(depth, columns)
    return number if number and _amx_cost.is_faster(_amx_cost.Work(rows, depth, columns), number) else 0


class Packed(NamedTuple):
    """A right operand, packed twice: in panels of float32 for sums that have to be made again, and in tiles of terms."""

    panels: str
    tiles: str
    plan: Plan


def pack(b, numbers, *, suffix="", terms, groups, depth, columns, **strides):
    """Return the `Packed` of the taps of `b` that `numbers` lists; other arguments are those of `gemm.pack`."""
    panels, tiles = f"packed_{b}{suffix}", f"tiles_{b}{suffix}"
    taps = len(numbers)
    first = pack_panels(b, panels, numbers, groups=groups, depth=depth, columns=columns, **strides)
    tile = amx.pack(panels, tiles, groups=groups, taps=taps, depth=depth, columns=columns, terms=terms)
    sizes = {**first.packed, tiles: amx.tile_bytes(groups, taps, depth, columns, terms)}
    return Packed(panels, tiles, Plan(packed=sizes, prologue=(*first.prologue, (tile,))))


def pack_right(b, k, n, terms, *, transpose=False, batches=1):
    """Return the `Packed` of a right operand (k, n), or (n, k) where transposed."""
    # Both gradients may pack the same operand, one of them transposed.
    return pack(
        b,
        (0,),
        suffix="_transposed" * transpose,
        terms=terms,
        groups=batches,
        depth=k,
        columns=n,
        **matrix_strides(k, n, transpose),
    )


def product(a, packed, y, k, n, *, terms, rows, bias=None, residual=None, **arguments):
    """Return the step of `amx.product` whose rows of y, and of `a` unless it is transposed, are contiguous."""
    transposed = arguments.get("transposed", False)
    return amx.product(
        a,
        packed.panels,
        packed.tiles,
        bias,
        residual,
        y,
        rows=rows,
        depth=k,
        columns=n,
        terms=terms,
        a_row=rows if transposed else k,
        **{"y_row": n, **arguments},
    )


def plan_product(
    a, b, y, m, k, n, terms, *, transpose_a=False, transpose_b=False, batches=1, a_batched=True, b_batched=True
):
    """Return the plan as `_product.plan_product` does."""
    packed = pack_right(b, k, n, terms, transpose=transpose_b, batches=batches if b_batched else 1)
    step = product(
        a,
        packed,
        y,
        k,
        n,
        terms=terms,
        rows=m,
        transposed=transpose_a,
        batches=batches,
        a_batch=m * k * a_batched,
        packed_batch=gemm.packed_bytes(1, 1, k, n) // 4 * b_batched,
        y_batch=m * n,
    )
    return in_turn(in_every_run(packed.plan), Plan(phases=((step,),)))
