"""The gradient of a convolution's kernel on the tile unit: for each tap, x transposed times the gradient of y.

The reduction runs over output pixels, of each image row after row, rows as far apart as in x with its padding. x is
transposed once, into terms [phase][term][channel][image][padded pixel], a plane for each phase of the strides; there a
tap is but another address. Where x has its padding, the gradient of y has zeros.

    chunk: some images x up to 16 tiles of channels and taps, and more x a few panels of output channels
      block of the reduction: some images, or a part of one
        panel
          tiles of every tap and sixteen channels                                             (C: fc_amx_tile)
      panel
        store                                                                                 (C: fc_amx_finish)
        channels whose sums are not finite, or tiny, once more from float32                   (C: fc_outer)

Images are dealt to parts only where channels and panels are too few for several threads; a last phase adds the parts.
"""
from libc.stdint cimport int32_t, int64_t, uint16_t
from libc.string cimport memcpy, memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import in_parts, microseconds, partial, split
from fastconv._kernels.amx import CHUNKS, SPEED
from fastconv._kernels.conv import volume
from fastconv._kernels.runtime import Step
from fastconv.op import Plan

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.table cimport (
    FC_ACT_NONE, FC_AMX_COLUMNS, FC_AMX_DEPTH, FC_AMX_ROWS, FC_AMX_TILE, fc_amx, fc_amx_finish, fc_amx_tile,
    fc_outer,
)

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        const fc_amx *amx
        void (*outer)(const fc_outer *) noexcept nogil

# Of a chunk: tiles of the left operand, counting those of each tap; blocks of the reduction whose terms stay in the
# second-level cache; bytes of sums.
ROW_TILES = 36
DEPTH_BLOCKS = 8
SUMS_BYTES = 3 << 17


cdef struct GradientArgs:
    const float *x
    const float *dy
    const char *planes
    const char *tiles
    float *dw
    int64_t images, height, width, channels, out_height, out_width, outputs
    int64_t step_h, step_w, spread_h, spread_w, taps_h, taps_w, first_h, first_w
    int64_t groups, depth, columns, terms
    int64_t pitch, line, lines, blocks                  # elements of an image, of a row of one; rows; blocks
    int64_t row, term, phase                            # elements from channel to channel, term to term, of a phase
    int64_t phases_w                                    # phases along a row that are there
    int64_t row_tiles, tile_block, tile_blocks          # of channels of a group
    int64_t panels, panel_block, panel_blocks, part, parts, image_block, depth_block
    const fc_kernels *k


# ---- x, transposed

cdef void transpose_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    """Write sixteen channels of a phase of an image."""
    cdef const GradientArgs *args = <const GradientArgs *>raw
    cdef int64_t tile = chunk % (args.groups * args.row_tiles), image = chunk // (args.groups * args.row_tiles)
    cdef int64_t phase = image // args.images, group = tile // args.row_tiles, row, term, h, w, low, high
    cdef int64_t channel = tile % args.row_tiles * FC_AMX_ROWS, rows = min(FC_AMX_ROWS, args.depth - channel)
    cdef uint16_t *out = <uint16_t *>args.planes + phase * args.phase + tile * FC_AMX_ROWS * args.row
    cdef const float *x
    image %= args.images
    out += image * args.pitch
    x = args.x + image * args.height * args.width * args.channels + group * args.depth + channel
    for term in range(args.terms):
        for row in range(rows):
            memset(out + term * args.term + row * args.row, 0, 2 * args.pitch)
    # Where output (0, 0) would read, by the first tap of this phase.
    w = phase % args.phases_w + args.first_w
    low = 0 if w >= 0 else (-w + args.step_w - 1) // args.step_w
    high = 0 if w >= args.width else min(args.line, (args.width - 1 - w) // args.step_w + 1)
    for row in range(args.lines):
        h = row * args.step_h + phase // args.phases_w + args.first_h
        if 0 <= h < args.height and low < high:
            # Zeros that end its last block reach into the next row, which is written later.
            args.k.amx.split_transposed(x + (h * args.width + w + low * args.step_w) * args.channels,
                                        args.step_w * args.channels, rows, high - low, args.terms,
                                        out + row * args.line + low, args.row, FC_AMX_DEPTH, args.term)


# ---- the gradient of y, in tiles

cdef void pack_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    """Write the tiles of a panel and an image."""
    cdef const GradientArgs *args = <const GradientArgs *>raw
    cdef int64_t panel = chunk // args.images, image = chunk % args.images, block, i, q
    cdef int64_t size = args.terms * 2 * FC_AMX_TILE
    cdef int64_t column = panel % args.panels * FC_AMX_COLUMNS
    cdef const float *dy = args.dy + image * args.out_height * args.out_width * args.outputs
    cdef float *rows = <float *>scratch
    cdef uint16_t *out = <uint16_t *>args.tiles + chunk * args.blocks * size
    cdef int64_t nbytes = 4 * min(FC_AMX_COLUMNS, args.columns - column)
    dy += panel // args.panels * args.columns + column
    for block in range(args.blocks):
        memset(rows, 0, 4 * FC_AMX_DEPTH * FC_AMX_COLUMNS)
        for i in range(FC_AMX_DEPTH):
            q = block * FC_AMX_DEPTH + i
            if q % args.line < args.out_width and q // args.line < args.out_height:
                memcpy(rows + i * FC_AMX_COLUMNS,
                       dy + (q // args.line * args.out_width + q % args.line) * args.outputs, nbytes)
        args.k.amx.pack(rows, FC_AMX_DEPTH, args.terms, out + block * size)


# ---- their products

cdef void gradient_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const GradientArgs *args = <const GradientArgs *>raw
    cdef const fc_amx *amx = args.k.amx
    cdef int64_t part = chunk % args.parts, rest = chunk // args.parts
    cdef int64_t panel_first = rest % args.panel_blocks * args.panel_block
    cdef int64_t panel_end = min(args.panels, panel_first + args.panel_block)
    cdef int64_t tile_first = rest // args.panel_blocks % args.tile_blocks * args.tile_block
    cdef int64_t tile_count = min(args.tile_block, args.row_tiles - tile_first)
    cdef int64_t group = rest // (args.panel_blocks * args.tile_blocks), taps = args.taps_h * args.taps_w
    cdef int64_t image = part * args.part, end = min(args.images, image + args.part), start = 0
    cdef int64_t size = taps * args.tile_block
    cdef int64_t panel_bytes = args.images * args.blocks * args.terms * 4 * FC_AMX_TILE
    cdef int64_t panel, tap, tile, i, h, w, phase, shift, count
    cdef const char **a = <const char **>scratch
    cdef int64_t *a_row = <int64_t *>(scratch + align(8 * size * args.image_block))
    cdef int64_t *y_rows = <int64_t *>(<char *>a_row + align(8 * size * args.image_block))
    cdef float *c = <float *>(<char *>y_rows + align(12 * FC_AMX_ROWS))
    cdef const char *base
    cdef fc_amx_tile t
    cdef fc_amx_finish f

    t.a, t.a_row, t.a_tap, t.a_offset, t.terms = a, a_row, size, 0, args.terms
    t.a_block, t.a_term = 2 * FC_AMX_DEPTH, 2 * args.term
    t.b_tap, t.rows = args.blocks * args.terms * 4 * FC_AMX_TILE, taps * tile_count * FC_AMX_ROWS
    t.words, t.accumulate = FC_AMX_DEPTH // 2, 0
    while image < end:
        t.taps, t.blocks = min(args.image_block, end - image), min(args.depth_block, args.blocks - start)
        for tap in range(taps):
            h, w = tap // args.taps_w * args.spread_h, tap % args.taps_w * args.spread_w
            phase = h % args.step_h * args.phases_w + w % args.step_w
            shift = h // args.step_h * args.line + w // args.step_w + start * FC_AMX_DEPTH
            for tile in range(tile_count):
                base = args.planes + 2 * (phase * args.phase + shift + image * args.pitch
                                          + (group * args.row_tiles + tile_first + tile) * FC_AMX_ROWS * args.row)
                for i in range(t.taps):
                    a[i * size + tap * tile_count + tile] = base + 2 * i * args.pitch
                    a_row[i * size + tap * tile_count + tile] = 2 * args.row
        for panel in range(panel_first, panel_end):
            t.b = args.tiles + (group * args.panels + panel) * panel_bytes + image * t.b_tap
            t.b += start * args.terms * 4 * FC_AMX_TILE
            t.c = c + (panel - panel_first) * size * FC_AMX_ROWS * FC_AMX_COLUMNS
            amx.tile(&t)
        t.accumulate = 1
        start += t.blocks
        if start >= args.blocks:
            image, start = image + t.taps, 0

    f.y_rows, f.add, f.bias, f.suspect = y_rows, NULL, NULL, <int32_t *>(y_rows + FC_AMX_ROWS)
    f.activation.function = FC_ACT_NONE
    for i in range(FC_AMX_ROWS):
        y_rows[i] = i * args.outputs
    for panel in range(panel_first, panel_end):
        f.columns = min(FC_AMX_COLUMNS, args.columns - panel * FC_AMX_COLUMNS)
        for tap in range(taps):
            for tile in range(tile_count):
                f.c = c + (((panel - panel_first) * size + tap * tile_count + tile)
                           * FC_AMX_ROWS * FC_AMX_COLUMNS)
                i = (tile_first + tile) * FC_AMX_ROWS
                f.rows = min(FC_AMX_ROWS, args.depth - i)
                f.y = args.dw + ((part * taps + tap) * args.depth + i) * args.outputs
                f.y += group * args.columns + panel * FC_AMX_COLUMNS
                count = amx.finish(&f)
                for h in range(count):
                    sum_again(args, part, tap, group, i + f.suspect[h], panel, f.y + y_rows[f.suspect[h]], f.columns)


cdef void inside(int64_t offset, int64_t step, int64_t size, int64_t count, int64_t *low, int64_t *high) noexcept nogil:
    """Return the positions j in [low, high) of [0, count) with 0 <= j * step + offset < size."""
    low[0] = 0 if offset >= 0 else min(count, (-offset + step - 1) // step)
    high[0] = low[0] if offset >= size else max(low[0], min(count, (size - 1 - offset) // step + 1))


cdef void sum_again(const GradientArgs *args, int64_t part, int64_t tap, int64_t group, int64_t channel, int64_t panel,
                    float *dw, int64_t columns) noexcept nogil:
    """Sum one channel of one tap over the images of a part in float32."""
    cdef int64_t h = tap // args.taps_w * args.spread_h + args.first_h, first = part * args.part, top, left, end
    cdef int64_t w = tap % args.taps_w * args.spread_w + args.first_w
    cdef fc_outer t
    inside(h, args.step_h, args.height, args.out_height, &top, &end)
    t.height = end - top
    inside(w, args.step_w, args.width, args.out_width, &left, &end)
    t.width = end - left
    t.images = min(args.part, args.images - first)
    t.x_pixel, t.x_row = args.step_w * args.channels, args.step_h * args.width * args.channels
    t.x_image = args.height * args.width * args.channels
    t.dy_pixel, t.dy_row = args.outputs, args.out_width * args.outputs
    t.dy_image, t.offsets, t.dw, t.dw_row = args.out_height * t.dy_row, NULL, dw, 0
    t.rows, t.columns, t.accumulate, t.ahead_rows, t.strip = 1, columns, 0, 0, NULL
    t.x = args.x + first * t.x_image + ((h + top * args.step_h) * args.width + w + left * args.step_w) * args.channels
    t.x += group * args.depth + channel
    t.dy = args.dy + first * t.dy_image + top * t.dy_row + left * t.dy_pixel + group * args.columns
    t.dy += panel * FC_AMX_COLUMNS
    args.k.outer(&t)


def backward_kernel(str x, str dy, str dkernel, *, images, x_size, out_size, kernel_size, padding, strides, dilations,
                    groups, depth, columns, terms):
    """Return the plan of the gradient of the kernel of a convolution of one or two spatial axes.

    Parameters are those of `conv_backward.backward_kernel`.
    """
    cdef GradientArgs args
    args.x, args.dy, args.planes, args.tiles, args.dw = NULL, NULL, NULL, NULL, NULL
    args.k = <const fc_kernels *><size_t>runtime.table()
    _, args.height, args.width = volume(x_size, 1)
    _, args.out_height, args.out_width = volume(out_size, 1)
    _, args.taps_h, args.taps_w = volume(kernel_size, 1)
    _, args.step_h, args.step_w = volume(strides, 1)
    _, args.spread_h, args.spread_w = volume(dilations, 1)
    _, (top, _), (left, _) = volume(padding, (0, 0))
    args.first_h, args.first_w = -top, -left
    args.images, args.channels, args.outputs = images, groups * depth, groups * columns
    args.groups, args.depth, args.columns, args.terms = groups, depth, columns, terms
    reach_h, reach_w = (args.taps_h - 1) * args.spread_h, (args.taps_w - 1) * args.spread_w
    args.line, args.lines = args.out_width + reach_w // args.step_w, args.out_height + reach_h // args.step_h
    args.blocks = blocks_of_image(out_size, kernel_size, strides, dilations)
    # What blocks and shifts reach, and a block more that may be written behind the last row; an odd number of lines of
    # the cache from channel to channel.
    reach = args.blocks * FC_AMX_DEPTH + (args.lines - args.out_height) * args.line + args.line - args.out_width
    args.pitch = max(reach, args.lines * args.line) + FC_AMX_DEPTH
    args.row_tiles = ceil_div(depth, FC_AMX_ROWS)
    args.row = (ceil_div(images * args.pitch, FC_AMX_DEPTH) | 1) * FC_AMX_DEPTH
    args.term = groups * args.row_tiles * FC_AMX_ROWS * args.row
    args.phase, args.phases_w = terms * args.term, min(args.step_w, reach_w + 1)
    phases = min(args.step_h, reach_h + 1) * args.phases_w
    args.panels, taps = ceil_div(columns, FC_AMX_COLUMNS), args.taps_h * args.taps_w
    args.tile_blocks, args.tile_block = split(args.row_tiles, max(1, ROW_TILES // taps))
    sums = taps * args.tile_block * FC_AMX_ROWS * FC_AMX_COLUMNS * 4
    args.panel_blocks, args.panel_block = split(args.panels, max(1, SUMS_BYTES // sums))
    chunks = groups * args.tile_blocks * args.panel_blocks
    args.parts, args.part = split(images, ceil_div(images, min(images, ceil_div(CHUNKS, chunks))))
    args.image_block = min(args.part, max(1, DEPTH_BLOCKS // args.blocks))
    _, args.depth_block = split(args.blocks, max(DEPTH_BLOCKS, args.blocks) if args.image_block > 1 else DEPTH_BLOCKS)
    planes, tiles = f"{x}_planes", f"{dy}_tiles"
    size, raw = taps * depth * args.outputs, (<char *>&args)[:sizeof(args)]
    workspace = {
        planes: 2 * phases * args.phase,
        tiles: groups * args.panels * images * args.blocks * terms * 4 * FC_AMX_TILE,
    }
    transpose = Step("amx_transpose", <size_t>&transpose_chunk, raw,
                     ((<char *>&args.x - <char *>&args, x, False),
                      (<char *>&args.planes - <char *>&args, planes, True)),
                     phases * images * groups * args.row_tiles, cost=phases * args.phase / 1e4)
    pack = Step("amx_pack_gradient", <size_t>&pack_chunk, raw,
                ((<char *>&args.dy - <char *>&args, dy, False), (<char *>&args.tiles - <char *>&args, tiles, True)),
                groups * args.panels * images, scratch=4 * FC_AMX_DEPTH * FC_AMX_COLUMNS,
                cost=images * args.out_height * args.out_width * args.outputs / 1e3)
    pointers = align(8 * taps * args.tile_block * args.image_block)
    product = Step("amx_backward_kernel", <size_t>&gradient_chunk, raw,
                   ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.dy - <char *>&args, dy, False),
                    (<char *>&args.planes - <char *>&args, planes, False),
                    (<char *>&args.tiles - <char *>&args, tiles, False),
                    (<char *>&args.dw - <char *>&args, partial(dkernel, args.parts), True)),
                   chunks * args.parts, scratch=2 * pointers + align(12 * FC_AMX_ROWS) + args.panel_block * sums,
                   cost=microseconds(2.0 * images * args.out_height * args.out_width * size) / SPEED[terms])
    products = in_parts(product, args.parts, {dkernel: size})
    return Plan(phases=((transpose, pack), *products.phases), workspace={**workspace, **products.workspace})


def blocks_of_image(out_size, kernel_size, strides, dilations):
    """Return how many blocks of the reduction an image takes."""
    _, rows, columns = volume(out_size, 1)
    line = columns + (volume(kernel_size, 1)[2] - 1) * volume(dilations, 1)[2] // volume(strides, 1)[2]
    return ceil_div((rows - 1) * line + columns, FC_AMX_DEPTH)
