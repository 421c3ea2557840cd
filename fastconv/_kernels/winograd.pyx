"""3x3 convolutions of stride 1 by Winograd's F(2x2, 3x3), 16 products of a tile where the plain way takes 36, by
F(2x4, 3x3), 24 where it takes 72, or by F(4x4, 3x3), 36 where it takes 144.

    chunk: a block of tiles (2 x 2, 2 x 4 or 4 x 4 outputs each, over image borders too)
      transform the inputs of the tiles: 16, 24 or 36 matrices                       (C: fc_winograd_input)
      matrix                  its tiles stay in the second-level cache while the weights stream by
        panel
          product over all channels, the panel read in one straight line             (C: fc_winograd_product)
      panel
        transform back, bias, activation, store                                      (C: fc_winograd_output)

Of a tile over the right edge of its image the last column of products is left out, over the bottom the last row: the
outputs that these alone make lie outside. Tiles are numbered so that such ones lie at the ends of a block.

Where blocks are few (small maps) a chunk has a block and a few panels; a step of its own may transform the inputs of a
single block. The weights are transformed ahead, from the same packed panels that the plain convolution reads: `packed`
stays, because the transforms mix the pixels of a tile. Where a tile's results are not finite, its outputs are summed
again the plain way, so that infinities and NaNs are exactly where they belong, and nothing overflows on the way that
need not; and so where a tile with a side of 4 has pixels much smaller than others, which would keep the rounding errors
of those.

x, and y with the residual, may be stored as bfloat16; transforms and products are float32.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t
from libc.string cimport memcpy, memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import microseconds, split
from fastconv._kernels.eltwise import activation_of
from fastconv._kernels.runtime import Step
from fastconv.op import Plan

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.table cimport (
    fc_activation, fc_gather, fc_norm_pass, fc_tile, fc_winograd, fc_winograd_class, fc_winograd_input,
    fc_winograd_output, fc_winograd_product, fc_winograd_tile, fc_winograd_tile_at, fc_winograd_tiles)

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_bfloat16:
        void (*round)(const float *x, int64_t x_row, uint16_t *y, int64_t y_row, int64_t rows,
                      int64_t columns) noexcept nogil
        void (*widen)(const uint16_t *x, float *y, int64_t n) noexcept nogil
        fc_winograd winograd_2x2, winograd_2x4, winograd_4x4
    ctypedef struct fc_kernels:
        int64_t vector_length, mr, nr
        const fc_bfloat16 *bfloat16
        void (*tile)(const fc_tile *) noexcept nogil
        void (*gather)(const fc_gather *) noexcept nogil
        void (*norm_apply)(const fc_norm_pass *) noexcept nogil
        fc_winograd winograd_2x2, winograd_2x4, winograd_4x4
        void (*winograd_product)(const fc_winograd_product *) noexcept nogil

# The transformed tiles of a chunk, before and after the products, shall stay in the second-level cache; yet each chunk
# reads all weights once: with fewer tiles than this that costs more.
TILE_BYTES = 600_000
GOOD_TILES = 28
MAX_TILES = 128
# Chunks that keep several threads busy; for these a block may have as few tiles, the rows of a product, as this, unless
# the weights do not stay in the second-level cache.
CHUNKS = 8
MIN_TILES = 16
WEIGHTS_STAY = 1_000_000
# Where blocks are fewer, several chunks share each: so many chunks at least.
LEAST_CHUNKS = 4
# So many floats of the transformed inputs of a single block are made once for all of them, by a step of as many chunks
# before. Of fewer each chunk makes its own: a second thread would wait longer for them. Those of several blocks would
# lie too far away.
APART = 1 << 16
# Outputs of a row of a tile, at most.
cdef enum:
    LINE = 16                                           # floats of a line of the cache
    MAX_OUTPUTS = 4
    MAX_VECTOR = 16                                     # floats of a vector
# Fewer columns than this are not worth a chunk of their own.
MIN_COLUMNS = 64


cdef const fc_winograd *transforms(const fc_kernels *k, side, bint half=False) except NULL:
    """Return those of tiles of `side` = (rows, columns), of x or y in float32 or (half) bfloat16."""
    if side == (4, 4):
        return &k.bfloat16.winograd_4x4 if half else &k.winograd_4x4
    if side == (2, 4):
        return &k.bfloat16.winograd_2x4 if half else &k.winograd_2x4
    return &k.bfloat16.winograd_2x2 if half else &k.winograd_2x2


cdef int64_t products(side):
    """Return how many products a tile takes for each pair of channels."""
    rows, columns = side
    return (rows + 2) * (columns + 2)


# ---- weights

cdef struct KernelArgs:
    const float *packed
    float *transformed
    int64_t panel, matrix, blocks, block       # floats of a tap of a panel, of all panels; of a chunk
    const fc_winograd *winograd


cdef void kernel_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const KernelArgs *args = <const KernelArgs *>raw
    cdef int64_t panel = chunk // args.blocks, start = chunk % args.blocks * args.block
    args.winograd.kernel(args.packed + panel * 9 * args.panel + start, args.panel, min(args.block, args.panel - start),
                         args.transformed + panel * args.panel + start, args.matrix)


def transformed_bytes(side, depth, columns):
    """Return the size of the weights transformed for tiles of `side` = (rows, columns) outputs."""
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    return 4 * products(side) * ceil_div(columns, k.nr) * depth * k.nr


def transform_kernel(str packed, str transformed, *, side, depth, columns):
    """Return the step that transforms packed 3x3 kernels, [panel][tap][k][NR] -> [matrix][panel][k][NR]."""
    cdef KernelArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    panels = ceil_div(columns, k.nr)
    args.packed, args.transformed, args.winograd = NULL, NULL, transforms(k, side)
    args.panel, args.matrix = depth * k.nr, panels * depth * k.nr
    args.blocks, args.block = split(args.panel, 1024, k.nr)
    return Step("winograd_kernel", <size_t>&kernel_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.transformed - <char *>&args, transformed, True)),
                panels * args.blocks, cost=products(side) * args.matrix / 16e3)


# ---- the convolution

cdef struct WinogradArgs:
    const float *x
    const float *packed
    const float *transformed
    const float *bias
    const float *residual
    const float *scale
    const float *shift
    float *v                                            # transformed inputs of the only block; NULL: made by a chunk
    float *y
    bint pool, half_x, half_y                           # x is bfloat16; y and the residual are
    float share
    int64_t height, width, depth, columns, first_row, first_column, out_height, out_width, y_pixel
    fc_winograd_tiles tiles                             # all
    int64_t block, panels, panel_block, panel_blocks
    int64_t v_line, v_matrix, m_matrix, depth_block
    int64_t v_size                                      # of a block
    int64_t part                                        # tiles of a chunk of the transform, if it is a step
    int64_t matrices                                    # products of a tile
    fc_activation activation
    const fc_kernels *k
    const fc_winograd *winograd                         # its transform of x, and the size of a tile
    void (*output)(const fc_winograd_output *) noexcept nogil


cdef inline const float *element(const float *p, int64_t index, bint half) noexcept nogil:
    """Return where element `index` of an array of float32, or bfloat16, is."""
    return <const float *>(<const uint16_t *>p + index) if half else p + index


cdef void transform(const WinogradArgs *args, int64_t first, int64_t count, const float *zero, float *v) noexcept nogil:
    """Transform the inputs of `count` tiles of a block."""
    cdef fc_winograd_input source
    source.x, source.zero, source.v = args.x, zero, v
    source.height, source.width, source.channels, source.x_pixel = args.height, args.width, args.depth, args.depth
    source.first_row, source.first_column = args.first_row, args.first_column
    source.tiles = args.tiles
    source.tiles.first, source.tiles.count = first, count
    source.v_tile, source.v_line, source.v_matrix = LINE, args.v_line, args.v_matrix
    args.winograd.input(&source)


cdef int64_t class_end(const WinogradArgs *args, int64_t kind, int64_t first, int64_t count) noexcept nogil:
    """Return where in a block of tiles a class of them ends."""
    cdef fc_winograd_tile at
    cdef int64_t end = 0, k
    for k in range(kind + 1):
        end += fc_winograd_class(&args.tiles, k, &at)
    return min(max(end - first, 0), count)


cdef void input_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const WinogradArgs *args = <const WinogradArgs *>raw
    cdef int64_t first = chunk * args.part
    memset(scratch, 0, 4 * args.depth)
    transform(args, first, min(args.part, args.tiles.count - first), <const float *>scratch, args.v + first * LINE)


cdef void winograd_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const WinogradArgs *args = <const WinogradArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef int64_t nr = k.nr, panel, tile, size = args.depth * nr
    cdef int64_t first_panel = chunk % args.panel_blocks * args.panel_block
    cdef int64_t end_panel = min(args.panels, first_panel + args.panel_block)
    cdef int64_t first = chunk // args.panel_blocks * args.block, count = min(args.block, args.tiles.count - first)
    cdef float *zero
    cdef float *m
    cdef float *wide
    cdef float *plain
    cdef fc_winograd_product product
    cdef fc_winograd_output out

    out.suspect = <uint8_t *>scratch
    scratch += align(args.block)
    zero = <float *>scratch
    scratch += align(4 * args.depth)
    plain = <float *>scratch
    scratch += align(4 * args.winograd.rows * args.winograd.columns * k.vector_length)
    m = <float *>scratch
    wide = m + args.panel_block * args.matrices * args.m_matrix
    memset(zero, 0, 4 * args.depth)
    if args.v != NULL:
        product.v = args.v
    else:
        transform(args, first, count, zero, wide)
        product.v = wide

    product.v_line, product.v_matrix = args.v_line, args.v_matrix
    product.u, product.u_matrix = args.transformed + first_panel * size, args.panels * size
    product.next = args.transformed + end_panel % args.panels * size  # what the next chunk begins with
    product.m, product.m_matrix, product.m_panel = m, args.m_matrix, args.matrices * args.m_matrix
    product.matrices, product.side, product.panels = args.matrices, args.winograd.columns + 2, end_panel - first_panel
    product.tiles, product.right = count, class_end(args, 0, first, count)
    product.inside, product.bottom = class_end(args, 1, first, count), class_end(args, 2, first, count)
    product.depth, product.block, product.columns = args.depth, args.depth_block, args.columns - first_panel * nr
    k.winograd_product(&product)

    out.m_matrix = args.m_matrix
    out.tiles = args.tiles
    out.tiles.first, out.tiles.count = first, count
    out.y_pixel, out.out_height, out.out_width = args.y_pixel, args.out_height, args.out_width
    out.activation, out.pool, out.share = args.activation, args.pool, args.share
    for panel in range(first_panel, end_panel):
        out.m = m + (panel - first_panel) * product.m_panel
        out.y = <float *>element(args.y, panel * nr, args.half_y)
        out.residual = element(args.residual, panel * nr, args.half_y) if args.residual != NULL else NULL
        out.bias = args.bias + panel * nr if args.bias != NULL else NULL
        out.scale = args.scale + panel * nr if args.scale != NULL else NULL
        out.shift = args.shift + panel * nr if args.scale != NULL else NULL
        out.columns = min(nr, args.columns - panel * nr)
        args.output(&out)
        for tile in range(count):
            if out.suspect[tile]:
                convolve_tile(args, first + tile, panel, out.suspect[tile], zero, wide, plain)


cdef void convolve_tile(const WinogradArgs *args, int64_t tile, int64_t panel, int64_t vectors, const float *zero,
                        float *wide, float *plain) noexcept nogil:
    """Sum one tile the plain way: those vectors of a panel whose bits are set. `wide` has room for its pixels of x,
    where these are bfloat16; `plain` holds the results of one vector while more is to be done with them."""
    cdef const fc_kernels *k = args.k
    cdef fc_winograd_tile at = fc_winograd_tile_at(&args.tiles, tile)
    cdef int64_t image = at.image, pixel, first, r, i, v
    cdef int64_t row = args.winograd.rows * at.row, rows = min(args.winograd.rows, args.out_height - row)
    cdef int64_t width = args.winograd.columns, column = width * at.column
    cdef bint more = args.pool or args.scale != NULL or args.half_y
    cdef int64_t[3] tap_h
    cdef int64_t[3] tap_w
    cdef int64_t[MAX_OUTPUTS] y_rows
    cdef const float *a[9 * MAX_OUTPUTS]
    cdef fc_gather g
    cdef fc_tile t
    # Of x all of the image, or what the tile sees of it; of the outputs the tile.
    if args.half_x:
        widen_tile(args, image, args.first_row + row, args.first_column + column, wide)
        g.x, g.height, g.width = wide, args.winograd.rows + 2, width + 2
    else:
        g.x, g.height, g.width = args.x + image * args.height * args.width * args.depth, args.height, args.width
    for i in range(3):
        tap_h[i] = i if args.half_x else args.first_row + row + i
        tap_w[i] = i if args.half_x else args.first_column + column + i
    g.zero, g.x_image, g.x_row, g.x_pixel = zero, 0, g.width * args.depth, args.depth
    g.step_h, g.step_w, g.taps_h, g.taps_w, g.tap_h, g.tap_w = 1, 1, 3, 3, tap_h, tap_w
    g.out_height, g.out_width = rows, min(width, args.out_width - column)
    g.y_image, g.y_row = 0, args.out_width * args.y_pixel
    g.y_pixel, g.count, g.a, g.a_tap, g.y_rows = args.y_pixel, g.out_width, a, MAX_OUTPUTS, y_rows
    t.a, t.a_tap, t.a_offset, t.taps, t.depth, t.b_tap = a, MAX_OUTPUTS, 0, 9, args.depth, args.depth * k.nr
    t.y_rows, t.rows, t.last, t.activation, t.known_rows = y_rows, g.count, 1, args.activation, 0
    for v in range(k.nr // k.vector_length):
        if not vectors >> v & 1:
            continue
        first = panel * k.nr + v * k.vector_length
        pixel = ((image * args.out_height + row) * args.out_width + column) * args.y_pixel + first
        t.b = t.next_b = args.packed + panel * 9 * t.b_tap + v * k.vector_length
        t.columns = min(k.vector_length, args.columns - first)
        t.bias = args.bias + first if args.bias != NULL else NULL
        t.y, t.add = args.y + pixel, args.residual + pixel if args.residual != NULL else NULL
        for r in range(rows):
            g.first = r * g.count
            k.gather(&g)
            if more:
                t.y = plain + width * r * k.vector_length
            for i in range(g.count if more else 0):
                if args.half_y and args.residual != NULL:
                    t.add = t.y
                    k.bfloat16.widen(<const uint16_t *>args.residual + pixel + y_rows[i], t.y + i * k.vector_length,
                                     t.columns)
                y_rows[i] = i * k.vector_length
            k.tile(&t)
        if more:
            finish_tile(args, image, row, column, rows, g.count, first, t.columns, plain)


cdef void widen_tile(const WinogradArgs *args, int64_t image, int64_t row, int64_t column, float *wide) noexcept nogil:
    """Write as float32 what a tile sees of x, from (row, column) on; zeros where that is outside."""
    cdef int64_t edge = args.winograd.columns + 2, i, h, w
    for i in range(args.matrices):
        h, w = row + i // edge, column + i % edge
        if 0 <= h < args.height and 0 <= w < args.width:
            args.k.bfloat16.widen(
                <const uint16_t *>args.x + ((image * args.height + h) * args.width + w) * args.depth,
                wide + i * args.depth, args.depth)
        else:
            memset(wide + i * args.depth, 0, 4 * args.depth)


cdef void finish_tile(const WinogradArgs *args, int64_t image, int64_t row, int64_t column, int64_t rows,
                      int64_t columns, int64_t first, int64_t count, float *plain) noexcept nogil:
    """Scale, shift and pool what `convolve_tile` left in `plain`, as C does with tiles that are finite; store it:
    `count` channels from `first` on of the outputs at (row, column)."""
    cdef int64_t window = 2 if args.pool else 1, n, r, c, i, j, pixel
    cdef int64_t height = args.out_height // window, width = args.out_width // window, length = args.k.vector_length
    cdef float value, best
    if args.scale != NULL:
        scale_tile(args, first, count, plain)
    for r in range(rows // window):
        for c in range(columns // window):
            for n in range(count):
                best = 0
                for i in range(window):
                    for j in range(window):
                        pixel = (r * window + i) * args.winograd.columns + c * window + j
                        value = plain[pixel * length + n]
                        if i + j == 0 or value > best or value != value:
                            best = value
                plain[(r * window * args.winograd.columns + c * window) * length + n] = best
            pixel = ((image * height + row // window + r) * width + column // window + c) * args.y_pixel + first
            if args.half_y:
                args.k.bfloat16.round(plain + (r * window * args.winograd.columns + c * window) * length, 0,
                                      <uint16_t *>args.y + pixel, 0, 1, count)
            else:
                memcpy(args.y + pixel, plain + (r * window * args.winograd.columns + c * window) * length, 4 * count)


cdef void scale_tile(const WinogradArgs *args, int64_t first, int64_t count, float *plain) noexcept nogil:
    """Scale and shift all of `plain`, by the kernel of batch normalisation: rounded as in C."""
    cdef int64_t length = args.k.vector_length
    cdef float[3 * MAX_VECTOR] coefficients  # mean, scale, shift
    cdef fc_norm_pass p
    memset(coefficients, 0, sizeof(coefficients))
    memcpy(coefficients + length, args.scale + first, 4 * count)
    memcpy(coefficients + 2 * length, args.shift + first, 4 * count)
    p.x, p.out, p.coefficients, p.columns = plain, plain, coefficients, length
    p.residual, p.dy, p.y, p.clip, p.limit = NULL, NULL, NULL, 0, 0
    p.size = args.winograd.rows * args.winograd.columns * length
    args.k.norm_apply(&p)


def convolve(str x, str packed, str transformed, bias, residual, str y, *, side, depth_block, share, images, x_size,
             first, out_size, depth, columns, epilogue=None, scale=None, shift=None, pool=False, half=False):
    """Return the plan of a 3x3 convolution of stride 1.

    Parameters
    ----------
    side : (int, int)
        Rows and columns of outputs of a tile: (2, 2), (2, 4) or (4, 4).
    depth_block : int
        Each block of so many channels is summed from zero: short sums are more exact. A multiple of 16, or `depth`.
    share : float
        Tiles with a side of 4: where a pixel's outputs are a smaller share of the tile's largest, in every channel,
        they are summed again the plain way: the largest leave their rounding errors in all outputs of a tile.
    x_size, depth
        (height, width) and channels of the contiguous NHWC input.
    first : (int, int)
        The row and column of x that tap (0, 0) of output (0, 0) reads; may be outside.
    out_size, columns
        (rows, columns) and channels of the NHWC output, contiguous unless the epilogue has a pitch, and of the
        residual, which may be in its memory.
    scale, shift : str, optional
        A number per column: y * scale + shift is stored, of a short activation's y.
    pool : bool
        The largest of 2 x 2 outputs is stored: y has half as many rows and columns, what is odd is left out.
    half : bool
        x is bfloat16; whether y and the residual are, `epilogue` says.
    """
    cdef WinogradArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    args.x, args.packed, args.transformed, args.bias, args.residual, args.y = NULL, NULL, NULL, NULL, NULL, NULL
    args.v, args.scale, args.shift, args.pool, args.share, args.k = NULL, NULL, NULL, pool, share, k
    args.winograd = transforms(k, side, half)
    args.half_x, args.half_y = half, epilogue is not None and epilogue.bfloat16
    args.output = transforms(k, side, args.half_y).output
    if pool:
        out_size = [n // 2 * 2 for n in out_size]
    args.matrices, args.depth_block = products(side), depth_block
    (args.height, args.width), (args.out_height, args.out_width) = x_size, out_size
    args.first_row, args.first_column = first
    args.depth, args.columns, args.panels = depth, columns, ceil_div(columns, k.nr)
    args.y_pixel = epilogue.pitch if epilogue is not None and epilogue.pitch else columns
    args.tiles.images, args.tiles.rows = images, ceil_div(out_size[0], side[0])
    args.tiles.columns = ceil_div(out_size[1], side[1])
    args.tiles.over_bottom, args.tiles.over_right = [n % m > 0 for n, m in zip(out_size, side)]
    args.tiles.first, args.tiles.count = 0, images * args.tiles.rows * args.tiles.columns
    lines = ceil_div(depth, LINE)
    fit = TILE_BYTES // (4 * args.matrices * (lines * LINE + args.panels * k.nr))
    most = min(max(fit, GOOD_TILES), MAX_TILES)
    stays = 4 * args.matrices * args.panels * k.nr * depth <= WEIGHTS_STAY
    tiles = args.tiles.count
    blocks, args.block = split(tiles, max(MIN_TILES, min(most, ceil_div(tiles, CHUNKS))) if stays else most)
    # An odd number of lines of the cache from one to the next: they spread over its sets.
    args.v_line = args.block * LINE | LINE
    args.v_matrix, args.m_matrix = lines * args.v_line | LINE, args.block * k.nr | LINE
    args.v_size = args.matrices * args.v_matrix
    args.panel_blocks, args.panel_block = split(
        args.panels, max(ceil_div(args.panels * blocks, LEAST_CHUNKS), ceil_div(MIN_COLUMNS, k.nr)))
    apart = blocks == 1 < args.panel_blocks and args.matrices * args.block * depth >= APART
    parts, args.part = split(args.block, ceil_div(args.block, LEAST_CHUNKS))
    args.activation = activation_of(epilogue)
    scratch = align(args.block) + align(4 * depth)
    scratch += align(4 * args.winograd.rows * args.winograd.columns * k.vector_length)
    scratch += 4 * args.panel_block * args.matrices * args.m_matrix
    # Of x a block, transformed, and later one tile as floats.
    scratch += 4 * max(0 if apart else args.v_size, args.matrices * depth if half else 0)
    inputs = f"{y}_tiles" if apart else None
    slots = ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.packed - <char *>&args, packed, False),
             (<char *>&args.transformed - <char *>&args, transformed, False),
             (<char *>&args.bias - <char *>&args, bias, False),
             (<char *>&args.residual - <char *>&args, residual, False),
             (<char *>&args.scale - <char *>&args, scale, False),
             (<char *>&args.shift - <char *>&args, shift, False),
             (<char *>&args.v - <char *>&args, inputs, False),
             (<char *>&args.y - <char *>&args, y, True))
    step = Step("winograd", <size_t>&winograd_chunk, (<char *>&args)[:sizeof(args)], slots, blocks * args.panel_blocks,
                scratch=scratch,
                cost=microseconds(2.0 * args.matrices * tiles * depth * columns) + tiles * depth / 1e3)
    inplace = {y: residual} if residual else {}
    if not apart:
        return Plan(phases=((step,),), inplace=inplace)
    ahead = Step("winograd_input", <size_t>&input_chunk, (<char *>&args)[:sizeof(args)],
                 (slots[0], (<char *>&args.v - <char *>&args, inputs, True)), parts, scratch=4 * depth,
                 cost=args.matrices * tiles * depth / 1e4)
    return Plan(phases=((ahead,), (step,)), workspace={inputs: 4 * args.v_size}, inplace=inplace)
