"""bfloat16, the upper half of a float32: whether products of it are at hand, and the way there and back.

Rounding is to nearest, ties to even; what lies beyond the largest bfloat16 (about 3.39e38) is cut to it, so that what
is finite stays finite; NaN stays NaN. Denormals are flushed to zero, as everywhere in the kernels.
"""
from libc.stdint cimport int64_t, uint16_t

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div
from fastconv._kernels.table cimport fc_bfloat16

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        const fc_bfloat16 *bfloat16

cdef enum:
    CHUNK = 32768           # elements: from and to the second-level cache


def available():
    """Tell whether the active table multiplies bfloat16."""
    return (<const fc_kernels *><size_t>runtime.table()).bfloat16 != NULL


cdef struct RoundArgs:
    const float *x
    uint16_t *y
    int64_t size
    const fc_bfloat16 *k


cdef void round_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const RoundArgs *args = <const RoundArgs *>raw
    cdef int64_t start = chunk * CHUNK
    args.k.round(args.x + start, 0, args.y + start, 0, 1, min(CHUNK, args.size - start))


def round(str x, str y, int64_t size):
    """Return the step that rounds `size` floats to bfloat16."""
    cdef RoundArgs args
    args.x, args.y, args.size = NULL, NULL, size
    args.k = (<const fc_kernels *><size_t>runtime.table()).bfloat16
    return Step("round", <size_t>&round_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                ceil_div(size, CHUNK), cost=size / 8e3)
