"""Steps that pick places along an axis, or sum a few with weights: resizing, gathering.

The tables follow the argument struct. An array is seen as (outer, n, inner); a chunk is a block of the outputs of one
outer index, or a part of inner for all of them where that is long.
"""
from array import array

from libc.stdint cimport int32_t, int64_t

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_resample:
        const float *x
        float *y
        const int32_t *index
        const float *weights
        int64_t outputs, taps, inner, width
    ctypedef struct fc_kernels:
        void (*resample)(const fc_resample *) noexcept nogil

cdef enum:
    CHUNK = 16384   # elements of y
    PART = 2048     # of inner: what the taps of neighbours share stays in the first-level cache

cdef struct ResampleArgs:
    const float *x
    float *y
    const fc_kernels *k
    int64_t size, outputs, inner, taps  # of the axis: of x, of y
    int64_t block_outputs, blocks, block_width, parts
    int64_t weighted


cdef void resample_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ResampleArgs *args = <const ResampleArgs *>raw
    cdef int64_t part = chunk % args.parts * args.block_width
    cdef int64_t first = chunk // args.parts % args.blocks * args.block_outputs
    cdef int64_t outer = chunk // args.parts // args.blocks
    cdef const int32_t *index = <const int32_t *>(args + 1)
    cdef fc_resample call
    call.taps, call.inner = args.taps, args.inner
    call.x = args.x + outer * args.size * args.inner + part
    call.y = args.y + (outer * args.outputs + first) * args.inner + part
    call.index = index + first * args.taps
    call.weights = NULL
    if args.weighted:
        call.weights = <const float *>(index + args.outputs * args.taps) + first * args.taps
    call.outputs = min(args.outputs - first, args.block_outputs)
    call.width = min(args.inner - part, args.block_width)
    args.k.resample(&call)


def resample(str x, str y, int64_t outer, int64_t size, int64_t inner, index, weights=None):
    """Return the step y[o, j, i] = sum over t of weights[j][t] * x[o, index[j][t], i].

    Parameters
    ----------
    outer, size, inner : int
        The shape of x, seen as three axes.
    index : sequence of sequences of int
        As many for every output.
    weights : sequence of sequences of float, optional
        None: there is one place per output, and its four-byte element is copied.
    """
    cdef ResampleArgs args
    args.x, args.y, args.k = NULL, NULL, <const fc_kernels *><size_t>runtime.table()
    args.size, args.inner, args.outputs, args.taps = size, inner, len(index), len(index[0])
    args.weighted = weights is not None
    args.block_width = max(1, min(inner, <int64_t>PART))
    args.parts = ceil_div(inner, args.block_width)
    args.block_outputs = max(1, min(args.outputs, CHUNK // args.block_width))
    args.blocks = ceil_div(args.outputs, args.block_outputs)
    tables = array("i", [place for places in index for place in places]).tobytes()
    if args.weighted:
        tables += array("f", [weight for row in weights for weight in row]).tobytes()
    return Step("resample" if args.weighted else "pick", <size_t>&resample_chunk,
                (<char *>&args)[:sizeof(args)] + tables,
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                outer * args.blocks * args.parts, cost=outer * args.outputs * (inner * args.taps * 2e-4 + 4e-3))
