"""The gradient of a convolution's kernel.

A sum of outer products over the pixels: chunk = (part of the pixels, kernel row, channels, panels),
boxes of pixels small enough for the first-level cache, dy made contiguous panel by panel (neighbouring pixels of many
channels would fall into the same few sets of the cache), and for each tap the part of the box that is inside the image.
x is read where it lies, unless short tiles would read the same lines again and again.

In 3-D a chunk owns one tap along the depth, and a box lies in one sample. In 2-D the batch is one sample, as many
planes deep as there are images, under a kernel one plane deep. Where a kernel is one tap, all pixels are one row.

With `pairs` operands are rounded to bfloat16 as they are made contiguous, in words of two neighbours along a row: dy of
the pixels 0 and 1, 2 and 3, ... of the box, x of those that a tap sees from them. A tap that sees part of a row may
begin, or end, in the middle of a word.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import in_parts, microseconds, partial, split
from fastconv._kernels.runtime import Step
from fastconv.op import Plan

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.table cimport fc_bfloat16, fc_outer, fc_pair_strip

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t vector_length, mr, nr
        const fc_bfloat16 *bfloat16
        void (*outer)(const fc_outer *) noexcept nogil
        void (*strip_tiles)(const float *x, int64_t x_pixel, int64_t pixels, int64_t tiles, int64_t rows,
                            int64_t larger, float *out, int64_t out_tile) noexcept nogil
        void (*strip_panel)(const float *dy, int64_t dy_pixel, int64_t pixels, int64_t columns, float *out,
                            float *dbias) noexcept nogil

# Words of a box, pixels or pairs of them; of pairs under a small gradient.
BOX = 256
SMALL_BOX = 128
# A gradient larger than this is split over chunks by kernel rows and panels.
SPLIT_BYTES = 200_000
# What a chunk owns of a large gradient by strips, over sparse pixels or in pairs: they stay in the second-level cache.
BLOCK_ROWS, BLOCK_COLUMNS = 256, 128
PAIR_ROWS, PAIR_COLUMNS = 512, 256


cdef struct BackwardKernelArgs:
    const float *x
    const float *dy
    float *dkernel
    float *dbias
    int64_t planes, height, width, x_plane, x_row, x_pixel
    int64_t out_planes, out_height, out_width
    int64_t step_d, step_h, step_w, dilation_d, dilation_h, dilation_w, front, top, left, taps_d, taps_h, taps_w
    int64_t tap_row, tap_column         # taps of the kernel from one to the next along the height, the width
    int64_t groups, depth, columns
    int64_t strip, dy_scratch, ahead_x, one_tap
    int64_t samples, box_planes, box_rows, box_columns, plane_blocks, row_blocks, column_blocks         # the boxes
    int64_t parts, tap_blocks, tiles, tile_block, tile_blocks, panels, panel_block, panel_blocks
    int64_t pad                         # floats between strips, whose lines shall not all fall into the same sets
    # Of pairs: a word of x begins at each so manyth pixel; how many words it is to that for the next two outputs.
    int64_t pairs, every, words_step
    const fc_kernels *k


cdef struct Ahead:      # of the next box: what is still to be fetched, in rows of NR floats; how many with each tile
    const float *x
    const float *dy
    int64_t x_rows, dy_rows, each


cdef struct Box:        # rows and columns of dy that a chunk looks at
    int64_t row, row_end, column, column_end
    int64_t origin      # column of x at which strips, or rows in place, begin


cdef void inside(int64_t offset, int64_t step, int64_t size, int64_t *low, int64_t *high) noexcept nogil:
    """Narrow [low, high) to the positions j with 0 <= j * step + offset < size."""
    cdef int64_t first = max(-offset, 0), end = max(size - offset, 0)
    if step > 1:
        first, end = (first + step - 1) // step, (end + step - 1) // step
    low[0] = max(low[0], first)
    high[0] = max(low[0], min(high[0], end))


cdef inline bint leaves_strips(const BackwardKernelArgs *args, int64_t columns, const float *dbias) noexcept nogil:
    """Tell whether the first tile of channels makes the strip of a panel of dy, while it multiplies."""
    return args.one_tap and not args.pairs and dbias == NULL and columns == args.k.nr


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
    cdef int64_t flat_boxes = args.row_blocks * args.column_blocks, total = args.groups * args.columns
    cdef int64_t boxes = args.samples * args.plane_blocks * flat_boxes
    cdef int64_t first = part * boxes // args.parts, end = (part + 1) * boxes // args.parts
    # Tiles of input channels as equal as can be: the first few have one more.
    cdef int64_t rows = args.depth // args.tiles, larger = args.depth % args.tiles
    cdef int64_t tile_first = tile_block * args.tile_block, tile_end = min(args.tiles, tile_first + args.tile_block)
    cdef int64_t m_first = tile_first * rows + min(tile_first, larger), plane_pixels = args.out_height * args.out_width
    cdef int64_t panel_first = panel_block * args.panel_block
    cdef int64_t panel_end = min(args.panels * args.groups, panel_first + args.panel_block)
    cdef int64_t box, sample, low, high, offset_d, in_first, in_end, in_right
    cdef int64_t panel, last, group, column, width, tile, m, n, h
    cdef int64_t pixels, next_pixels, words, rows_apart, dy_row, dy_image, dy_panel, x_tile = 0, strip_words = 0
    cdef int64_t strip_pixel = align_vector(k.mr, k.vector_length)
    cdef float *dkernel = args.dkernel + (part * args.taps_d + tap_d) * args.taps_h * args.taps_w * args.depth * total
    # Several chunks read the same dy: the first of them sums it.
    cdef float *dbias = args.dbias + part * total if args.dbias != NULL and tap_block + tile_block == 0 else NULL
    cdef float *dy_strips = <float *>scratch
    cdef float *x_strip = <float *>(scratch + args.dy_scratch)
    cdef const float *x
    cdef const float *dy
    cdef const float *panel_dy
    cdef int64_t calls
    cdef fc_outer t
    cdef Ahead ahead
    cdef Box b

    t.dw_row, t.offsets = total, NULL
    offset_d = tap_d * args.dilation_d - args.front
    if dbias != NULL:
        for panel in range(panel_first, panel_end):
            column = panel // args.panels * args.columns + panel % args.panels * k.nr
            memset(dbias + column, 0, 4 * min(k.nr, args.columns - panel % args.panels * k.nr))
    for box in range(first, end):
        sample = box // (args.plane_blocks * flat_boxes)
        b.row = box // args.column_blocks % args.row_blocks * args.box_rows
        b.row_end = min(b.row + args.box_rows, args.out_height)
        b.column = box % args.column_blocks * args.box_columns
        b.column_end = min(b.column + args.box_columns, args.out_width)
        low = box // flat_boxes % args.plane_blocks * args.box_planes
        high = min(low + args.box_planes, args.out_planes)
        inside(offset_d, args.step_d, args.planes, &low, &high)
        t.images = high - low
        t.accumulate = box > first
        # The rows and columns of x that this chunk's taps see from the box.
        in_first = b.row * args.step_h + th_first * args.dilation_h - args.top
        in_end = (b.row_end - 1) * args.step_h + (th_end - 1) * args.dilation_h - args.top + 1
        b.origin = b.column * args.step_w - args.left
        in_right = (b.column_end - 1) * args.step_w + (args.taps_w - 1) * args.dilation_w - args.left + 1
        x = args.x + (sample * args.planes + low * args.step_d + offset_d) * args.x_plane
        dy = args.dy + ((sample * args.out_planes + low) * plane_pixels + b.row * args.out_width + b.column) * total
        # Rows of dy that lie one after the other are one strip, unless a word would have pixels of two.
        pixels = b.column_end - b.column
        words = (pixels + 1) // 2 if args.pairs else pixels
        dy_row, dy_image = words * k.nr, (b.row_end - b.row) * words * k.nr
        dy_panel = t.images * dy_image + args.pad
        rows_apart = b.row_end - b.row
        if pixels == args.out_width and pixels % (1 + args.pairs) == 0:
            pixels *= rows_apart
            rows_apart = 1
        # The next box follows in memory: of dy, the part of each panel is fetched with the panel's products.
        ahead.x = x + (t.images - 1) * args.step_d * args.x_plane + in_end * args.x_row
        ahead.x_rows = t.images * ((b.row_end - b.row) * args.step_h * args.x_row if args.column_blocks == 1 else
                                   (b.column_end - b.column) * args.step_w * args.x_pixel) // k.nr
        if args.column_blocks > 1:
            ahead.x += in_right * args.x_pixel - args.x_row
        if box + 1 == end or not args.ahead_x:
            ahead.x_rows = 0
        next_pixels = t.images * pixels * rows_apart if box + 1 < end else 0
        calls = (tile_end - tile_first) * (th_end - th_first) * args.taps_w
        ahead.each = (ahead.x_rows // (panel_end - panel_first) + next_pixels) // calls + 1
        panel = panel_first
        while panel < panel_end:    # of one group, of all in it
            group = panel // args.panels
            last = min(panel_end, (group + 1) * args.panels)
            column = panel % args.panels * k.nr
            width = min((last - panel) * k.nr, args.columns - column)
            for n in range(t.images):
                for h in range(rows_apart):
                    dy_strip(args, dy + (n * plane_pixels + h * args.out_width) * total + group * args.columns + column,
                             pixels, last - panel, width,
                             dy_strips + (panel - panel_first) * dy_panel + n * dy_image + h * dy_row, dy_panel,
                             dbias + group * args.columns + column if dbias != NULL else NULL)
            panel = last
        t.x_image, t.x_row, t.x_pixel = args.step_d * args.x_plane, args.x_row, args.x_pixel
        if args.strip:
            in_first, in_end = max(in_first, 0), min(in_end, args.height)
            if not args.pairs:
                b.origin, in_right = max(b.origin, 0), min(in_right, args.width)
            strip_words = max((in_right - b.origin + args.every - 1) // args.every, 0)
            t.x_row, t.x_pixel = strip_words * strip_pixel, strip_pixel
            t.x_image = max(in_end - in_first, 0) * t.x_row
            x_tile = t.images * t.x_image + args.pad
        else:
            b.origin = 0
        for panel in range(panel_first, panel_end):
            group = panel // args.panels
            if args.strip and (panel == panel_first or panel % args.panels == 0):
                for n in range(t.images):
                    for h in range(in_first, in_end):
                        make_strips(args, &b, x + n * args.step_d * args.x_plane + h * args.x_row + group * args.depth
                                    + m_first, strip_words, tile_end - tile_first, rows, larger - tile_first,
                                    x_strip + n * t.x_image + (h - in_first) * t.x_row, x_tile)
            column = panel % args.panels * k.nr
            t.columns = min(k.nr, args.columns - column)
            column += group * args.columns
            ahead.dy = dy + ((t.images - 1) * plane_pixels + pixels * rows_apart) * total + column
            ahead.dy_rows = next_pixels
            t.strip = NULL
            t.dy_pixel, t.dy_row, t.dy_image = k.nr, dy_row, dy_image
            panel_dy = dy_strips + (panel - panel_first) * dy_panel
            if leaves_strips(args, t.columns, dbias):
                t.strip, panel_dy = <float *>panel_dy, dy + column
                t.dy_pixel, t.dy_row, t.dy_image = total, args.out_width * total, plane_pixels * total
            m = m_first
            for tile in range(tile_first, tile_end):
                t.rows = rows + (tile < larger)
                if args.strip:
                    t.x = x_strip + (tile - tile_first) * x_tile - in_first * t.x_row
                else:
                    t.x = x + group * args.depth + m
                backward_kernel_taps(args, &b, t, &ahead, dkernel + m * total + column, panel_dy, th_first, th_end)
                m += t.rows
                if t.strip != NULL:
                    panel_dy, t.strip = t.strip, NULL
                    t.dy_pixel, t.dy_row, t.dy_image = k.nr, dy_row, dy_image


cdef int64_t align_vector(int64_t n, int64_t vector_length) noexcept nogil:
    return (n + vector_length - 1) // vector_length * vector_length


cdef void make_strips(const BackwardKernelArgs *args, const Box *b, const float *x, int64_t words, int64_t tiles,
                      int64_t rows, int64_t larger, float *out, int64_t out_tile) noexcept nogil:
    """Make strips of the part of a row of x that the box sees; `x` is where column 0 is."""
    cdef fc_pair_strip t
    if args.pairs:
        t.x, t.x_pixel, t.size, t.sums = x, args.x_pixel, args.width, NULL
        t.first, t.every, t.step, t.words = b.origin, args.every, args.step_w, words
        t.tiles, t.rows, t.larger, t.columns = tiles, rows, larger, args.depth
        t.out, t.out_tile, t.out_word = out, out_tile, align_vector(args.k.mr, args.k.vector_length)
        args.k.bfloat16.strips(&t)
    else:
        args.k.strip_tiles(x + b.origin * args.x_pixel, args.x_pixel, words, tiles, rows, larger, out, out_tile)


cdef void dy_strip(const BackwardKernelArgs *args, const float *dy, int64_t pixels, int64_t panels, int64_t columns,
                   float *out, int64_t out_panel, float *dbias) noexcept nogil:
    """Make strips of pixels of dy, one for each panel, and add the pixels to dbias unless that is NULL."""
    cdef const fc_kernels *k = args.k
    cdef fc_pair_strip t
    cdef int64_t panel, width, total = args.groups * args.columns
    if args.pairs:
        t.x, t.x_pixel, t.size, t.sums = dy, total, pixels, dbias
        t.first, t.every, t.step, t.words = 0, 2, 1, (pixels + 1) // 2
        t.tiles, t.rows, t.larger, t.columns = panels, k.nr, 0, columns
        t.out, t.out_tile, t.out_word = out, out_panel, k.nr
        k.bfloat16.strips(&t)
    else:
        for panel in range(panels):
            width = min(k.nr, columns - panel * k.nr)
            if not leaves_strips(args, width, dbias):
                k.strip_panel(dy + panel * k.nr, total, pixels, width, out + panel * out_panel,
                              dbias + panel * k.nr if dbias != NULL else NULL)


cdef void backward_kernel_taps(const BackwardKernelArgs *args, const Box *b, fc_outer t, Ahead *ahead, float *dkernel,
                               const float *dy, int64_t th_first, int64_t th_end) noexcept nogil:
    """One tile of input channels against one panel, for every tap: `t.x` is where row 0, column `b.origin` would be."""
    cdef const fc_kernels *k = args.k
    cdef const float *x = t.x
    cdef int64_t x_row = t.x_row, x_word = t.x_pixel
    cdef int64_t th, tw, h, w, low, high, left, right, apart, offset
    t.x_row, t.x_pixel = x_row * args.step_h, x_word * args.words_step
    for th in range(th_first, th_end):
        h = th * args.dilation_h - args.top
        low, high = b.row, b.row_end
        inside(h, args.step_h, args.height, &low, &high)
        for tw in range(args.taps_w):
            w, left, right = tw * args.dilation_w - args.left, b.column, b.column_end
            inside(w, args.step_w, args.width, &left, &right)
            apart = left * args.step_w + w - b.origin
            t.height, t.width, offset = high - low, right - left, left - b.column
            t.head = t.tail = 0
            if args.pairs and left < right:
                t.head, t.tail = offset % 2, (right - b.column) % 2
                apart -= t.head * args.step_w
                offset //= 2
                t.width = (t.head + t.width + 1) // 2
            if args.every > 1:
                apart //= args.every
            t.x = x + (low * args.step_h + h) * x_row + apart * x_word
            t.dy = dy + (low - b.row) * t.dy_row + offset * t.dy_pixel
            t.dw = dkernel + (th * args.tap_row + tw * args.tap_column) * args.depth * t.dw_row
            if ahead.dy_rows > 0:
                t.ahead, t.ahead_row = ahead.dy, args.groups * args.columns
                t.ahead_rows = min(ahead.each, ahead.dy_rows)
                ahead.dy += ahead.each * t.ahead_row
                ahead.dy_rows -= ahead.each
            else:
                t.ahead, t.ahead_row, t.ahead_rows = ahead.x, k.nr, min(ahead.each, ahead.x_rows)
                ahead.x += ahead.each * t.ahead_row
                ahead.x_rows -= ahead.each
            (k.bfloat16.outer if args.pairs else k.outer)(&t)


def backward_kernel(str x, str dy, str dkernel, dbias, *, images, x_size, out_size, padding, strides, dilations,
                    kernel_size, groups, depth, columns, pairs=False):
    """Return the plan of the gradient of a kernel (..., depth, groups * columns).

    And of the bias, unless `dbias` is None; not in 3-D, where a chunk does not see every plane of dy.

    Sizes, strides, ... hold a number per spatial axis, one to three of them. Small gradients are summed over parts of
    the pixels, added in order at the end; of a large one every chunk owns a kernel row and a few panels. How many parts
    there are is a function of the shapes. With `pairs` x and dy are rounded to bfloat16 on the way.
    """
    cdef BackwardKernelArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    channels, outputs = groups * depth, groups * columns
    axes = [x_size, out_size, kernel_size, strides, dilations, [before for before, _ in padding]]
    gone = [1, 1, 1, 1, 1, 0]
    if len(x_size) == 1:
        axes = [(none, n) for (n,), none in zip(axes, gone)]
    if len(x_size) < 3:
        args.samples = 1
        axes = [(n, *rest) for n, rest in zip((images, images, 1, 1, 1, 0), axes)]
    else:
        args.samples = images
    (planes, height, width), (out_planes, rows, cols), (kd, kh, kw), strides, dilations, before = axes
    args.x, args.dy, args.dkernel, args.dbias, args.k = NULL, NULL, NULL, NULL, k
    args.x_plane, args.x_row, args.x_pixel = height * width * channels, width * channels, channels
    args.tap_row, args.tap_column = kw, 1
    inside_all = not any(before) and (rows - 1) * strides[1] < height and (cols - 1) * strides[2] < width
    sparse = kh * kw == 1 < strides[1] * strides[2] and inside_all
    # An axis of one pixel is walked by steps of any size.
    all_pixels = all(step == 1 or n == 1 for step, n in zip(strides, (planes, height, width)))
    if kd * kh * kw == 1 and (planes, height, width) == (out_planes, rows, cols) and all_pixels and not any(before):
        planes, out_planes, height, rows, width, cols = 1, 1, 1, 1, planes * height * width, out_planes * rows * cols
        args.samples, width, cols, strides = 1, args.samples * width, args.samples * cols, (1, 1, 1)
    elif sparse:  # one tap that sees only every so manyth pixel: as if there were no others
        args.x_row, args.x_pixel = strides[1] * args.x_row, strides[2] * channels
        height, width, strides = rows, cols, (strides[0], 1, 1)
    elif width == cols == 1:  # a map of one column is walked as if it were a row
        height, width, rows, cols, kh, kw = width, height, cols, rows, kw, kh
        strides, dilations, before = [(n[0], n[2], n[1]) for n in (strides, dilations, before)]
        args.x_row, args.x_pixel = args.x_pixel, args.x_row
        args.tap_row, args.tap_column = 1, kh
    size = kd * kh * kw * depth * outputs
    args.planes, args.height, args.width = planes, height, width
    args.out_planes, args.out_height, args.out_width = out_planes, rows, cols
    args.step_d, args.step_h, args.step_w = strides
    args.dilation_d, args.dilation_h, args.dilation_w = dilations
    args.front, args.top, args.left = before
    args.pairs, args.pad = pairs, 2 * k.vector_length
    args.every = 2 * args.step_w if pairs and kw == 1 else 1
    args.words_step = args.step_w * (1 + pairs) // args.every
    results = {dkernel: size} | ({dbias: outputs} if dbias else {})
    args.taps_d, args.taps_h, args.taps_w, args.groups, args.depth, args.columns = kd, kh, kw, groups, depth, columns
    box = 2 * (BOX if size * 4 > SPLIT_BYTES else SMALL_BOX) if pairs else BOX
    args.column_blocks, args.box_columns = split(cols, box, 2)
    args.row_blocks, args.box_rows = split(rows, max(1, box // args.box_columns))
    args.box_planes = max(1, box // max(rows * cols, 1))
    args.plane_blocks = ceil_div(out_planes, args.box_planes)
    args.panels, args.tiles = ceil_div(columns, k.nr), ceil_div(depth, k.mr)
    boxes = args.samples * args.plane_blocks * args.row_blocks * args.column_blocks
    if args.samples * out_planes * rows * cols == 0 or size == 0:
        return Plan(phases=(tuple(runtime.zero(name, 4 * n) for name, n in results.items()),))
    flops = 2.0 * args.samples * out_planes * rows * cols * size
    # Pixels of x a multiple of 4 KiB apart fall into one set of the first-level cache, and a line of which short tiles
    # read a part each is fetched again for each of them.
    crowded = 4 * args.step_w * args.x_pixel % 4096 == 0 and k.mr < 12
    # A large gradient: split it by kernel rows and panels, or, over sparse pixels that need strips, by channels and a
    # few panels, so that the strips are used often; a small one is all in each part. Three taps or more share them.
    args.tap_blocks, panel_block, tile_block = 1, groups * args.panels, args.tiles
    if size * 4 > SPLIT_BYTES:
        args.tap_blocks, panel_block = min(kh, ceil_div(kh * kw, 3)), 1
        if pairs:
            panel_block, tile_block = PAIR_COLUMNS // k.nr, PAIR_ROWS // k.mr
        elif sparse and crowded:
            panel_block, tile_block = max(1, BLOCK_COLUMNS // k.nr), max(1, BLOCK_ROWS // k.mr)
    args.panel_blocks, args.panel_block = split(groups * args.panels, panel_block)
    args.tile_blocks, args.tile_block = split(args.tiles, tile_block)
    units = kd * args.tap_blocks * args.tile_blocks * args.panel_blocks
    args.parts = max(1, min(ceil_div(16, units), boxes, int(flops / 1e6)))
    words = args.box_planes * args.box_rows * (ceil_div(args.box_columns, 2) if pairs else args.box_columns)
    args.dy_scratch = scratch = align(4 * args.panel_block * (words * k.nr + args.pad))
    span = (args.box_rows - 1) * args.step_h + (ceil_div(kh, args.tap_blocks) - 1) * args.dilation_h + 1
    across = (args.box_columns - 1) * args.step_w + (kw - 1) * args.dilation_w + 1
    args.one_tap = kd * kh * kw == 1 and inside_all
    args.ahead_x = not sparse and args.tile_blocks == 1
    # Then tiles of x are made contiguous, if they are used often enough.
    args.strip = pairs or (crowded and kh * kw * args.panel_block >= 4 * args.step_h * args.step_w * args.tap_blocks)
    if args.strip:
        words = args.box_planes * span * ceil_div(across, args.every)
        scratch += 4 * args.tile_block * (words * align_vector(k.mr, k.vector_length) + args.pad)
    step = Step("backward_kernel", <size_t>&backward_kernel_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.dy - <char *>&args, dy, False),
                 (<char *>&args.dkernel - <char *>&args, partial(dkernel, args.parts), True),
                 (<char *>&args.dbias - <char *>&args, partial(dbias, args.parts), True)),
                args.parts * units, scratch=scratch, cost=microseconds(flops))
    return in_parts(step, args.parts, results)
