"""Products of what is stored as bfloat16, rounded once: what a convolution of one tap is in precision "medium".

    chunk: a band of rows x a few panels
      panel
        register tiles down the band                                                (C: fc_band)

Sums are often short there, and the tables of pointers that `conv.pyx` makes would take a good part of the time.
"""
from libc.stdint cimport int64_t, uint16_t

from fastconv._kernels import runtime
from fastconv._kernels.chunks import chunk_flops, microseconds, split
from fastconv._kernels.eltwise import activation_of
from fastconv._kernels.gemm import DEPTH_BLOCK, band_rows
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div
from fastconv._kernels.table cimport fc_activation, fc_band, fc_bfloat16

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t mr, nr
        const fc_bfloat16 *bfloat16


def fits(depth):
    """Tell whether a sum over `depth` elements is one block of the reduction."""
    return depth // 2 <= DEPTH_BLOCK


cdef struct BandArgs:
    const float *x
    const float *packed
    const float *bias
    const uint16_t *residual
    uint16_t *y
    int64_t rows, depth, columns, y_row
    int64_t band, panels, panel_block, panel_blocks
    fc_activation activation
    const fc_kernels *k


cdef void band_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const BandArgs *args = <const BandArgs *>raw
    cdef int64_t nr = args.k.nr, panel, first = chunk // args.panel_blocks * args.band, y_first = first * args.y_row
    cdef int64_t panel_first = chunk % args.panel_blocks * args.panel_block
    cdef fc_band t
    t.a, t.a_row, t.depth, t.y_row = args.x + first * args.depth, args.depth, args.depth, args.y_row
    t.rows, t.activation = min(args.band, args.rows - first), args.activation
    for panel in range(panel_first, min(args.panels, panel_first + args.panel_block)):
        t.b, t.columns = args.packed + panel * args.depth * nr, min(nr, args.columns - panel * nr)
        t.bias = args.bias + panel * nr if args.bias != NULL else NULL
        t.y = args.y + y_first + panel * nr
        t.add = args.residual + y_first + panel * nr if args.residual != NULL else NULL
        args.k.bfloat16.band(&t)


def product(str x, str packed, bias, residual, str y, *, rows, depth, columns, y_row, epilogue):
    """Return the step y = activation(x @ b + residual + bias): b in packed pairs, x, y, residual stored bfloat16.

    `depth` is even and such that `fits`; the activation is short. The residual is laid out as y, and may be y.
    """
    cdef BandArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    args.x, args.packed, args.bias, args.residual, args.y, args.k = NULL, NULL, NULL, NULL, NULL, k
    args.rows, args.depth, args.columns, args.y_row = rows, depth // 2, columns, y_row
    args.panels = ceil_div(columns, k.nr)
    bands, args.band = split(rows, band_rows(4 * args.panels * k.nr * args.depth), k.mr)
    flops = 2 * rows * args.depth * columns
    args.panel_blocks, args.panel_block = split(
        args.panels, max(1, chunk_flops(flops) // (2 * args.band * k.nr * max(1, args.depth))))
    args.activation = activation_of(epilogue)
    return Step("band", <size_t>&band_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.bias - <char *>&args, bias, False),
                 (<char *>&args.residual - <char *>&args, residual, False),
                 (<char *>&args.y - <char *>&args, y, True)),
                bands * args.panel_blocks, cost=microseconds(flops) + rows * columns / 1e4)
