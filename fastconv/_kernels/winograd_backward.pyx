"""The gradient of a 3x3 kernel by Winograd's F(2x2, 3x3): 16 products where the plain way takes 36 per tile.

    chunk: a part of the tiles x a few panels of output channels
      block of tiles
        transform the inputs, and the gradients of the outputs: 16 matrices [tile][channel]
        matrix: sums of outer products over the tiles, added to those of the block before              (C: fc_outer)

Then, in a second phase, the parts are added in order and transformed back. Where a result is not finite, the plain way
computes all again: its steps follow, and do nothing otherwise.
"""
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import microseconds, split
from fastconv._kernels.runtime import Step
from fastconv.op import Plan

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.table cimport chunk_fn, fc_outer, fc_winograd, fc_winograd_input, fc_winograd_tiles

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t vector_length, mr, nr
        void (*outer)(const fc_outer *) noexcept nogil
        fc_winograd winograd_2x2
        void (*winograd_gradient)(const fc_winograd_input *) noexcept nogil
        int (*winograd_dkernel)(const float *parts, int64_t count, int64_t part, int64_t matrix, int64_t n,
                                float *dkernel, int64_t tap) noexcept nogil

cdef enum:
    MATRICES = 16       # products of a tile: 4 x 4
    LINE = 16           # channels side by side in a row of transformed tiles: all of them
    ROWS = 16           # input channels of a chunk of the second phase

# Tiles of a block: fewer would read and write the sums more often, more would leave the second-level cache sooner, and
# make longer sums, hence larger errors.
BLOCK = 96
# Fewer columns than this are not worth a second transform of the inputs.
MIN_COLUMNS = 128
# Chunks that keep several threads busy, and how much memory their sums may take.
CHUNKS = 8
PART_BYTES = 8_000_000


cdef struct SumsArgs:
    const float *x
    const float *dy
    float *sums         # [part][matrix][channel][padded columns]
    int64_t height, width, depth, columns, first_row, first_column, out_height, out_width
    fc_winograd_tiles tiles                             # all
    int64_t blocks, block, parts, panels, panel_block, panel_blocks, v_tile, z_tile
    const fc_kernels *k


cdef void sums_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const SumsArgs *args = <const SumsArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef int64_t nr = k.nr, padded = args.panels * nr, matrix, panel, tile, row, block
    cdef int64_t part = chunk // args.panel_blocks, first_block = part * args.blocks // args.parts
    cdef int64_t first_panel = chunk % args.panel_blocks * args.panel_block
    cdef int64_t end_panel = min(args.panels, first_panel + args.panel_block)
    cdef int64_t tiles = ceil_div(args.depth, k.mr)
    cdef float *zero
    cdef float *sums = args.sums + part * MATRICES * args.depth * padded
    cdef fc_winograd_input source, gradient
    cdef fc_outer t

    zero = <float *>scratch
    scratch += align(4 * max(args.depth, args.columns))
    memset(zero, 0, 4 * max(args.depth, args.columns))
    source.x, source.zero, source.v = args.x, zero, <float *>scratch
    source.height, source.width, source.channels, source.x_pixel = args.height, args.width, args.depth, args.depth
    source.first_row, source.first_column = args.first_row, args.first_column
    source.tiles = gradient.tiles = args.tiles
    source.v_tile, source.v_line, source.v_matrix = args.v_tile, LINE, args.block * args.v_tile
    gradient.x, gradient.zero = args.dy + first_panel * nr, zero
    gradient.v = source.v + MATRICES * source.v_matrix
    gradient.height, gradient.width, gradient.x_pixel = args.out_height, args.out_width, args.columns
    gradient.channels = min(args.columns, end_panel * nr) - first_panel * nr
    gradient.first_row = gradient.first_column = 0
    gradient.v_tile, gradient.v_line, gradient.v_matrix = args.z_tile, LINE, args.block * args.z_tile

    t.images, t.height, t.x_image, t.x_row, t.dy_image, t.dy_row = 1, 1, 0, 0, 0, 0
    t.x_pixel, t.dy_pixel, t.dw_row, t.columns = args.v_tile, args.z_tile, padded, nr
    t.ahead_rows, t.offsets, t.strip = 0, NULL, NULL
    for block in range(first_block, (part + 1) * args.blocks // args.parts):
        source.tiles.first = gradient.tiles.first = block * args.block
        t.width = min(args.block, args.tiles.count - block * args.block)
        source.tiles.count = gradient.tiles.count = t.width
        k.winograd_2x2.input(&source)
        k.winograd_gradient(&gradient)
        t.accumulate = block > first_block
        for matrix in range(MATRICES):
            for panel in range(first_panel, end_panel):
                t.dy = gradient.v + matrix * gradient.v_matrix + (panel - first_panel) * nr
                row = 0
                for tile in range(tiles):
                    t.rows = args.depth // tiles + (tile < args.depth % tiles)
                    t.x = source.v + matrix * source.v_matrix + row
                    t.dw = sums + (matrix * args.depth + row) * padded + panel * nr
                    k.outer(&t)
                    row += t.rows


cdef struct TransformArgs:
    const float *sums
    float *dkernel
    uint8_t *suspect    # [chunk]: something is not finite
    int64_t parts, depth, columns, padded
    const fc_kernels *k


cdef void transform_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const TransformArgs *args = <const TransformArgs *>raw
    cdef int64_t matrix = args.depth * args.padded, row
    cdef int finite = 1
    for row in range(chunk * ROWS, min(args.depth, (chunk + 1) * ROWS)):
        finite &= args.k.winograd_dkernel(args.sums + row * args.padded, args.parts, MATRICES * matrix, matrix,
                                          args.columns, args.dkernel + row * args.columns, args.depth * args.columns)
    args.suspect[chunk] = not finite


cdef struct RepairArgs:     # followed by the arguments of the step
    const uint8_t *suspect
    int64_t count
    chunk_fn function


cdef void repair_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const RepairArgs *args = <const RepairArgs *>raw
    cdef int64_t i
    for i in range(args.count):
        if args.suspect[i]:
            args.function(args + 1, chunk, scratch)
            return


def repair(step, str suspect, int64_t count):
    """Return the step that does what `step` does if one of `count` bytes of the buffer `suspect` is set."""
    cdef RepairArgs args
    args.suspect, args.count, args.function = NULL, count, <chunk_fn><size_t>step.function
    operands = [(0, suspect, False)]
    operands += [(offset + sizeof(args), name, written) for offset, name, written in step.operands]
    return Step("repair_" + step.name, <size_t>&repair_chunk, (<char *>&args)[:sizeof(args)] + step.arguments, operands,
                step.chunks, scratch=step.scratch, cost=step.cost)


def backward_kernel(str x, str dy, str dkernel, plain, *, images, x_size, first, out_size, depth, columns):
    """Return the plan of the gradient of a 3x3 kernel.

    Parameters
    ----------
    plain : Plan
        The plain way.
    x_size, out_size, depth, columns
        (height, width) and channels of the contiguous NHWC x and dy.
    first : (int, int)
        The row and column of x that tap (0, 0) of output (0, 0) reads; may be outside.
    """
    cdef SumsArgs args
    cdef TransformArgs transform
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    args.x, args.dy, args.sums, args.k = NULL, NULL, NULL, k
    (args.height, args.width), (args.out_height, args.out_width) = x_size, out_size
    args.first_row, args.first_column = first
    args.depth, args.columns, args.panels = depth, columns, ceil_div(columns, k.nr)
    args.tiles.images, args.tiles.rows, args.tiles.columns = images, ceil_div(out_size[0], 2), ceil_div(out_size[1], 2)
    args.tiles.over_bottom = args.tiles.over_right = args.tiles.first = 0  # in order: boxes of neighbours
    args.tiles.count = images * args.tiles.rows * args.tiles.columns
    args.panel_blocks, args.panel_block = split(args.panels, ceil_div(MIN_COLUMNS, k.nr))
    # An odd number of lines from tile to tile: neighbours spread over the sets of the caches.
    args.v_tile, args.z_tile = align(4 * depth) // 4 | 16, align(4 * args.panel_block * k.nr) // 4 | 16
    args.blocks, args.block = split(args.tiles.count, BLOCK)
    size = MATRICES * depth * args.panels * k.nr
    args.parts = max(1, min(args.blocks, ceil_div(CHUNKS, args.panel_blocks), PART_BYTES // (4 * size)))
    scratch = align(4 * max(depth, columns)) + 4 * MATRICES * args.block * (args.v_tile + args.z_tile)
    sums = Step("winograd_sums", <size_t>&sums_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.dy - <char *>&args, dy, False),
                 (<char *>&args.sums - <char *>&args, "winograd_sums", True)),
                args.parts * args.panel_blocks, scratch=scratch,
                cost=microseconds(2.0 * MATRICES * args.tiles.count * depth * columns) + args.tiles.count * depth / 1e3)
    transform.sums, transform.dkernel, transform.suspect, transform.k = NULL, NULL, NULL, k
    transform.parts, transform.depth, transform.columns = args.parts, depth, columns
    transform.padded = args.panels * k.nr
    chunks = ceil_div(depth, ROWS)
    back = Step("winograd_dkernel", <size_t>&transform_chunk, (<char *>&transform)[:sizeof(transform)],
                ((<char *>&transform.sums - <char *>&transform, "winograd_sums", False),
                 (<char *>&transform.dkernel - <char *>&transform, dkernel, True),
                 (<char *>&transform.suspect - <char *>&transform, "winograd_suspect", True)),
                chunks, cost=args.parts * size / 4e3)
    repairs = tuple(tuple(repair(step, "winograd_suspect", chunks) for step in phase) for phase in plain.phases)
    workspace = {**plain.workspace, "winograd_sums": 4 * args.parts * size, "winograd_suspect": chunks}
    return Plan(phases=((sums,), (back,), *repairs), workspace=workspace)
