"""Matrix products, and what they share with convolutions: packed panels, fused epilogues backwards.

The right operand is packed in panels of NR columns, `[group][panel][tap][k][NR]`, so that the inner loop reads it in
one straight line. A product walks

    chunk: a band of rows x a few panels
      block of k
        panel
          register tiles down the band                                            (C: fc_tile)

While one panel is multiplied, the tiles fetch the next.

With bfloat16 operands the walk sees words of two neighbours along the reduction where that of float32 sees elements:
rows and panels are moved alike, and half as long. A chunk of many rows rounds those of a float32 operand by itself.

A transposed left operand needs no transposition: its rows are the k, and the product is a sum of outer products of
rows (C: fc_outer).
"""
from libc.stdint cimport int64_t, uint16_t

from fastconv._kernels import runtime
from fastconv._kernels.chunks import CHUNK_FLOPS, in_parts, int64_bytes, microseconds, partial, split
from fastconv._kernels.eltwise import activation_of
from fastconv._kernels.runtime import Step
from fastconv.op import Plan

from fastconv._kernels.chunks cimport ceil_div
from fastconv._kernels.table cimport fc_activation, fc_bfloat16, fc_outer, fc_tile

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_epilogue_backward:
        const float *dy
        const float *y
        float *dz
        float *dbias
        int64_t rows, columns
        fc_activation activation
    ctypedef struct fc_kernels:
        int64_t vector_length, mr, nr
        const fc_bfloat16 *bfloat16
        void (*tile)(const fc_tile *) noexcept nogil
        void (*outer)(const fc_outer *) noexcept nogil
        void (*strip)(const float *x, int64_t x_pixel, int64_t pixels, int64_t columns, float *out,
                      int64_t out_pixel) noexcept nogil
        void (*pack_panel)(const float *b, int64_t k_stride, int64_t n_stride, int64_t depth, int64_t columns,
                           float *out) noexcept nogil
        void (*epilogue_backward)(const fc_epilogue_backward *) noexcept nogil

# The longest block of a reduction: its part of a panel streams through the first-level cache from the second.
DEPTH_BLOCK = 640
# How many chunks at most share the rows of a product.
CHUNKS = 16
# What a chunk reads at least of a matrix that is multiplied by a vector.
CHUNK_BYTES = 98304
# Panels that exceed this do not stay in the second-level cache: longer bands read them less often.
PANELS_STAY = 1 << 19


cdef const fc_kernels *kernels() except NULL:
    return <const fc_kernels *><size_t>runtime.table()


def band_rows(packed):
    """Return how many rows a chunk should have at most, against so many bytes of panels."""
    return 96 if packed <= PANELS_STAY else 192


# ---- packing

cdef struct PackArgs:
    const float *b
    float *packed
    int64_t panels, taps, depth, columns
    int64_t b_group, b_tap, b_k, b_n
    int64_t packed_tap                  # floats, or words, of a tap of a panel
    const fc_kernels *k
    void (*pack_panel)(const float *, int64_t, int64_t, int64_t, int64_t, float *) noexcept nogil
    # followed by `taps` numbers: which tap of b


cdef void pack_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const PackArgs *args = <const PackArgs *>raw
    cdef const int64_t *taps = <const int64_t *>(<const char *>raw + sizeof(PackArgs))
    cdef int64_t tap = chunk % args.taps, panel = chunk // args.taps % args.panels
    cdef int64_t group = chunk // (args.taps * args.panels), nr = args.k.nr
    args.pack_panel(args.b + group * args.b_group + taps[tap] * args.b_tap + panel * nr * args.b_n,
                    args.b_k, args.b_n, args.depth, min(nr, args.columns - panel * nr),
                    args.packed + chunk * args.packed_tap)


def panels_shape(depth, columns):
    """Return the shape of the packed panels of a float32 matrix: elements of their rows are side by side."""
    nr = kernels().nr
    return ceil_div(columns, nr), depth, nr


def packed_bytes(groups, taps, depth, columns, pairs=False):
    """Return the size of the packed panels, of float32 or in pairs of bfloat16."""
    nr = kernels().nr
    return 4 * groups * ceil_div(columns, nr) * taps * (ceil_div(depth, 2) if pairs else depth) * nr


def pack(str b, str packed, taps, *, groups, depth, columns, b_group, b_tap, b_k, b_n, pairs=False):
    """Return the step that packs panels: element (k, n) of tap t of a group is b[group, t, k, n] by these strides.

    With `pairs` it is rounded to bfloat16, words of k = 0 and 1, 2 and 3, ...; the last of an odd depth has zeros
    beside it. `taps` are the taps of `b` to take, in the order in which the panels shall hold them.
    """
    cdef PackArgs args
    cdef const fc_kernels *k = kernels()
    args.b, args.packed, args.k = NULL, NULL, k
    args.panels, args.taps, args.depth, args.columns = ceil_div(columns, k.nr), len(taps), depth, columns
    args.b_group, args.b_tap, args.b_k, args.b_n = b_group, b_tap, b_k, b_n
    args.packed_tap = (ceil_div(depth, 2) if pairs else depth) * k.nr
    args.pack_panel = k.bfloat16.pack_panel if pairs else k.pack_panel
    tail = int64_bytes(taps)
    elements = groups * args.panels * len(taps) * depth * k.nr
    return Step("pack", <size_t>&pack_chunk, (<char *>&args)[:sizeof(args)] + tail,
                ((<char *>&args.b - <char *>&args, b, False), (<char *>&args.packed - <char *>&args, packed, True)),
                groups * args.panels * len(taps), cost=elements / (4e3 if b_n == 1 else 1e3))


# ---- rows by panels

cdef struct ProductArgs:
    const float *a
    const float *packed
    const float *bias
    const float *residual
    float *y
    int64_t rows, depth, columns, a_row, y_row, a_batch, packed_batch, y_batch
    int64_t band, bands, panel_block, panel_blocks, depth_block, strip_row
    fc_activation activation
    const fc_kernels *k
    void (*tile)(const fc_tile *) noexcept nogil
    bint rounds                         # a is float32 where the tile reads words


cdef int64_t panels_together(int64_t rows, int64_t left) noexcept nogil:
    """Return how many of the panels that are left a tile of so few rows takes at once, see fc_tile."""
    cdef int64_t most = 4 if rows == 1 else 2 if rows == 2 else 1
    while most > left:
        most //= 2
    return most


cdef void product_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ProductArgs *args = <const ProductArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef int64_t nr = k.nr, panel, row, known, together, start = 0
    cdef int64_t panels = (args.columns + nr - 1) // nr
    cdef int64_t block = chunk % args.panel_blocks, first = chunk // args.panel_blocks % args.bands * args.band
    cdef int64_t batch = chunk // (args.panel_blocks * args.bands)
    cdef int64_t panel_first = block * args.panel_block, panel_end = min(panels, panel_first + args.panel_block)
    cdef const float *a = args.a + batch * args.a_batch + first * args.a_row
    cdef const float *packed = args.packed + batch * args.packed_batch
    cdef int64_t y_first = batch * args.y_batch + first * args.y_row
    cdef const float **rows = <const float **>scratch
    cdef int64_t *y_rows = <int64_t *>scratch + args.band + k.mr
    cdef float *strip = <float *>(y_rows + args.band + k.mr)
    cdef fc_tile t
    t.rows = min(args.band, args.rows - first)
    known = t.rows if args.strip_row else min(t.rows + k.mr, args.rows - first)
    for row in range(known):
        rows[row] = strip + row * args.strip_row if args.strip_row else a + row * args.a_row
        y_rows[row] = row * args.y_row
    t.a, t.a_tap, t.b_tap, t.b_panel, t.taps, t.known_rows = rows, 0, 0, args.depth * nr, 1, 0
    t.y_rows, t.activation, t.half, t.half_add = y_rows, args.activation, NULL, NULL
    while True:
        t.depth = min(args.depth_block, args.depth - start)
        t.last = start + t.depth == args.depth
        if args.rounds:
            k.bfloat16.round(a + 2 * start, args.a_row, <uint16_t *>strip, 2 * args.strip_row, t.rows, 2 * t.depth)
        elif args.strip_row:
            k.strip(a + start, args.a_row, t.rows, t.depth, strip, args.strip_row)
        t.a_offset = 0 if args.strip_row else start
        panel = panel_first
        while panel < panel_end:
            together = panels_together(t.rows, panel_end - panel)
            t.y = args.y + y_first + panel * nr
            t.add = t.y if start > 0 else args.residual + y_first + panel * nr if args.residual != NULL else NULL
            t.columns = min(together * nr, args.columns - panel * nr)
            t.bias = args.bias + panel * nr if args.bias != NULL else NULL
            t.b = packed + (panel * args.depth + start) * nr
            t.next_b = t.b + args.depth * nr if panel + 1 < panel_end else \
                packed + (panel_first * args.depth + start + t.depth) * nr
            # Only the first panel meets rows that are not in the cache yet.
            t.known_rows = known if panel == panel_first else 0
            args.tile(&t)
            panel += together
        start += t.depth
        if start >= args.depth:
            break


def product(str a, str packed, bias, residual, str y, *, rows, depth, columns, a_row, y_row, epilogue=None, batches=1,
            a_batch=0, packed_batch=0, y_batch=0, pairs=False, rounds=False):
    """Return the step y = activation(a @ b + residual + bias), b packed, for each of `batches`; strides count elements.

    The residual is laid out as y, and may be y. With `pairs` a and b are bfloat16, `depth`, a_row and a_batch even;
    if it `rounds`, a is float32, of more than two rows.
    """
    cdef ProductArgs args
    cdef const fc_kernels *k = kernels()
    panels = ceil_div(columns, k.nr)
    if pairs:
        depth, packed_batch = depth // 2, packed_batch // 2
    if pairs and not rounds:
        a_row, a_batch = a_row // 2, a_batch // 2
    args.a, args.packed, args.bias, args.residual, args.y, args.k = NULL, NULL, NULL, NULL, NULL, k
    args.tile = k.bfloat16.tile if pairs else k.tile
    args.rows, args.depth, args.columns, args.a_row, args.y_row = rows, depth, columns, a_row, y_row
    args.a_batch, args.packed_batch, args.y_batch = a_batch, packed_batch, y_batch
    # More rows a multiple of 4 KiB apart than a set of the first-level cache has ways: a band's block is copied first.
    strip = rounds or (4 * a_row % 4096 == 0 and k.mr > 8 and panels > 1)
    args.bands, args.band = split(rows, 96 if strip else band_rows(4 * panels * k.nr * depth), k.mr)
    if rows <= 2:
        # The time goes into reading the panels, each once.
        target = CHUNK_BYTES // (4 * k.nr * max(depth, 1))
    else:
        target = max(2 * rows * depth * columns // CHUNKS, CHUNK_FLOPS) // (2 * args.band * k.nr * max(depth, 1))
    if rounds:
        target = max(target, ceil_div(panels, 2))   # every block of panels rounds the band again
    args.panel_blocks, args.panel_block = split(panels, max(1, target), panels_together(rows, max(panels, 1)))
    _, args.depth_block = split(depth, DEPTH_BLOCK)
    args.strip_row = (args.depth_block // k.vector_length + 2) * k.vector_length if strip else 0
    args.activation, args.rounds = activation_of(epilogue), rounds
    return Step("product_rounding" if rounds else "product", <size_t>&product_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.a - <char *>&args, a, False), (<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.bias - <char *>&args, bias, False),
                 (<char *>&args.residual - <char *>&args, residual, False),
                 (<char *>&args.y - <char *>&args, y, True)),
                batches * args.bands * args.panel_blocks,
                scratch=16 * (args.band + k.mr) + 4 * args.band * args.strip_row,
                cost=batches * max(microseconds(2.0 * rows * depth * columns), depth * columns / 2e4)
                + rows * columns / 1e4)


# ---- sums of outer products: y = a^T b

cdef struct TransposedArgs:
    const float *a
    const float *b
    float *y
    int64_t depth, rows, columns, a_row, b_row, b_panel, y_row, a_batch, b_batch, y_batch
    int64_t row_block, row_blocks, panel_block, panel_blocks, depth_block
    int64_t strip                       # floats of a row of the copied tiles; 0: read in place
    const fc_kernels *k


cdef void transposed_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const TransposedArgs *args = <const TransposedArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef int64_t nr = k.nr, panel, start, row, tiles, tile, size, rows
    cdef float *strip
    cdef int64_t panels = (args.columns + nr - 1) // nr
    cdef int64_t block = chunk % args.panel_blocks
    cdef int64_t first = chunk // args.panel_blocks % args.row_blocks * args.row_block
    cdef int64_t batch = chunk // (args.panel_blocks * args.row_blocks)
    cdef const float *a = args.a + batch * args.a_batch + first
    cdef int64_t panel_first = block * args.panel_block
    cdef fc_outer t
    rows = min(args.row_block, args.rows - first)
    tiles = (rows + k.mr - 1) // k.mr
    t.images, t.height, t.x_image, t.x_row, t.dy_image, t.dy_row = 1, 1, 0, 0, 0, 0
    t.x_pixel = args.strip if args.strip else args.a_row
    t.dy_pixel, t.dw_row, t.offsets, t.strip = args.b_row, args.y_row, NULL, NULL
    start = 0
    while True:
        t.width = min(args.depth_block, args.depth - start)
        t.accumulate = start > 0
        # Of packed panels, each tile fetches its share of the next.
        t.ahead_row, t.ahead_rows = nr, t.width // tiles if args.b_row == nr else 0
        for panel in range(panel_first, min(panels, panel_first + args.panel_block)):
            t.columns = min(nr, args.columns - panel * nr)
            t.dy = args.b + batch * args.b_batch + panel * args.b_panel + start * args.b_row
            t.ahead = t.dy + args.b_panel
            row = 0
            for tile in range(tiles):
                size = rows // tiles + (tile < rows % tiles)
                t.rows = size
                t.x = a + start * args.a_row + row
                if args.strip:
                    strip = <float *>scratch + tile * args.depth_block * args.strip
                    if panel == panel_first:
                        k.strip(t.x, args.a_row, t.width, size, strip, args.strip)
                    t.x = strip
                t.dw = args.y + batch * args.y_batch + (first + row) * args.y_row + panel * nr
                k.outer(&t)
                row += size
                t.ahead += nr * t.ahead_rows
        start += t.width
        if start >= args.depth:
            break


def transposed_product(str a, str b, str y, *, depth, rows, columns, a_row, b_row, y_row, packed=False,
                       batches=1, a_batch=0, b_batch=0, y_batch=0):
    """Return the step y = a^T b: a is (depth, rows), b (depth, columns) or its packed panels, y (rows, columns)."""
    cdef TransposedArgs args
    cdef const fc_kernels *k = kernels()
    panels = ceil_div(columns, k.nr)
    args.a, args.b, args.y, args.k = NULL, NULL, NULL, k
    args.depth, args.rows, args.columns, args.a_row, args.y_row = depth, rows, columns, a_row, y_row
    args.a_batch, args.b_batch, args.y_batch = a_batch, b_batch, y_batch
    args.b_row, args.b_panel = (k.nr, depth * k.nr) if packed else (b_row, k.nr)
    args.row_blocks, args.row_block = split(rows, 192, k.mr)
    flops = 2 * depth * rows * columns
    args.panel_blocks, args.panel_block = split(
        panels, max(1, max(flops // CHUNKS, CHUNK_FLOPS) // (2 * args.row_block * k.nr * max(depth, 1))))
    _, args.depth_block = split(depth, 128)
    # Rows a multiple of 4 KiB apart fall into one set of the first-level cache; tiles used several times are copied.
    args.strip = 0
    if args.panel_block > 1 and 4 * a_row % 4096 == 0:
        args.strip = (k.mr + k.vector_length - 1) // k.vector_length * k.vector_length
    scratch = 4 * args.depth_block * args.row_block // k.mr * args.strip
    return Step("transposed_product", <size_t>&transposed_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.a - <char *>&args, a, False), (<char *>&args.b - <char *>&args, b, False),
                 (<char *>&args.y - <char *>&args, y, True)),
                batches * args.row_blocks * args.panel_blocks, scratch=scratch,
                cost=batches * microseconds(2.0 * rows * depth * columns) + rows * columns / 1e4)


# ---- fused epilogues, backwards

cdef struct EpilogueArgs:
    const float *dy
    const float *y
    float *dz
    float *dbias
    int64_t rows, columns, band
    fc_activation activation
    const fc_kernels *k


cdef void epilogue_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const EpilogueArgs *args = <const EpilogueArgs *>raw
    cdef fc_epilogue_backward t
    cdef int64_t start = chunk * args.band * args.columns
    t.dy = args.dy + start
    t.y = args.y + start if args.y != NULL else NULL
    t.dz = args.dz + start if args.dz != NULL else NULL
    t.dbias = args.dbias + chunk * args.columns if args.dbias != NULL else NULL
    t.rows, t.columns = min(args.band, args.rows - chunk * args.band), args.columns
    t.activation = args.activation
    args.k.epilogue_backward(&t)


def epilogue_backward(dy, y, dz, dbias, *, rows, columns, epilogue=None):
    """Return the plan of dz = dy * activation'(y) and dbias = column sums of dz.

    `dz` and `dbias` may be None: not wanted; without an activation dz is dy and must be None.
    """
    cdef EpilogueArgs args
    if dz is None and dbias is None:
        return Plan()
    args.dy, args.y, args.dz, args.dbias, args.k = NULL, NULL, NULL, NULL, kernels()
    args.rows, args.columns = rows, columns
    parts, args.band = split(rows, max(32, 16384 // max(columns, 1)))
    args.activation = activation_of(epilogue)
    step = Step("epilogue_backward", <size_t>&epilogue_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.dy - <char *>&args, dy, False),
                 (<char *>&args.y - <char *>&args, y if epilogue and epilogue.activation else None, False),
                 (<char *>&args.dz - <char *>&args, dz, True),
                 (<char *>&args.dbias - <char *>&args, partial(dbias, parts), True)),
                parts, cost=rows * columns / 4e3)
    return Plan(phases=((step,),)) if dbias is None else in_parts(step, parts, {dbias: columns})
