"""Convolutions of float32 on the tile unit, forward and backward data: conv.pyx's walk over pixels as sums of terms.

Over pixels
-----------

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

Over rows: first layers
-----------------------
The channels of a pixel are too few for a block, those of a kernel row fill one. The terms of images are laid out with
their padding, and with a zero more in each pixel where its channels are odd: so what neighbouring outputs read of a row
are whole words, the same distance apart, and a row of outputs is read in place.

    chunk: some rows of outputs x a few panels
      row
        panel
          tiles along the row                                                                 (C: fc_amx_tile)
      panel: as above
"""
from math import prod

from libc.stdint cimport int32_t, int64_t, uint16_t
from libc.string cimport memcpy, memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import int64_bytes, microseconds, split
from fastconv._kernels.amx import BAND, SPEED, blocks_of, panels_of_chunk, pixel_bytes, row_blocks
from fastconv._kernels.conv import volume
from fastconv._kernels.eltwise import activation_of
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.table cimport (
    FC_AMX_COLUMNS, FC_AMX_DEPTH, FC_AMX_ROWS, FC_AMX_TILE, fc_activation, fc_amx, fc_amx_finish, fc_amx_tile,
    fc_gather, fc_tile,
)
from fastconv._kernels.grid cimport Grid, gather_band, grid_of

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
    Grid grid
    int64_t channels, pixel, y_offset                   # channels of x, bytes of a pixel's terms
    int64_t taps, groups, depth, columns, blocks, terms
    int64_t bands, band, panels, panel_block, panel_blocks, tap_block
    int64_t row_blocks, words                           # over rows: blocks of a kernel row, words of each
    int64_t pitch, line, lines                          # elements of a pixel, of a row of a term; rows of an image
    fc_activation activation
    const fc_kernels *k
    # followed by tap_d, tap_h and tap_w


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
    cdef int64_t taps = args.taps, row_tiles = args.band // FC_AMX_ROWS
    cdef int64_t panel, start, tap, tile, row, rows
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

    t.rows = min(args.band, args.grid.pixels - first)
    gather_band(&args.grid, <const int64_t *>(args + 1), args.k.gather, <const float *>args.terms_of, args.pixel // 4,
                zero, a, args.band, y_rows, first, t.rows)

    t.a, t.a_row, t.a_tap, t.terms, t.blocks = tile_a, tile_rows, row_tiles, args.terms, args.blocks
    t.a_block, t.a_term = 2 * FC_AMX_DEPTH, 2 * FC_AMX_DEPTH * args.blocks
    t.words, t.b_tap = FC_AMX_DEPTH // 2, panel_bytes // taps
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

    f.rows, f.y_rows = t.rows, y_rows
    finish_panels(args, first, panel_first, panel_end, c, args.band, &f, a, zero, <int64_t *>copies)


cdef void finish_panels(const ConvolveArgs *args, int64_t first, int64_t panel_first, int64_t panel_end, const float *c,
                        int64_t band, fc_amx_finish *f, const float **a, const float *zero,
                        int64_t *rows) noexcept nogil:
    """Store the sums of a band, `first` its first pixel; a and rows: for the pixels that are summed again."""
    cdef int64_t panel, group, column, count
    f.activation = args.activation
    for panel in range(panel_first, panel_end):
        group, column = panel // args.panels, panel % args.panels * FC_AMX_COLUMNS
        f.c = c + (panel - panel_first) * band * FC_AMX_COLUMNS
        f.columns = min(FC_AMX_COLUMNS, args.columns - column)
        column += group * args.columns
        f.y = args.y + args.y_offset + column
        f.add = args.residual + args.y_offset + column if args.residual != NULL else NULL
        f.bias = args.bias + column if args.bias != NULL else NULL
        count = args.k.amx.finish(f)
        if count > 0:
            sum_again(args, first, panel, f, count, a, zero, rows)


cdef void sum_again(const ConvolveArgs *args, int64_t first, int64_t panel, const fc_amx_finish *f, int64_t count,
                    const float **a, const float *zero, int64_t *y_rows) noexcept nogil:
    """Sum the first `count` pixels that `f` lists in float32, in sequence, as amx.pyx does."""
    cdef int64_t taps = args.taps, i
    cdef fc_tile t
    for i in range(count):
        gather_band(&args.grid, <const int64_t *>(args + 1), args.k.gather, args.x, args.channels, zero, a + i, count,
                    y_rows + i, first + f.suspect[i], 1)
    t.a, t.a_tap, t.a_offset, t.taps, t.depth = a, count, panel // args.panels * args.depth, taps, args.depth
    t.b, t.b_tap = args.packed + panel * taps * args.depth * FC_AMX_COLUMNS, args.depth * FC_AMX_COLUMNS
    t.next_b, t.known_rows = t.b, 0
    t.y, t.y_rows, t.rows, t.columns, t.add, t.bias = f.y, y_rows, count, f.columns, f.add, f.bias
    t.last, t.activation = 1, f.activation
    args.k.tile(&t)


cdef object buffers_of(x, terms_of, packed, tiles, bias, residual, y):
    """Return where in ConvolveArgs the addresses of these buffers belong."""
    cdef ConvolveArgs args
    return ((<char *>&args.x - <char *>&args, x, False),
            (<char *>&args.terms_of - <char *>&args, terms_of, False),
            (<char *>&args.packed - <char *>&args, packed, False),
            (<char *>&args.tiles - <char *>&args, tiles, False),
            (<char *>&args.bias - <char *>&args, bias, False),
            (<char *>&args.residual - <char *>&args, residual, False),
            (<char *>&args.y - <char *>&args, y, True))


def convolve(str x, str terms_of, str packed, str tiles, bias, residual, str y, *, images, x_size, x_channels, steps,
             reads, out_size, y_strides, y_offset=0, groups=1, depth, columns, terms, epilogue=None):
    """Return the step of a convolution. Parameters are those of `conv.convolve`.

    `terms_of` are those of the pixels of x, see `amx.split_pixels`; the kernel is packed twice, as panels and as tiles.
    """
    cdef ConvolveArgs args
    args.x, args.terms_of, args.packed, args.tiles = NULL, NULL, NULL, NULL
    args.bias, args.residual, args.y, args.k = NULL, NULL, NULL, <const fc_kernels *><size_t>runtime.table()
    taps_of = volume(reads, [0])
    args.grid = grid_of(images, volume(x_size, 1), volume(steps, 1), taps_of, volume(out_size, 1),
                        (y_strides[0], *volume(y_strides[1:], 0)))
    args.y_offset, args.channels, pixels, taps = y_offset, x_channels, args.grid.pixels, prod(map(len, taps_of))
    args.groups, args.depth, args.columns, args.terms, args.blocks = groups, depth, columns, terms, blocks_of(depth)
    args.taps, args.pixel = taps, pixel_bytes(groups, depth, terms)
    args.panels = ceil_div(columns, FC_AMX_COLUMNS)
    wanted = min(BAND, COPIES_BYTES // args.pixel // (2 * FC_AMX_ROWS) * 2 * FC_AMX_ROWS)
    args.bands, args.band = split(pixels, max(wanted, 2 * FC_AMX_ROWS), 2 * FC_AMX_ROWS)
    _, args.tap_block = split(taps, max(1, COPIES_BYTES // (args.band * args.pixel)))
    args.panel_blocks, args.panel_block = split(
        groups * args.panels, panels_of_chunk(groups * args.panels, args.bands, args.band))
    args.activation = activation_of(epilogue)
    scratch = align(8 * taps * args.band) + align(8 * args.band) + 2 * align(args.tap_block * args.band // 2)
    scratch += align(4 * args.band) + align(max(args.pixel, 4 * x_channels))
    scratch += args.band * (args.panel_block * 4 * FC_AMX_COLUMNS + max(8, args.tap_block * args.pixel))
    flops = 2.0 * pixels * taps * depth * columns * groups
    return Step("amx_convolve", <size_t>&convolve_chunk, (<char *>&args)[:sizeof(args)] + int64_bytes(*taps_of),
                buffers_of(x, terms_of, packed, tiles, bias, residual, y),
                args.bands * args.panel_blocks, scratch=scratch,
                cost=microseconds(flops) / SPEED[terms] + pixels * columns / 1e4)


# ---- over rows

cdef struct SplitRowsArgs:
    const float *x
    uint16_t *terms_of
    int64_t height, width, channels, top, left, pitch, line, lines, total, block, terms
    const fc_kernels *k


cdef void split_rows_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    """Write the terms of some rows of padded images."""
    cdef const SplitRowsArgs *args = <const SplitRowsArgs *>raw
    cdef int64_t row, h, w, c, end = min(args.total, (chunk + 1) * args.block)
    cdef float *spread = <float *>scratch
    cdef float *pixel
    cdef const float *x
    cdef uint16_t *out
    memset(spread, 0, 4 * args.line)
    for row in range(chunk * args.block, end):
        out = args.terms_of + row * args.terms * args.line
        h = row % args.lines - args.top
        if not 0 <= h < args.height:
            memset(out, 0, 2 * args.terms * args.line)
            continue
        x = args.x + (row // args.lines * args.height + h) * args.width * args.channels
        for w in range(max(0, -args.left), min(args.width, args.line // args.pitch - args.left)):
            pixel = spread + (w + args.left) * args.pitch
            for c in range(args.channels):
                pixel[c] = x[w * args.channels + c]
        args.k.amx.split(spread, 0, 1, args.line, args.terms, out, 0, FC_AMX_DEPTH, args.line)


cdef void rows_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ConvolveArgs *args = <const ConvolveArgs *>raw
    cdef const Grid *grid = &args.grid
    cdef int64_t row_tiles = ceil_div(grid.out_width, FC_AMX_ROWS), bands = ceil_div(grid.out_height, args.band)
    cdef int64_t panel_first = chunk % args.panel_blocks * args.panel_block
    cdef int64_t panel_end = min(args.panels, panel_first + args.panel_block)
    cdef int64_t image = chunk // args.panel_blocks // bands, first = chunk // args.panel_blocks % bands * args.band
    cdef int64_t rows = min(args.band, grid.out_height - first), size = args.band * grid.out_width, taps
    cdef int64_t row, panel, tap, tile, block, distance = 2 * grid.step_w * args.pitch
    cdef const char *base
    cdef const char **tile_a
    cdef int64_t *tile_rows
    cdef int64_t *y_rows
    cdef const float **a
    cdef float *zero
    cdef float *c
    cdef fc_amx_tile t
    cdef fc_amx_finish f

    taps = grid.taps_h * args.row_blocks
    tile_a = <const char **>scratch
    scratch += align(8 * taps * row_tiles)
    tile_rows = <int64_t *>scratch
    scratch += align(8 * taps * row_tiles)
    y_rows = <int64_t *>scratch
    scratch += align(8 * size)
    f.suspect = <int32_t *>scratch
    scratch += align(4 * size)
    zero = <float *>scratch
    scratch += align(4 * args.channels)
    c = <float *>scratch
    scratch += 4 * args.panel_block * size * FC_AMX_COLUMNS
    a = <const float **>scratch
    memset(zero, 0, 4 * args.channels)
    first += image * grid.out_height
    for row in range(rows * grid.out_width):
        y_rows[row] = (first * grid.out_width + row) * grid.y_pixel

    t.a, t.a_row, t.a_tap, t.a_offset, t.a_block, t.a_term = tile_a, tile_rows, row_tiles, 0, 0, 2 * args.line
    t.taps, t.blocks, t.terms, t.words, t.rows, t.accumulate = taps, 1, args.terms, args.words, grid.out_width, 0
    t.b_tap = args.terms * 4 * FC_AMX_TILE
    for tile in range(taps * row_tiles):
        tile_rows[tile] = distance
    for row in range(rows):
        for tap in range(grid.taps_h):
            base = args.terms_of + 2 * args.terms * args.line * (
                image * args.lines + (first - image * grid.out_height + row) * grid.step_h + tap)
            for block in range(args.row_blocks):
                for tile in range(row_tiles):
                    tile_a[(tap * args.row_blocks + block) * row_tiles + tile] = \
                        base + 4 * block * args.words + tile * FC_AMX_ROWS * distance
        for panel in range(panel_first, panel_end):
            t.b = args.tiles + panel * taps * t.b_tap
            t.c = c + ((panel - panel_first) * size + row * grid.out_width) * FC_AMX_COLUMNS
            args.k.amx.tile(&t)
    f.rows, f.y_rows = rows * grid.out_width, y_rows
    finish_panels(args, first * grid.out_width, panel_first, panel_end, c, size, &f, a, zero,
                  <int64_t *>(<char *>a + align(8 * args.taps * size)))


def convolve_rows(str x, str terms_of, str packed, str tiles, bias, residual, str y, *, images, x_size, kernel_size,
                  padding, strides, reads, out_size, y_pixel, channels, columns, terms, epilogue=None):
    """Return (step that splits x, step of the convolution, bytes of the terms). No dilation, one group.

    Parameters are those of `conv_shallow.convolve`, and `reads` as in `conv.convolve`. The kernel is packed in panels
    and by `amx.pack_rows`.
    """
    cdef ConvolveArgs args
    cdef SplitRowsArgs parts
    args.x, args.terms_of, args.packed, args.tiles = NULL, NULL, NULL, NULL
    args.bias, args.residual, args.y, args.k = NULL, NULL, NULL, <const fc_kernels *><size_t>runtime.table()
    taps_of = volume(reads, [0])
    args.grid = grid_of(images, volume(x_size, 1), volume(strides, 1), taps_of, volume(out_size, 1),
                        (0, 0, 0, y_pixel))
    args.grid.y_row = args.grid.out_width * y_pixel
    args.grid.y_image = args.grid.out_height * args.grid.y_row
    args.channels, args.depth, args.columns, args.terms, args.groups = channels, channels, columns, terms, 1
    args.y_offset = args.pixel = args.blocks = args.tap_block = args.bands = 0
    args.taps, (_, taps_h, taps_w) = prod(kernel_size), volume(kernel_size, 1)
    args.row_blocks, args.words, args.pitch = row_blocks(taps_w, channels)
    args.lines = (args.grid.out_height - 1) * args.grid.step_h + taps_h
    width = (args.grid.out_width - 1) * args.grid.step_w + taps_w
    args.line = ceil_div(width * args.pitch, FC_AMX_DEPTH) * FC_AMX_DEPTH
    args.panels = ceil_div(columns, FC_AMX_COLUMNS)
    bands, args.band = split(args.grid.out_height, max(1, BAND // args.grid.out_width))
    size, row_tiles = args.band * args.grid.out_width, ceil_div(args.grid.out_width, FC_AMX_ROWS)
    args.panel_blocks, args.panel_block = split(args.panels, panels_of_chunk(args.panels, images * bands, size))
    args.activation = activation_of(epilogue)
    scratch = 2 * align(8 * taps_h * args.row_blocks * row_tiles) + align(8 * size) + align(4 * size)
    scratch += align(4 * channels) + 4 * args.panel_block * size * FC_AMX_COLUMNS
    scratch += align(8 * args.taps * size) + 8 * size
    step = Step("amx_convolve_rows", <size_t>&rows_chunk, (<char *>&args)[:sizeof(args)] + int64_bytes(*taps_of),
                buffers_of(x, terms_of, packed, tiles, bias, residual, y),
                images * bands * args.panel_blocks, scratch=scratch,
                cost=microseconds(2.0 * args.grid.pixels * args.taps * channels * columns) / SPEED[terms])
    parts.x, parts.terms_of, parts.k, parts.channels, parts.terms = NULL, NULL, args.k, channels, terms
    parts.height, parts.width, parts.pitch = args.grid.height, args.grid.width, args.pitch
    _, (parts.top, _), (parts.left, _) = volume(padding, (0, 0))
    parts.line, parts.lines, parts.total = args.line, args.lines, images * args.lines
    chunks, parts.block = split(parts.total, max(1, 16384 // (terms * args.line)))
    first = Step("amx_split_rows", <size_t>&split_rows_chunk, (<char *>&parts)[:sizeof(parts)],
                 ((<char *>&parts.x - <char *>&parts, x, False),
                  (<char *>&parts.terms_of - <char *>&parts, terms_of, True)),
                 chunks, scratch=4 * args.line, cost=parts.total * args.line / 4e3)
    return first, step, 2 * parts.total * terms * args.line
