"""Convolutions as products without a big buffer: the rows of the left operand are pointers into the image.

One walk serves forward and backward data, any stride, dilation, padding and number of groups; the caller describes the
grid of outputs, the taps (where each reads, relative to its output) and the packed panels:

    chunk: a band of output pixels x a few panels
      pointers a[tap][pixel], once; a tap that falls into the padding points to zeros
        panel
          block of the reduction: several taps, or a part of one
            register tiles down the band                                          (C: fc_tile)

Of bfloat16 the walk sees words of two channels, wherever the float32 one sees a channel of x.

There are up to three spatial axes: an image is a stack of planes, one plane in 1-D and 2-D, of one row in 1-D; see
grid.pxd.
"""
from math import prod

from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import chunk_flops, int64_bytes, microseconds, split
from fastconv._kernels.eltwise import activation_of
from fastconv._kernels.gemm import DEPTH_BLOCK, band_rows
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.grid cimport Grid, gather_band, grid_of
from fastconv._kernels.table cimport fc_activation, fc_bfloat16, fc_gather, fc_tile

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t vector_length, mr, nr
        const fc_bfloat16 *bfloat16
        void (*tile)(const fc_tile *) noexcept nogil
        void (*gather)(const fc_gather *) noexcept nogil


cdef struct ConvolveArgs:
    const float *x
    const float *packed
    const float *bias
    const float *residual
    float *y
    Grid grid
    int64_t y_offset, x_pixel
    int64_t groups, depth, columns, x_group, y_group
    int64_t bands, band, panels, panel_block, panel_blocks, tap_block, depth_block
    int64_t pointers                    # pixels in the pointer table: the band, and a tile more to be fetched
    fc_activation activation
    const fc_kernels *k
    void (*tile)(const fc_tile *) noexcept nogil
    bint half                           # y and the residual are bfloat16
    # followed by tap_d, tap_h and tap_w


cdef void convolve_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ConvolveArgs *args = <const ConvolveArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef int64_t taps = args.grid.taps_d * args.grid.taps_h * args.grid.taps_w
    cdef int64_t nr = k.nr, panel, group, column, tap, start, row
    cdef int64_t block = chunk % args.panel_blocks, panel_first = block * args.panel_block
    cdef int64_t first = chunk // args.panel_blocks * args.band, left = args.grid.pixels - first
    cdef int64_t count = min(args.band, left), known = min(args.pointers, left)
    cdef const float *packed
    cdef const float **a = <const float **>scratch
    cdef int64_t *y_rows = <int64_t *>(scratch + align(8 * taps * args.pointers))
    cdef float *zero = <float *>(<char *>y_rows + align(8 * args.pointers))
    cdef float *sums = zero + align(4 * args.depth * args.groups) // 4
    cdef int64_t *sum_rows = <int64_t *>(sums + args.band * nr)
    cdef fc_tile t

    if count <= 0:
        return
    memset(zero, 0, 4 * args.depth * args.groups)
    gather_band(&args.grid, <const int64_t *>(args + 1), k.gather, args.x, args.x_pixel, zero, a, args.pointers, y_rows,
                first, known)
    t.a_tap, t.b_tap = args.pointers, args.depth * nr
    t.y_rows, t.rows, t.activation = y_rows, count, args.activation
    t.half, t.half_add, t.half_rows = NULL, NULL, y_rows
    if args.half:
        t.y_rows = sum_rows
        for row in range(count):
            sum_rows[row] = row * nr
    for panel in range(panel_first, min(args.panels * args.groups, panel_first + args.panel_block)):
        group, column = panel // args.panels, panel % args.panels * nr
        packed = args.packed + panel * taps * t.b_tap
        t.columns = min(nr, args.columns - column)
        column += group * args.y_group
        t.bias = args.bias + column if args.bias != NULL else NULL
        if args.half:
            t.y, t.add, t.half = sums, NULL, <uint16_t *>args.y + args.y_offset + column
            if args.residual != NULL:
                t.half_add = <const uint16_t *>args.residual + args.y_offset + column
        else:
            t.y = args.y + args.y_offset + column
            t.add = args.residual + args.y_offset + column if args.residual != NULL else NULL
        # Only the first panel meets rows that are not in the cache yet.
        t.known_rows = known if panel == panel_first else 0
        tap = start = 0
        while True:
            t.taps, t.depth = min(args.tap_block, taps - tap), min(args.depth_block, args.depth - start)
            t.a, t.a_offset = <const float *const *>a + tap * args.pointers, group * args.x_group + start
            t.b = packed + tap * t.b_tap + start * nr
            t.next_b = t.b + t.taps * t.depth * nr
            start += t.depth
            if start >= args.depth:
                start = 0
                tap += t.taps
            t.last = tap >= taps
            args.tile(&t)
            if t.last:
                break
            t.add = t.y


def volume(values, fill):
    """Return three numbers, one per spatial axis: `fill` stands for axes that are not there."""
    return (fill,) * (3 - len(values)) + tuple(values)


def convolve(str x, str packed, bias, residual, str y, *, images, x_size, x_channels, steps, reads, out_size, y_strides,
             y_offset=0, groups=1, depth, columns, epilogue=None, pairs=False):
    """Return the step of a convolution with packed panels, of images with one, two or three spatial axes.

    Parameters
    ----------
    x_size, x_channels
        Sizes along the spatial axes, and channels, of the contiguous input.
    steps
        How far the input position moves from one output to the next, per axis.
    reads : sequences of int, one per axis
        Where the taps of output 0 read, which may be outside; the taps are their product.
    out_size, y_strides, y_offset
        Sizes of the grid of outputs; its strides (image, one per axis) and start in y, in elements.
    depth, columns
        Input channels that a group reads, output channels that it writes.
    pairs
        Whether x and the panels hold bfloat16; `depth` is even then. Whether y and the residual do, `epilogue` says.

    A `residual`, laid out as y, may be y: it is read in the first block of the reduction.
    """
    cdef ConvolveArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    if pairs:
        x_channels, depth = x_channels // 2, depth // 2
    if not all(reads):
        reads = ((0,), (), ())
    taps_of = volume(reads, (0,))
    args.x, args.packed, args.bias, args.residual, args.y, args.k = NULL, NULL, NULL, NULL, NULL, k
    args.tile = k.bfloat16.tile if pairs else k.tile
    args.grid = grid_of(images, volume(x_size, 1), volume(steps, 1), taps_of, volume(out_size, 1),
                        (y_strides[0], *volume(y_strides[1:], 0)))
    args.x_pixel, args.y_offset = x_channels, y_offset
    args.groups, args.columns, args.x_group, args.y_group = groups, columns, depth, columns
    args.depth, pixels, taps = depth, args.grid.pixels, prod(map(len, taps_of))
    # Bands run over the borders of images, which keeps tiles full on small maps.
    args.panels = ceil_div(columns, k.nr)
    args.bands, args.band = split(pixels, band_rows(4 * groups * args.panels * k.nr * taps * depth), k.mr)
    args.pointers = args.band + k.mr
    args.panel_blocks, args.panel_block = split(
        groups * args.panels,
        max(1, chunk_flops(2 * pixels * taps * depth * groups * columns) //
            (2 * args.band * k.nr * max(1, taps * depth))))
    if depth >= DEPTH_BLOCK:
        args.tap_block, (_, args.depth_block) = 1, split(depth, DEPTH_BLOCK)
    else:
        (_, args.tap_block), args.depth_block = split(taps, DEPTH_BLOCK // max(depth, 1)), depth
    scratch = align(8 * taps * args.pointers) + align(8 * args.pointers) + 4 * depth * groups
    args.activation = activation_of(epilogue)
    args.half = epilogue is not None and epilogue.bfloat16
    if args.half and not pairs:
        raise ValueError("convolve: only the tile of pairs writes bfloat16; else y and the residual are float32")
    if args.half:
        scratch = align(scratch) + args.band * (4 * k.nr + 8)
    return Step("convolve", <size_t>&convolve_chunk, (<char *>&args)[:sizeof(args)] + int64_bytes(*taps_of),
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.bias - <char *>&args, bias, False),
                 (<char *>&args.residual - <char *>&args, residual, False),
                 (<char *>&args.y - <char *>&args, y, True)),
                args.bands * args.panel_blocks, scratch=scratch,
                cost=microseconds(2.0 * pixels * taps * depth * columns * groups) + pixels * columns / 1e4)
