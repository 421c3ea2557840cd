"""Convolutions of float32 on the tile unit, forward and backward data: conv.pyx's walk over pixels as sums of terms.

A row of a tile of the left operand is the terms of a pixel, all rows are the same distance apart: so where sixteen
outputs in turn read pixels in turn, as inside a row of the image, the tile is loaded from where they lie; elsewhere,
at the ends of rows and in the padding, its pixels are copied. No row of a tile is wasted on small maps, no image is
padded.

    chunk: a band of output pixels x a few panels
      pointers [tap][pixel], once; a tap that falls into the padding points to zeros          (C: fc_gather)
        block of taps: tiles in place, or copied
          panel
            tiles down the band                                                               (C: fc_amx_tile)
      panel
        residual, bias, activation, store                                                     (C: fc_amx_finish)
        pixels that are not finite, or tiny, once more from float32                           (C: fc_tile)
"""
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import microseconds, split
from fastconv._kernels.amx import BAND, SPEED, blocks_of, panels_of_chunk, pixel_bytes
from fastconv._kernels.conv import volume
from fastconv._kernels.eltwise import activation_of
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.table cimport (
    FC_AMX_COLUMNS, FC_AMX_DEPTH, FC_AMX_ROWS, FC_AMX_TILE, fc_activation, fc_amx, fc_amx_finish, fc_amx_tile,
    fc_gather, fc_tile,
)

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        const fc_amx *amx
        void (*tile)(const fc_tile *) noexcept nogil
        void (*gather)(const fc_gather *) noexcept nogil

# What the copied pixels of a block of taps shall take of the second-level cache.
COPIES_BYTES = 3 << 17


cdef struct ConvolveArgs:
    const float *x
    const char *terms_of
    const float *packed
    const char *tiles
    const float *bias
    const float *residual
    float *y
    int64_t pixels, height, width, channels, pixel      # output pixels; channels of x, bytes of a pixel's terms
    int64_t step_h, step_w, taps_h, taps_w
    int64_t out_height, out_width, y_offset, y_image, y_row, y_pixel
    int64_t groups, depth, columns, blocks, terms
    int64_t bands, band, panels, panel_block, panel_blocks, tap_block
    fc_activation activation
    const fc_kernels *k
    # followed by tap_h and tap_w


cdef void describe(const ConvolveArgs *args, fc_gather *g, const float *x, int64_t pixel) noexcept nogil:
    """Fill in what the pointers to pixels of x and of its terms have in common; a pixel has so many floats."""
    g.x, g.height, g.width = x, args.height, args.width
    g.x_image, g.x_row, g.x_pixel = args.height * args.width * pixel, args.width * pixel, pixel
    g.step_h, g.step_w, g.taps_h, g.taps_w = args.step_h, args.step_w, args.taps_h, args.taps_w
    g.tap_h = <const int64_t *>(args + 1)
    g.tap_w = g.tap_h + args.taps_h
    g.out_height, g.out_width, g.y_image, g.y_row, g.y_pixel = \
        args.out_height, args.out_width, args.y_image, args.y_row, args.y_pixel


cdef int64_t distance(const float *const *rows, int64_t count) noexcept nogil:
    """Return how many bytes each row is from the one before, or -1 if that differs."""
    cdef int64_t i, bytes
    if count < 2:
        return 0
    bytes = <const char *>rows[1] - <const char *>rows[0]
    for i in range(2, count):
        if <const char *>rows[i] - <const char *>rows[i - 1] != bytes:
            return -1
    return bytes


cdef void convolve_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ConvolveArgs *args = <const ConvolveArgs *>raw
    cdef const fc_amx *amx = args.k.amx
    cdef int64_t taps = args.taps_h * args.taps_w, row_tiles = args.band // FC_AMX_ROWS
    cdef int64_t panel, group, column, start, tap, tile, row, rows
    cdef int64_t panel_first = chunk % args.panel_blocks * args.panel_block
    cdef int64_t panel_end = min(args.panels * args.groups, panel_first + args.panel_block)
    cdef int64_t first = chunk // args.panel_blocks * args.band
    cdef int64_t panel_bytes = taps * args.blocks * args.terms * 4 * FC_AMX_TILE
    cdef const float **a
    cdef const float **here
    cdef int64_t *y_rows
    cdef const char **tile_a
    cdef int64_t *tile_rows
    cdef char *copy
    cdef float *zero
    cdef float *c
    cdef char *copies
    cdef fc_gather g
    cdef fc_amx_tile t
    cdef fc_amx_finish f

    a = <const float **>scratch
    scratch += align(8 * taps * args.band)
    y_rows = <int64_t *>scratch
    scratch += align(8 * args.band)
    tile_a = <const char **>scratch
    scratch += align(8 * args.tap_block * row_tiles)
    tile_rows = <int64_t *>scratch
    scratch += align(8 * args.tap_block * row_tiles)
    f.suspect = <int32_t *>scratch
    scratch += align(4 * args.band)
    zero = <float *>scratch
    scratch += align(max(args.pixel, 4 * args.channels))
    c = <float *>scratch
    copies = scratch + 4 * args.panel_block * args.band * FC_AMX_COLUMNS
    memset(zero, 0, max(args.pixel, 4 * args.channels))

    t.rows = min(args.band, args.pixels - first)
    describe(args, &g, <const float *>args.terms_of, args.pixel // 4)
    g.zero, g.first, g.count, g.a, g.a_tap, g.y_rows = zero, first, t.rows, a, args.band, y_rows
    args.k.gather(&g)

    t.a, t.a_row, t.a_tap, t.terms, t.blocks = tile_a, tile_rows, row_tiles, args.terms, args.blocks
    t.a_block, t.a_term = 2 * FC_AMX_DEPTH, 2 * FC_AMX_DEPTH * args.blocks
    t.b_tap = panel_bytes // taps
    start = 0
    while start < taps:
        t.taps = min(args.tap_block, taps - start)
        for tap in range(t.taps):
            for tile in range((t.rows + FC_AMX_ROWS - 1) // FC_AMX_ROWS):
                here = a + (start + tap) * args.band + tile * FC_AMX_ROWS
                rows = min(FC_AMX_ROWS, t.rows - tile * FC_AMX_ROWS)
                tile_a[tap * row_tiles + tile] = <const char *>here[0]
                tile_rows[tap * row_tiles + tile] = distance(here, rows)
                if tile_rows[tap * row_tiles + tile] == -1:
                    copy = copies + (tap * args.band + tile * FC_AMX_ROWS) * args.pixel
                    for row in range(rows):
                        memcpy(copy + row * args.pixel, here[row], args.pixel)
                    tile_a[tap * row_tiles + tile], tile_rows[tap * row_tiles + tile] = copy, args.pixel
        t.accumulate = start > 0
        for panel in range(panel_first, panel_end):
            t.a_offset = panel // args.panels * args.terms * t.a_term
            t.b = args.tiles + panel * panel_bytes + start * t.b_tap
            t.c = c + (panel - panel_first) * args.band * FC_AMX_COLUMNS
            amx.tile(&t)
        start += t.taps

    f.rows, f.y_rows, f.activation = t.rows, y_rows, args.activation
    for panel in range(panel_first, panel_end):
        group, column = panel // args.panels, panel % args.panels * FC_AMX_COLUMNS
        f.c = c + (panel - panel_first) * args.band * FC_AMX_COLUMNS
        f.columns = min(FC_AMX_COLUMNS, args.columns - column)
        column += group * args.columns
        f.y = args.y + args.y_offset + column
        f.add = args.residual + args.y_offset + column if args.residual != NULL else NULL
        f.bias = args.bias + column if args.bias != NULL else NULL
        row = amx.finish(&f)
        if row > 0:
            sum_again(args, first, panel, &f, row, a, zero, <int64_t *>copies)


cdef void sum_again(const ConvolveArgs *args, int64_t first, int64_t panel, const fc_amx_finish *f, int64_t count,
                    const float **a, const float *zero, int64_t *y_rows) noexcept nogil:
    """Sum the first `count` pixels that `f` lists in float32, in sequence, as amx.pyx does."""
    cdef int64_t taps = args.taps_h * args.taps_w, i
    cdef fc_gather g
    cdef fc_tile t
    describe(args, &g, args.x, args.channels)
    g.zero, g.count, g.a_tap = zero, 1, count
    for i in range(count):
        g.first, g.a, g.y_rows = first + f.suspect[i], a + i, y_rows + i
        args.k.gather(&g)
    t.a, t.a_tap, t.a_offset, t.taps, t.depth = a, count, panel // args.panels * args.depth, taps, args.depth
    t.b, t.b_tap = args.packed + panel * taps * args.depth * FC_AMX_COLUMNS, args.depth * FC_AMX_COLUMNS
    t.next_b, t.known_rows = t.b, 0
    t.y, t.y_rows, t.rows, t.columns, t.add, t.bias = f.y, y_rows, count, f.columns, f.add, f.bias
    t.last, t.activation = 1, f.activation
    args.k.tile(&t)


def convolve(str x, str terms_of, str packed, str tiles, bias, residual, str y, *, images, x_size, x_channels, steps,
             reads, out_size, y_strides, y_offset=0, groups=1, depth, columns, terms, epilogue=None):
    """Return the step of a convolution of one or two spatial axes. Parameters are those of `conv.convolve`.

    `terms_of` are those of the pixels of x, see `amx.split_pixels`; the kernel is packed twice, as panels and as tiles.
    """
    cdef ConvolveArgs args
    args.x, args.terms_of, args.packed, args.tiles = NULL, NULL, NULL, NULL
    args.bias, args.residual, args.y, args.k = NULL, NULL, NULL, <const fc_kernels *><size_t>runtime.table()
    _, args.height, args.width = volume(x_size, 1)
    _, args.out_height, args.out_width = volume(out_size, 1)
    _, args.step_h, args.step_w = volume(steps, 1)
    _, tap_h, tap_w = volume(reads, [0])
    args.y_offset, args.y_image, (_, args.y_row, args.y_pixel) = y_offset, y_strides[0], volume(y_strides[1:], 0)
    args.taps_h, args.taps_w, args.channels = len(tap_h), len(tap_w), x_channels
    args.groups, args.depth, args.columns, args.terms, args.blocks = groups, depth, columns, terms, blocks_of(depth)
    args.pixels, args.pixel = images * args.out_height * args.out_width, pixel_bytes(groups, depth, terms)
    args.panels = ceil_div(columns, FC_AMX_COLUMNS)
    taps = args.taps_h * args.taps_w
    wanted = min(BAND, COPIES_BYTES // args.pixel // (2 * FC_AMX_ROWS) * 2 * FC_AMX_ROWS)
    args.bands, args.band = split(args.pixels, max(wanted, 2 * FC_AMX_ROWS), 2 * FC_AMX_ROWS)
    _, args.tap_block = split(taps, max(1, COPIES_BYTES // (args.band * args.pixel)))
    args.panel_blocks, args.panel_block = split(
        groups * args.panels, panels_of_chunk(groups * args.panels, args.bands, args.band))
    args.activation = activation_of(epilogue)
    scratch = align(8 * taps * args.band) + align(8 * args.band) + 2 * align(args.tap_block * args.band // 2)
    scratch += align(4 * args.band) + align(max(args.pixel, 4 * x_channels))
    scratch += args.band * (args.panel_block * 4 * FC_AMX_COLUMNS + max(8, args.tap_block * args.pixel))
    tail = b"".join(int(tap).to_bytes(8, "little", signed=True) for tap in (*tap_h, *tap_w))
    flops = 2.0 * args.pixels * taps * depth * columns * groups
    return Step("amx_convolve", <size_t>&convolve_chunk, (<char *>&args)[:sizeof(args)] + tail,
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.terms_of - <char *>&args, terms_of, False),
                 (<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.tiles - <char *>&args, tiles, False),
                 (<char *>&args.bias - <char *>&args, bias, False),
                 (<char *>&args.residual - <char *>&args, residual, False),
                 (<char *>&args.y - <char *>&args, y, True)),
                args.bands * args.panel_blocks, scratch=scratch,
                cost=microseconds(flops) / SPEED[terms] + args.pixels * columns / 1e4)
