"""Steps that reduce axes of an array to one number: sum, mean, largest, smallest, product.

Axes that stand side by side and are both kept, or both reduced, become one. Where the last one is kept, a chunk is a
block of it, and rows are joined; where it is reduced, a chunk is some results, and runs of elements are.
"""
from math import prod

from libc.stdint cimport int32_t, int64_t

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div

cdef extern from "fastconv.h" nogil:
    ctypedef enum fc_reduction:
        FC_REDUCE_SUM, FC_REDUCE_MAX, FC_REDUCE_MIN, FC_REDUCE_PROD
    ctypedef struct fc_reduce:
        const float *x
        float *y
        int64_t rows, columns, x_row
        int32_t accumulate
        fc_reduction kind
    ctypedef struct fc_kernels:
        void (*reduce)(const fc_reduce *) noexcept nogil

cdef enum:
    CHUNK = 16384   # elements of x
    BLOCK = 64      # columns: whole cache lines
    MAX_RANK = 8    # axes left of either kind

KINDS = {"sum": FC_REDUCE_SUM, "mean": FC_REDUCE_SUM, "max": FC_REDUCE_MAX, "min": FC_REDUCE_MIN,
         "prod": FC_REDUCE_PROD}

cdef struct Axes:
    int64_t count
    int64_t sizes[MAX_RANK]
    int64_t strides[MAX_RANK]

cdef struct ReduceArgs:
    const float *x
    float *y
    const fc_kernels *k
    Axes kept, reduced          # but for the last of them
    int64_t rows, columns       # columns 0: the last axis is reduced
    int64_t results, parts      # kept places in all; what is reduced for each, in calls
    int64_t block_results, block_columns, blocks
    float divisor
    int32_t kind


cdef int64_t place(const Axes *axes, int64_t index) noexcept nogil:
    """Return the offset of a place, counted over the axes."""
    cdef int64_t axis, offset = 0
    for axis in range(axes.count - 1, -1, -1):
        offset += index % axes.sizes[axis] * axes.strides[axis]
        index = index // axes.sizes[axis]
    return offset


cdef void reduce_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ReduceArgs *args = <const ReduceArgs *>raw
    cdef int64_t column = chunk % args.blocks * args.block_columns, first = chunk // args.blocks * args.block_results
    cdef int64_t result, part, i, width = max(args.columns, 1)
    cdef const float *x
    cdef fc_reduce call
    call.rows, call.x_row, call.kind = args.rows, args.columns, <fc_reduction>args.kind
    call.columns = min(args.columns - column, args.block_columns)
    for result in range(first, min(first + args.block_results, args.results)):
        x = args.x + place(&args.kept, result) + column
        call.y = args.y + result * width + column
        for part in range(args.parts):
            call.x = x + place(&args.reduced, part)
            call.accumulate = part > 0
            args.k.reduce(&call)
        if args.divisor != 1:
            for i in range(max(call.columns, 1)):
                call.y[i] = call.y[i] / args.divisor


cdef int fill(Axes *axes, given) except -1:
    """Write (size, stride) pairs into the struct."""
    cdef int64_t i
    axes.count = len(given)
    for i in range(axes.count):
        axes.sizes[i], axes.strides[i] = given[i]
    return 0


def reduce(str kind, str x, str y, shape, axes, divisor=None):
    """Return the step that reduces `axes` of x, of `shape`, or None where more axes are left than the loops have.

    Parameters
    ----------
    kind : {"sum", "mean", "max", "min", "prod"}
    divisor : int, optional
        Of a mean's sum, in place of the number of its elements.
    """
    cdef ReduceArgs args
    groups = []     # [size, stride, reduced?], neighbours of one kind merged
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        stride, reduced = prod(shape[axis + 1:]), axis in axes
        if groups and groups[len(groups) - 1][2] == reduced:
            size *= groups.pop()[0]
        groups.append((size, stride, reduced))
    kept = [(size, stride) for size, stride, reduced in groups if not reduced]
    gone = [(size, stride) for size, stride, reduced in groups if reduced]
    if max(len(kept), len(gone)) > MAX_RANK:
        return None
    args.x, args.y, args.k = NULL, NULL, <const fc_kernels *><size_t>runtime.table()
    args.kind, args.divisor = KINDS[kind], 1
    if kind == "mean":
        args.divisor = prod(size for size, _ in gone) if divisor is None else divisor
    args.columns, args.rows = 0, 1
    if groups and not groups[len(groups) - 1][2] and gone:
        args.columns = kept.pop()[0]
    if gone:
        args.rows = gone.pop()[0]
    args.results, args.parts = prod(size for size, _ in kept), prod(size for size, _ in gone)
    fill(&args.kept, kept)
    fill(&args.reduced, gone)
    cdef int64_t each = max(1, args.rows * args.parts)  # elements of x behind one of y
    args.block_columns = max(BLOCK, CHUNK // each // BLOCK * BLOCK) if args.columns else 1
    args.blocks = max(1, ceil_div(args.columns, args.block_columns))
    args.block_results = max(1, CHUNK // (each * max(1, args.columns)))
    return Step(f"reduce_{kind}", <size_t>&reduce_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                ceil_div(args.results, args.block_results) * args.blocks,
                cost=args.results * args.parts * (args.rows * max(1, args.columns) * 2e-4 + 5e-3))
