"""Matrix products of float32 on the tile unit: as sums of products of bfloat16 terms, see kernels/amx.h.

The right operand is packed twice: in panels of float32, as gemm.pyx has them, and from these in tiles of terms. A
product walks

    chunk: a band of rows x a few panels
      block of the reduction
        terms of the left operand, in the order of tiles: they stay in the second-level cache (C: split)
        panel
          tiles down the band                                                                 (C: fc_amx_tile)
      panel
        residual, bias, activation, store                                                     (C: fc_amx_finish)
        rows that are not finite, or tiny, once more from float32                             (C: fc_tile)

A transposed left operand is transposed where it is taken apart. Sums add up in the same order however they are cut into
blocks, bands and panels. A tile configuration is loaded and released inside one call of fc_amx_tile.
"""
from libc.stdint cimport int32_t, int64_t, uint16_t
from libc.string cimport memcpy, memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import microseconds, split
from fastconv._kernels.eltwise import activation_of
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.table cimport (
    FC_AMX_COLUMNS, FC_AMX_DEPTH, FC_AMX_ROWS, FC_AMX_TILE, fc_activation, fc_amx, fc_amx_finish, fc_amx_tile, fc_tile,
)

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t nr
        const fc_amx *amx
        void (*tile)(const fc_tile *) noexcept nogil

# How many terms an operand is a sum of, by precision: as docs/architecture.md says.
TERMS = {"highest": 3, "high": 2, "medium": 1}
# Rows of a chunk. Its sums, and the terms of a block of the reduction, share the second-level cache.
BAND = 128
SUMS_BYTES = 1 << 19
TERMS_BYTES = 3 << 16
# Chunks that keep several threads busy; but so many panels at least shall use the terms of a band.
CHUNKS = 8
MIN_PANELS = 8
# Times faster than float32's tiles, in estimates.
SPEED = {3: 2.0, 2: 3.5, 1: 8.0}


cdef const fc_kernels *kernels() except NULL:
    return <const fc_kernels *><size_t>runtime.table()


def available():
    """Tell whether the active instruction set has tiles."""
    return kernels().amx != NULL


# ---- packing

cdef struct PackArgs:
    const float *packed
    char *tiles
    int64_t depth, nbytes, terms
    const fc_kernels *k


cdef void pack_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const PackArgs *args = <const PackArgs *>raw
    args.k.amx.pack(args.packed + chunk * args.depth * args.k.nr, args.depth, args.terms,
                    <uint16_t *>(args.tiles + chunk * args.nbytes))


def blocks_of(depth):
    """Return how many blocks of a tile's depth a reduction takes."""
    return ceil_div(depth, FC_AMX_DEPTH)


def tile_bytes(groups, taps, depth, columns, terms):
    """Return the size of the packed tiles."""
    return groups * ceil_div(columns, FC_AMX_COLUMNS) * taps * blocks_of(depth) * terms * 4 * FC_AMX_TILE


def pack(str packed, str tiles, *, groups, taps, depth, columns, terms):
    """Return the step that turns packed panels, see `gemm.pack`, into tiles of terms."""
    cdef PackArgs args
    args.packed, args.tiles, args.k = NULL, NULL, kernels()
    args.depth, args.nbytes, args.terms = depth, blocks_of(depth) * terms * 4 * FC_AMX_TILE, terms
    chunks = groups * ceil_div(columns, FC_AMX_COLUMNS) * taps
    return Step("amx_pack", <size_t>&pack_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.tiles - <char *>&args, tiles, True)),
                chunks, cost=chunks * depth * FC_AMX_COLUMNS / 2e3)


cdef struct PackRowsArgs:
    const float *packed
    char *tiles
    int64_t taps_w, channels, pixel, words, blocks, nbytes, terms
    const fc_kernels *k


cdef void pack_rows_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    """Write the tiles of a kernel row of a panel."""
    cdef const PackRowsArgs *args = <const PackRowsArgs *>raw
    cdef const float *row = args.packed + chunk * args.taps_w * args.channels * args.k.nr
    cdef int64_t block, i, w, c
    for block in range(args.blocks):
        memset(scratch, 0, 8 * args.words * args.k.nr)
        for i in range(2 * args.words):
            w, c = (block * 2 * args.words + i) // args.pixel, (block * 2 * args.words + i) % args.pixel
            if c < args.channels:
                memcpy(scratch + 4 * i * args.k.nr, row + (w * args.channels + c) * args.k.nr, 4 * args.k.nr)
        args.k.amx.pack(<const float *>scratch, 2 * args.words, args.terms,
                        <uint16_t *>(args.tiles + (chunk * args.blocks + block) * args.nbytes))


def row_blocks(taps_w, channels):
    """Return (blocks, words of each, elements of a pixel) of a kernel row, of pixels of whole words.

    Blocks are 0 where the words cannot be dealt evenly.
    """
    pixel = channels + channels % 2
    words = taps_w * pixel // 2
    blocks = ceil_div(words, FC_AMX_DEPTH // 2)
    return (0 if words % blocks else blocks), words // blocks, pixel


def pack_rows(str packed, str tiles, *, taps_h, taps_w, channels, columns, terms):
    """Return (step, bytes): it turns packed panels, [tap][channel], into tiles of kernel rows, see `row_blocks`."""
    cdef PackRowsArgs args
    args.packed, args.tiles, args.k, args.terms = NULL, NULL, kernels(), terms
    args.blocks, args.words, args.pixel = row_blocks(taps_w, channels)
    args.taps_w, args.channels, args.nbytes = taps_w, channels, terms * 4 * FC_AMX_TILE
    chunks = ceil_div(columns, FC_AMX_COLUMNS) * taps_h
    step = Step("amx_pack", <size_t>&pack_rows_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.tiles - <char *>&args, tiles, True)),
                chunks, scratch=4 * FC_AMX_DEPTH * FC_AMX_COLUMNS, cost=chunks * args.blocks * FC_AMX_COLUMNS / 2e3)
    return step, chunks * args.blocks * args.nbytes


# ---- the terms of images

cdef struct SplitArgs:
    const float *x
    uint16_t *terms_of
    int64_t pixels, channels, depth, groups, terms, band
    int64_t group, pixel, term          # elements of the terms
    const fc_kernels *k


cdef void split_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const SplitArgs *args = <const SplitArgs *>raw
    cdef int64_t first = chunk * args.band, group
    for group in range(args.groups):
        args.k.amx.split(args.x + first * args.channels + group * args.depth, args.channels,
                         min(args.band, args.pixels - first), args.depth, args.terms,
                         args.terms_of + first * args.pixel + group * args.group, args.pixel, FC_AMX_DEPTH, args.term)


def pixel_bytes(groups, depth, terms):
    """Return the size of the terms of a pixel of so many channels per group: [group][term][whole blocks]."""
    return groups * terms * blocks_of(depth) * 2 * FC_AMX_DEPTH


def split_pixels(str x, str terms_of, *, pixels, groups, depth, terms):
    """Return the step that takes all pixels apart into terms, [pixel][group][term][channel], zeros to whole blocks."""
    cdef SplitArgs args
    args.x, args.terms_of, args.k = NULL, NULL, kernels()
    args.pixels, args.channels, args.depth, args.groups, args.terms = pixels, groups * depth, depth, groups, terms
    args.term = blocks_of(depth) * FC_AMX_DEPTH
    args.group, args.pixel = terms * args.term, groups * terms * args.term
    bands, args.band = split(pixels, max(1, 16384 // args.pixel))
    return Step("amx_split", <size_t>&split_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False),
                 (<char *>&args.terms_of - <char *>&args, terms_of, True)),
                bands, cost=pixels * groups * depth / 4e3)


# ---- products

cdef struct ProductArgs:
    const float *a
    const float *packed
    const char *tiles
    const float *bias
    const float *residual
    float *y
    int64_t rows, depth, columns, a_row, a_k, y_row, a_batch, packed_batch, tiles_batch, y_batch
    int64_t band, bands, panels, panel_block, panel_blocks, blocks, depth_block, terms
    fc_activation activation
    const fc_kernels *k


cdef void product_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ProductArgs *args = <const ProductArgs *>raw
    cdef const fc_amx *amx = args.k.amx
    cdef int64_t batch = chunk // (args.panel_blocks * args.bands), panel, row, tile, start = 0
    cdef int64_t first = chunk // args.panel_blocks % args.bands * args.band
    cdef int64_t panel_first = chunk % args.panel_blocks * args.panel_block
    cdef int64_t panel_end = min(args.panels, panel_first + args.panel_block)
    cdef int64_t row_tiles = args.band // FC_AMX_ROWS, block = args.terms * FC_AMX_TILE, elements
    cdef const float *a = args.a + batch * args.a_batch + first * args.a_row
    cdef const float *source
    cdef const float *packed
    cdef const char **tile_a = <const char **>scratch
    cdef int64_t *tile_rows = <int64_t *>(scratch + align(8 * row_tiles))
    cdef int64_t *y_rows = <int64_t *>(<char *>tile_rows + align(8 * row_tiles))
    cdef float *c = <float *>(<char *>y_rows + align(8 * args.band))
    cdef uint16_t *strip = <uint16_t *>(c + args.panel_block * args.band * FC_AMX_COLUMNS)
    cdef char *spare = <char *>strip + 2 * row_tiles * args.depth_block * block
    cdef fc_amx_tile t
    cdef fc_amx_finish f
    t.rows = min(args.band, args.rows - first)
    for row in range(t.rows):
        y_rows[row] = row * args.y_row
    t.a, t.a_row, t.a_tap, t.a_offset, t.b_tap, t.taps, t.terms = tile_a, tile_rows, 0, 0, 0, 1, args.terms
    t.words = FC_AMX_DEPTH // 2
    t.a_block, t.a_term = 2 * block, 2 * FC_AMX_TILE
    while start < args.blocks:
        t.blocks = min(args.depth_block, args.blocks - start)
        elements = min(t.blocks * FC_AMX_DEPTH, args.depth - start * FC_AMX_DEPTH)
        for tile in range((t.rows + FC_AMX_ROWS - 1) // FC_AMX_ROWS):
            row = tile * FC_AMX_ROWS
            source = a + row * args.a_row + start * FC_AMX_DEPTH * args.a_k
            tile_a[tile] = <const char *>(strip + tile * args.depth_block * block)
            tile_rows[tile] = 2 * FC_AMX_DEPTH
            if args.a_k == 1:
                amx.split(source, args.a_row, min(FC_AMX_ROWS, t.rows - row), elements, args.terms,
                          <uint16_t *>tile_a[tile], FC_AMX_DEPTH, block, FC_AMX_TILE)
            else:
                amx.split_transposed(source, args.a_k, min(FC_AMX_ROWS, t.rows - row), elements, args.terms,
                                     <uint16_t *>tile_a[tile], FC_AMX_DEPTH, block, FC_AMX_TILE)
        t.accumulate = start > 0
        for panel in range(panel_first, panel_end):
            t.b = args.tiles + batch * args.tiles_batch + 4 * (panel * args.blocks + start) * block
            t.c = c + (panel - panel_first) * args.band * FC_AMX_COLUMNS
            amx.tile(&t)
        start += t.blocks

    f.rows, f.y_rows, f.activation, f.suspect = t.rows, y_rows, args.activation, <int32_t *>strip
    for panel in range(panel_first, panel_end):
        f.c = c + (panel - panel_first) * args.band * FC_AMX_COLUMNS
        f.columns = min(FC_AMX_COLUMNS, args.columns - panel * FC_AMX_COLUMNS)
        f.y = args.y + batch * args.y_batch + first * args.y_row + panel * FC_AMX_COLUMNS
        f.add = f.y - args.y + args.residual if args.residual != NULL else NULL
        f.bias = args.bias + panel * FC_AMX_COLUMNS if args.bias != NULL else NULL
        row = amx.finish(&f)
        if row > 0:
            packed = args.packed + batch * args.packed_batch + panel * args.depth * FC_AMX_COLUMNS
            sum_again(args, a, packed, &f, row, spare)


cdef void sum_again(const ProductArgs *args, const float *a, const float *packed, const fc_amx_finish *f, int64_t count,
                    char *scratch) noexcept nogil:
    """Sum the first `count` rows that `f` lists in float32, in sequence: of tiny terms, more is flushed in blocks."""
    cdef const float **rows = <const float **>scratch
    cdef int64_t *y_rows = <int64_t *>(scratch + 8 * args.band)
    cdef float *row = <float *>(scratch + 16 * args.band)
    cdef int64_t i, k
    cdef fc_tile t
    t.a, t.a_tap, t.a_offset, t.taps, t.depth = rows, 0, 0, 1, args.depth
    t.b, t.b_tap, t.next_b, t.known_rows = packed, 0, packed, 0
    t.y, t.y_rows, t.columns, t.add, t.bias, t.last = f.y, y_rows, f.columns, f.add, f.bias, 1
    t.activation, t.rows = f.activation, 1
    for i in range(count):
        y_rows[i], rows[i] = f.y_rows[f.suspect[i]], a + f.suspect[i] * args.a_row
    if args.a_k == 1:
        t.rows = count
        args.k.tile(&t)
        return
    for i in range(count):
        for k in range(args.depth):
            row[k] = a[f.suspect[i] * args.a_row + k * args.a_k]
        rows[0], y_rows[0] = row, f.y_rows[f.suspect[i]]
        args.k.tile(&t)


def product(str a, str packed, str tiles, bias, residual, str y, *, rows, depth, columns, terms, a_row, y_row,
            transposed=False, epilogue=None, batches=1, a_batch=0, packed_batch=0, y_batch=0):
    """Return the step y = activation(op(a) @ b + residual + bias), b packed twice, for each of `batches`.

    Parameters are those of `gemm.product`. A transposed `a` has a row of `rows` for each element of the reduction.
    """
    cdef ProductArgs args
    args.a, args.packed, args.tiles, args.bias, args.residual, args.y = NULL, NULL, NULL, NULL, NULL, NULL
    args.k, args.terms, args.blocks = kernels(), terms, blocks_of(depth)
    args.rows, args.depth, args.columns, args.y_row = rows, depth, columns, y_row
    args.a_row, args.a_k = (1, a_row) if transposed else (a_row, 1)
    args.a_batch, args.packed_batch, args.y_batch = a_batch, packed_batch, y_batch
    args.tiles_batch = tile_bytes(1, 1, depth, columns, terms) if packed_batch else 0
    args.panels = ceil_div(columns, FC_AMX_COLUMNS)
    args.bands, args.band = split(rows, BAND, 2 * FC_AMX_ROWS)
    together = panels_of_chunk(args.panels, args.bands * batches, args.band)
    args.panel_blocks, args.panel_block = split(args.panels, together)
    _, args.depth_block = split(args.blocks, max(1, TERMS_BYTES // (args.band * terms * 2 * FC_AMX_DEPTH)))
    args.activation = activation_of(epilogue)
    scratch = 2 * align(args.band // 2) + align(8 * args.band)
    scratch += args.band * (args.panel_block * 4 * FC_AMX_COLUMNS + args.depth_block * terms * 2 * FC_AMX_DEPTH)
    return Step("amx_product", <size_t>&product_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.a - <char *>&args, a, False), (<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.tiles - <char *>&args, tiles, False),
                 (<char *>&args.bias - <char *>&args, bias, False),
                 (<char *>&args.residual - <char *>&args, residual, False),
                 (<char *>&args.y - <char *>&args, y, True)),
                batches * args.bands * args.panel_blocks, scratch=scratch + 16 * args.band + 4 * depth * transposed,
                cost=batches * microseconds(2.0 * rows * depth * columns) / SPEED[terms] + rows * columns / 1e4)


def panels_of_chunk(panels, bands, band):
    """Return how many panels a chunk takes at most, of so many bands of rows."""
    return max(1, min(max(ceil_div(panels * bands, CHUNKS), MIN_PANELS), SUMS_BYTES // (band * 4 * FC_AMX_COLUMNS)))
