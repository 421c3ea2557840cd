"""The gradient of a convolution's kernel.

A sum of outer products over the pixels: chunk = (part of the pixels, kernel row, panel),
boxes of pixels small enough for the first-level cache, their operands made contiguous (neighbouring pixels of many
channels would fall into the same few sets of the cache), and for each tap the part of the box that is inside the image.

In 3-D a chunk owns one tap along the depth, and a box lies in one sample. In 2-D the batch is one sample, as many
planes deep as there are images, under a kernel one plane deep.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import in_parts, microseconds, partial, split
from fastconv._kernels.runtime import Step
from fastconv.op import Plan

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.table cimport fc_outer

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t vector_length, mr, nr
        void (*outer)(const fc_outer *) noexcept nogil
        void (*strip_tiles)(const float *x, int64_t x_pixel, int64_t pixels, int64_t tiles, int64_t rows,
                            int64_t larger, float *out, int64_t out_tile) noexcept nogil
        void (*strip_panel)(const float *dy, int64_t dy_pixel, int64_t pixels, int64_t columns, float *out,
                            float *dbias) noexcept nogil

# Pixels of a box.
BOX = 256
# A gradient larger than this is split over chunks by kernel rows and panels.
SPLIT_BYTES = 200_000
# What a chunk owns of a large gradient over sparse pixels: its strips stay in the second-level cache.
BLOCK_ROWS = 256
BLOCK_COLUMNS = 128


cdef struct BackwardKernelArgs:
    const float *x
    const float *dy
    float *dkernel
    float *dbias
    int64_t planes, height, width, x_plane, x_row, x_pixel
    int64_t out_planes, out_height, out_width
    int64_t step_d, step_h, step_w, dilation_d, dilation_h, dilation_w, front, top, left, taps_d, taps_h, taps_w
    int64_t groups, depth, columns
    int64_t strip, dy_scratch, ahead_x, one_tap
    int64_t samples, box_planes, box_rows, plane_blocks, row_blocks     # the boxes
    int64_t parts, tap_blocks, tiles, tile_block, tile_blocks, panels, panel_block, panel_blocks
    const fc_kernels *k


cdef struct Ahead:      # of the next box: what is still to be fetched, how many lines with each tile
    const char *x
    const char *x_end
    const char *dy
    const char *dy_end
    int64_t lines


cdef void inside(int64_t offset, int64_t step, int64_t size, int64_t *low, int64_t *high) noexcept nogil:
    """Narrow [low, high) to the positions j with 0 <= j * step + offset < size."""
    cdef int64_t first = 0 if offset >= 0 else (step - 1 - offset) // step
    cdef int64_t end = 0 if offset >= size else (size - 1 - offset) // step + 1
    low[0] = max(low[0], first)
    high[0] = max(low[0], min(high[0], end))


cdef inline bint leaves_strips(const BackwardKernelArgs *args, int64_t panel, const float *dbias) noexcept nogil:
    """Tell whether the first tile of channels makes the strip of a panel of dy, while it multiplies."""
    return args.one_tap and dbias == NULL and args.columns - panel % args.panels * args.k.nr >= args.k.nr


cdef void backward_kernel_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const BackwardKernelArgs *args = <const BackwardKernelArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef int64_t panel_block = chunk % args.panel_blocks
    cdef int64_t tile_block = chunk // args.panel_blocks % args.tile_blocks
    cdef int64_t tap_block = chunk // (args.panel_blocks * args.tile_blocks) % args.tap_blocks
    cdef int64_t tap_d = chunk // (args.panel_blocks * args.tile_blocks * args.tap_blocks) % args.taps_d
    cdef int64_t part = chunk // (args.panel_blocks * args.tile_blocks * args.tap_blocks * args.taps_d)
    cdef int64_t th_first = tap_block * args.taps_h // args.tap_blocks
    cdef int64_t th_end = (tap_block + 1) * args.taps_h // args.tap_blocks
    cdef int64_t boxes = args.samples * args.plane_blocks * args.row_blocks, total = args.groups * args.columns
    cdef int64_t first = part * boxes // args.parts, end = (part + 1) * boxes // args.parts
    # Tiles of input channels as equal as can be: the first few have one more.
    cdef int64_t rows = args.depth // args.tiles, larger = args.depth % args.tiles
    cdef int64_t tile_first = tile_block * args.tile_block, tile_end = min(args.tiles, tile_first + args.tile_block)
    cdef int64_t m_first = tile_first * rows + min(tile_first, larger), plane_pixels = args.out_height * args.out_width
    cdef int64_t panel_first = panel_block * args.panel_block
    cdef int64_t panel_end = min(args.panels * args.groups, panel_first + args.panel_block)
    cdef int64_t box, sample, low, high, offset_d, row, row_end, in_first, in_end
    cdef int64_t panel, group, column, tile, m, n, h
    cdef int64_t pixels, strip_pixel = (k.mr + k.vector_length - 1) // k.vector_length * k.vector_length
    cdef float *dkernel = args.dkernel + (part * args.taps_d + tap_d) * args.taps_h * args.taps_w * args.depth * total
    # Several chunks read the same dy: the first of them sums it.
    cdef float *dbias = args.dbias + part * total if args.dbias != NULL and tap_block + tile_block == 0 else NULL
    cdef float *dy_strips = <float *>scratch
    cdef float *x_strip = <float *>(scratch + args.dy_scratch)
    cdef const float *x
    cdef const float *dy
    cdef const float *dy_panel
    cdef int64_t x_bytes, dy_bytes, calls
    cdef fc_outer t
    cdef Ahead ahead

    t.dw_row, t.offsets = total, NULL
    offset_d = tap_d * args.dilation_d - args.front
    if dbias != NULL:
        for panel in range(panel_first, panel_end):
            column = panel // args.panels * args.columns + panel % args.panels * k.nr
            memset(dbias + column, 0, 4 * min(k.nr, args.columns - panel % args.panels * k.nr))
    for box in range(first, end):
        sample, row = box // (args.plane_blocks * args.row_blocks), box % args.row_blocks * args.box_rows
        low = box // args.row_blocks % args.plane_blocks * args.box_planes
        high = min(low + args.box_planes, args.out_planes)
        inside(offset_d, args.step_d, args.planes, &low, &high)
        t.images = high - low
        t.accumulate = box > first
        row_end = min(row + args.box_rows, args.out_height)
        # The rows of x that this chunk's taps see from the box.
        in_first = row * args.step_h + th_first * args.dilation_h - args.top
        in_end = (row_end - 1) * args.step_h + (th_end - 1) * args.dilation_h - args.top + 1
        x = args.x + (sample * args.planes + low * args.step_d + offset_d) * args.x_plane
        dy = args.dy + ((sample * args.out_planes + low) * plane_pixels + row * args.out_width) * total
        pixels = (row_end - row) * args.out_width
        # The next box follows in memory, if the chunk needs all channels.
        x_bytes = 4 * t.images * (row_end - row) * args.step_h * args.x_row if args.ahead_x else 0
        dy_bytes = 4 * t.images * pixels * total if args.panel_blocks == 1 else 0
        if box + 1 == end:
            x_bytes = dy_bytes = 0
        ahead.x = <const char *>x + 4 * ((t.images - 1) * args.step_d * args.x_plane + in_end * args.x_row)
        ahead.x_end = ahead.x + x_bytes
        ahead.dy = <const char *>(dy + (t.images - 1) * plane_pixels * total + pixels * total)
        ahead.dy_end = ahead.dy + dy_bytes
        calls = (tile_end - tile_first) * (panel_end - panel_first) * (th_end - th_first) * args.taps_w
        ahead.lines = (x_bytes + dy_bytes) // (64 * calls) + 1
        for panel in range(panel_first, panel_end):
            column = panel // args.panels * args.columns + panel % args.panels * k.nr
            if leaves_strips(args, panel, dbias):
                continue
            for n in range(t.images):
                k.strip_panel(dy + n * plane_pixels * total + column, total, pixels,
                              min(k.nr, args.columns - panel % args.panels * k.nr),
                              dy_strips + ((panel - panel_first) * t.images + n) * pixels * k.nr,
                              dbias + column if dbias != NULL else NULL)
        t.x_image, t.x_row, t.x_pixel = args.step_d * args.x_plane, args.x_row, args.x_pixel
        if args.strip:
            in_first, in_end = max(in_first, 0), min(in_end, args.height)
            t.x_row, t.x_pixel = args.width * strip_pixel, strip_pixel
            t.x_image = max(in_end - in_first, 0) * t.x_row
        for panel in range(panel_first, panel_end):
            group = panel // args.panels
            if args.strip and (panel == panel_first or panel % args.panels == 0):
                for n in range(t.images):
                    for h in range(in_first, in_end):
                        k.strip_tiles(x + n * args.step_d * args.x_plane + h * args.x_row + group * args.depth
                                      + m_first, args.x_pixel, args.width, tile_end - tile_first, rows,
                                      larger - tile_first, x_strip + n * t.x_image + (h - in_first) * t.x_row,
                                      t.images * t.x_image)
            m = m_first
            t.strip = NULL
            t.dy_row, t.dy_pixel, t.dy_image = args.out_width * k.nr, k.nr, pixels * k.nr
            dy_panel = dy_strips + (panel - panel_first) * t.images * t.dy_image
            if leaves_strips(args, panel, dbias):
                t.strip = dy_panel
                t.dy_row, t.dy_pixel, t.dy_image = args.out_width * total, total, plane_pixels * total
                dy_panel = dy + group * args.columns + panel % args.panels * k.nr
            for tile in range(tile_first, tile_end):
                t.rows = rows + (tile < larger)
                if args.strip:
                    t.x = x_strip + (tile - tile_first) * t.images * t.x_image - in_first * t.x_row
                else:
                    t.x = x + group * args.depth + m
                backward_kernel_taps(args, t, &ahead, dkernel, dy_panel, panel, m, row, row_end, th_first, th_end)
                m += t.rows
                if t.strip != NULL:
                    dy_panel, t.strip = t.strip, NULL
                    t.dy_row, t.dy_pixel, t.dy_image = args.out_width * k.nr, k.nr, pixels * k.nr


cdef void backward_kernel_taps(const BackwardKernelArgs *args, fc_outer t, Ahead *ahead, float *dkernel,
                               const float *dy, int64_t panel, int64_t m, int64_t row, int64_t row_end,
                               int64_t th_first, int64_t th_end) noexcept nogil:
    """One tile of input channels against one panel, for every tap: `t.x` is where row 0, column 0 would be."""
    cdef const fc_kernels *k = args.k
    cdef const float *x = t.x
    cdef int64_t column = panel % args.panels * k.nr, x_row = t.x_row, x_pixel = t.x_pixel
    cdef int64_t th, tw, h, w, low, high, left, right
    t.columns = min(k.nr, args.columns - column)
    column += panel // args.panels * args.columns
    t.x_row, t.x_pixel = x_row * args.step_h, x_pixel * args.step_w
    if args.out_width == 1:     # a map of one column is walked as if it were a row
        t.x_row, t.x_pixel = t.x_pixel, t.x_row
    for th in range(th_first, th_end):
        h = th * args.dilation_h - args.top
        low, high = row, row_end
        inside(h, args.step_h, args.height, &low, &high)
        for tw in range(args.taps_w):
            w, left, right = tw * args.dilation_w - args.left, 0, args.out_width
            inside(w, args.step_w, args.width, &left, &right)
            t.x = x + (low * args.step_h + h) * x_row + (left * args.step_w + w) * x_pixel
            t.dy = dy + (low - row) * t.dy_row + left * t.dy_pixel
            t.height, t.width = high - low, right - left
            if args.out_width == 1:
                t.height, t.width = t.width, t.height
            t.dw = dkernel + ((th * args.taps_w + tw) * args.depth + m) * t.dw_row + column
            t.ahead_lines = ahead.lines
            if ahead.x < ahead.x_end:
                t.ahead = ahead.x
                ahead.x += 64 * ahead.lines
            elif ahead.dy < ahead.dy_end:
                t.ahead = ahead.dy
                ahead.dy += 64 * ahead.lines
            else:
                t.ahead_lines = 0
            k.outer(&t)


def backward_kernel(str x, str dy, str dkernel, dbias, *, images, x_size, out_size, padding, strides, dilations,
                    kernel_size, groups, depth, columns):
    """Return the plan of the gradient of a kernel (..., depth, groups * columns).

    And of the bias, unless `dbias` is None; not in 3-D, where a chunk does not see every plane of dy.

    Sizes, strides, ... hold a number per spatial axis, one to three of them. Small gradients are summed over parts of
    the pixels, added in order at the end; of a large one every chunk owns a kernel row and a few panels. How many parts
    there are is a function of the shapes.
    """
    cdef BackwardKernelArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    channels, outputs = groups * depth, groups * columns
    axes = [x_size, out_size, kernel_size, strides, dilations, [before for before, _ in padding]]
    gone = [1, 1, 1, 1, 1, 0]
    if len(x_size) == 1:    # a row is walked as a column, which is cut into boxes
        axes = [(n, none) for (n,), none in zip(axes, gone)]
    if len(x_size) < 3:
        args.samples = 1
        axes = [(n, *rest) for n, rest in zip((images, images, 1, 1, 1, 0), axes)]
    else:
        args.samples = images
    (planes, height, width), (out_planes, rows, cols), (kd, kh, kw), strides, dilations, before = axes
    args.x, args.dy, args.dkernel, args.dbias, args.k = NULL, NULL, NULL, NULL, k
    args.planes, args.x_plane = planes, height * width * channels
    args.x_row, args.x_pixel = width * channels, channels
    inside_all = not any(before) and (rows - 1) * strides[1] < height and (cols - 1) * strides[2] < width
    sparse = kh * kw == 1 < strides[1] * strides[2] and inside_all
    if sparse:  # one tap that sees only every so manyth pixel: as if there were no others
        args.x_row, args.x_pixel = strides[1] * args.x_row, strides[2] * channels
        height, width, strides = rows, cols, (strides[0], 1, 1)
    args.height, args.width = height, width
    args.out_planes, args.out_height, args.out_width = out_planes, rows, cols
    args.step_d, args.step_h, args.step_w = strides
    args.dilation_d, args.dilation_h, args.dilation_w = dilations
    args.front, args.top, args.left = before
    size = kd * kh * kw * depth * outputs
    results = {dkernel: size} | ({dbias: outputs} if dbias else {})
    args.taps_d, args.taps_h, args.taps_w, args.groups, args.depth, args.columns = kd, kh, kw, groups, depth, columns
    args.box_planes = max(1, BOX // max(rows * cols, 1))
    args.row_blocks, args.box_rows = split(rows, max(1, BOX // max(cols, 1)))
    args.plane_blocks = ceil_div(out_planes, args.box_planes)
    args.panels, args.tiles = ceil_div(columns, k.nr), ceil_div(depth, k.mr)
    boxes = args.samples * args.plane_blocks * args.row_blocks
    if boxes == 0 or size == 0:
        return Plan(phases=(tuple(runtime.zero(name, 4 * n) for name, n in results.items()),))
    flops = 2.0 * args.samples * out_planes * rows * cols * size
    # A large gradient: split it by kernel rows and panels, or, where strips are all that makes x dense, by channels and
    # a few panels, so that the strips are used often; a small one is all in each part. Three taps or more share the
    # strips of a box.
    args.tap_blocks, panel_block, tile_block = 1, groups * args.panels, args.tiles
    if size * 4 > SPLIT_BYTES:
        args.tap_blocks, panel_block = min(kh, ceil_div(kh * kw, 3)), 1
        if sparse:
            panel_block, tile_block = max(1, BLOCK_COLUMNS // k.nr), max(1, BLOCK_ROWS // k.mr)
    args.panel_blocks, args.panel_block = split(groups * args.panels, panel_block)
    args.tile_blocks, args.tile_block = split(args.tiles, tile_block)
    units = kd * args.tap_blocks * args.tile_blocks * args.panel_blocks
    args.parts = max(1, min(ceil_div(16, units), boxes, int(flops / 1e6)))
    args.dy_scratch = scratch = align(4 * args.panel_block * args.box_planes * args.box_rows * cols * k.nr)
    span = (args.box_rows - 1) * args.step_h + (ceil_div(kh, args.tap_blocks) - 1) * args.dilation_h + 1
    args.ahead_x = not sparse
    args.one_tap = kd * kh * kw == 1 and inside_all
    # Tiles of x are made contiguous too, where they are used often enough.
    args.strip = kh * kw * args.panel_block >= 4 * args.step_h * args.step_w * args.tap_blocks
    if args.strip:
        scratch += 4 * args.box_planes * span * width * args.tile_block * (k.mr + k.vector_length)
    step = Step("backward_kernel", <size_t>&backward_kernel_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.dy - <char *>&args, dy, False),
                 (<char *>&args.dkernel - <char *>&args, partial(dkernel, args.parts), True),
                 (<char *>&args.dbias - <char *>&args, partial(dbias, args.parts), True)),
                args.parts * units, scratch=scratch, cost=microseconds(flops))
    return in_parts(step, args.parts, results)
