"""Convolutions as products without a big buffer: the rows of the left operand are pointers into the image.

One walk serves forward and backward data, any stride, dilation, padding and number of groups; the caller describes the
grid of outputs, the taps (where each reads, relative to its output) and the packed panels:

    chunk: a band of output pixels x a few panels
      pointers a[tap][pixel], once; a tap that falls into the padding points to zeros
        panel
          block of the reduction: several taps, or a part of one
            register tiles down the band                                          (C: fc_tile)

Few input channels make short rows. Then the band's input is copied with its padding, and one tap is a whole kernel row:
KW * C neighbouring floats.

The gradient of the kernel is a sum of outer products over the pixels: chunk = (part of the pixels, kernel row, panel),
boxes of pixels small enough for the first-level cache, their operands made contiguous (neighbouring pixels of many
channels would fall into the same few sets of the cache), and for each tap the part of the box that is inside the image.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from fastconv._kernels import runtime
from fastconv._kernels.eltwise import ACTIVATIONS
from fastconv._kernels.gemm import CHUNK_FLOPS, DEPTH_BLOCK, microseconds, split, sum_parts
from fastconv._kernels.runtime import Step

from fastconv._kernels.table cimport fc_activation, fc_gather, fc_outer, fc_tile

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t vector_length, mr, nr
        void (*tile)(const fc_tile *) noexcept nogil
        void (*outer)(const fc_outer *) noexcept nogil
        void (*gather)(const fc_gather *) noexcept nogil
        void (*strip)(const float *x, int64_t x_pixel, int64_t pixels, int64_t columns, float *out,
                      int64_t out_pixel) noexcept nogil

# Output pixels of a chunk, and pixels of a box of the kernel's gradient.
BAND = 96
BOX = 256
# Below this many input channels a kernel row is read from a padded copy.
FEW_CHANNELS = 12
# A gradient larger than this is split over chunks by kernel rows and panels.
SPLIT_BYTES = 200_000


cdef int64_t align(int64_t nbytes) noexcept nogil:
    return (nbytes + 63) & ~<int64_t>63


cdef void copy_padded(const float *x, float *out, int64_t first_row, int64_t rows, int64_t height, int64_t row_floats,
                      int64_t left, int64_t out_row) noexcept nogil:
    """Copy rows first_row ... of an image, zeros around it: `left` floats before each row, up to `out_row` in all.

    `left` may be more than `out_row`: then no output sees the image.
    """
    cdef int64_t r, h, before = min(left, out_row), inside = min(row_floats, out_row - before)
    for r in range(rows):
        h = first_row + r
        if h < 0 or h >= height:
            memset(out, 0, out_row * 4)
        else:
            memset(out, 0, before * 4)
            memcpy(out + before, x + h * row_floats, inside * 4)
            memset(out + before + inside, 0, (out_row - before - inside) * 4)
        out += out_row


# ---- forward and backward data

cdef struct ConvolveArgs:
    const float *x
    const float *packed
    const float *bias
    float *y
    int64_t pixels, per_image           # output pixels: all, of one image
    int64_t height, width, x_image, x_row, x_pixel
    int64_t step_h, step_w, taps_h, taps_w
    int64_t out_height, out_width, y_offset, y_image, y_row, y_pixel
    int64_t groups, depth, columns, x_group, y_group
    int64_t copy, left, copy_row        # a padded copy: zeros before a row, floats of a copied row
    int64_t unit, bands, band, panels, panel_block, panel_blocks, tap_block, depth_block
    fc_activation activation
    float alpha
    const fc_kernels *k
    # followed by tap_h and tap_w


cdef void convolve_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ConvolveArgs *args = <const ConvolveArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef int64_t nr = k.nr, taps = args.taps_h * args.taps_w, image, last_row, panel, group, column, tap, start
    cdef int64_t block = chunk % args.panel_blocks
    cdef int64_t unit = chunk // args.panel_blocks // args.bands
    cdef const float *packed
    cdef float *zero
    cdef float *copy
    cdef fc_gather g
    cdef fc_tile t

    g.first = unit * args.unit + chunk // args.panel_blocks % args.bands * args.band
    g.count = min(args.band, min(args.pixels, (unit + 1) * args.unit) - g.first)
    if g.count <= 0:
        return
    g.a, g.a_tap = <const float **>scratch, args.band
    scratch += align(8 * taps * args.band)
    g.y_rows = <int64_t *>scratch
    scratch += align(8 * args.band)
    zero = <float *>scratch
    g.x, g.zero, g.x_first_row, g.height, g.width = args.x, zero, 0, args.height, args.width
    g.x_image, g.x_row, g.x_pixel = args.x_image, args.x_row, args.x_pixel
    g.step_h, g.step_w, g.taps_h, g.taps_w = args.step_h, args.step_w, args.taps_h, args.taps_w
    g.tap_h = <const int64_t *>(<const char *>raw + sizeof(ConvolveArgs))
    g.tap_w = g.tap_h + args.taps_h
    g.out_height, g.out_width = args.out_height, args.out_width
    g.y_image, g.y_row, g.y_pixel = args.y_image, args.y_row, args.y_pixel
    if args.copy:
        copy = <float *>scratch
        image = g.first // args.per_image
        last_row = (g.first + g.count - 1) % args.per_image // args.out_width
        g.x_first_row = g.first % args.per_image // args.out_width * args.step_h + g.tap_h[0]
        g.height = last_row * args.step_h + g.tap_h[args.taps_h - 1] + 1 - g.x_first_row
        copy_padded(args.x + image * args.x_image, copy, g.x_first_row, g.height, args.height, args.x_row, args.left,
                    args.copy_row)
        g.x, g.x_image, g.x_row, g.width = copy, 0, args.copy_row, args.copy_row
    else:
        memset(zero, 0, 4 * args.depth * args.groups)
    k.gather(&g)

    t.a_tap, t.b_tap = args.band, args.depth * nr
    t.y_rows, t.rows, t.activation, t.alpha = g.y_rows, g.count, args.activation, args.alpha
    for panel in range(block * args.panel_block, min(args.panels * args.groups, (block + 1) * args.panel_block)):
        group, column = panel // args.panels, panel % args.panels * nr
        packed = args.packed + panel * taps * t.b_tap
        t.columns = min(nr, args.columns - column)
        column += group * args.y_group
        t.y = args.y + args.y_offset + column
        t.bias = args.bias + column if args.bias != NULL else NULL
        tap = start = 0
        while True:
            t.taps, t.depth = min(args.tap_block, taps - tap), min(args.depth_block, args.depth - start)
            t.a, t.a_offset = <const float *const *>g.a + tap * args.band, group * args.x_group + start
            t.b = packed + tap * t.b_tap + start * nr
            t.accumulate = tap > 0 or start > 0
            start += t.depth
            if start >= args.depth:
                start = 0
                tap += t.taps
            t.last = tap >= taps
            k.tile(&t)
            if t.last:
                break


def convolve(str x, str packed, bias, str y, *, images, x_size, x_channels, steps, tap_h, tap_w, out_size, y_strides,
             y_offset=0, groups=1, depth, columns, activation=None, alpha=0.0, copy_kernel_width=0):
    """Return the step of a convolution with packed panels.

    Parameters
    ----------
    x_size, x_channels
        (height, width) and channels of the contiguous NHWC input.
    steps : (int, int)
        How far the input position moves from one output to the next.
    tap_h, tap_w : sequences of int
        Where the taps of output 0 read: rows and columns, which may be outside.
    out_size, y_strides, y_offset
        (rows, columns) of the grid of outputs; its strides (image, row, column) and start in y, in elements.
    depth, columns
        Input channels that a group reads, output channels that it writes.
    copy_kernel_width : int
        Not 0: taps are whole kernel rows of so many pixels, read from a padded copy; `tap_w` is then the first column.
    """
    cdef ConvolveArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    (height, width), (rows, cols) = x_size, out_size
    args.x, args.packed, args.bias, args.y, args.k = NULL, NULL, NULL, NULL, k
    args.per_image, args.pixels = rows * cols, images * rows * cols
    args.height, args.width = height, width
    args.x_image, args.x_row, args.x_pixel = height * width * x_channels, width * x_channels, x_channels
    args.step_h, args.step_w = steps
    args.out_height, args.out_width, args.y_offset = rows, cols, y_offset
    args.y_image, args.y_row, args.y_pixel = y_strides
    args.groups, args.columns, args.x_group, args.y_group = groups, columns, depth, columns
    args.copy = copy_kernel_width > 0
    if args.copy:
        args.left = -tap_w[0] * x_channels
        args.copy_row = ((cols - 1) * steps[1] + copy_kernel_width) * x_channels
        tap_w, depth = (0,), copy_kernel_width * x_channels
    args.depth, args.taps_h, args.taps_w = depth, len(tap_h), len(tap_w)
    taps = len(tap_h) * len(tap_w)
    # A copy belongs to one image; pointers may run over image borders, which keeps tiles full on small maps.
    args.unit = args.per_image if args.copy else max(1, args.pixels)
    args.bands, args.band = split(args.unit, BAND, k.mr)
    args.panels = -(-columns // k.nr)
    args.panel_blocks, args.panel_block = split(
        groups * args.panels, max(1, CHUNK_FLOPS // (2 * args.band * k.nr * max(1, taps * depth))))
    if depth >= DEPTH_BLOCK:
        args.tap_block, (_, args.depth_block) = 1, split(depth, DEPTH_BLOCK)
    else:
        (_, args.tap_block), args.depth_block = split(taps, DEPTH_BLOCK // max(depth, 1)), depth
    scratch = align(8 * taps * args.band) + align(8 * args.band)
    if args.copy:
        span = min(rows, (args.band - 1) // max(cols, 1) + 2)
        scratch += 4 * ((span - 1) * steps[0] + max(tap_h) - min(tap_h) + 1) * args.copy_row
    else:
        scratch += 4 * depth * groups
    tail = b"".join(int(tap).to_bytes(8, "little", signed=True) for tap in (*tap_h, *tap_w))
    args.activation, args.alpha = ACTIVATIONS[activation], alpha
    units = -(-args.pixels // args.unit)
    return Step("convolve", <size_t>&convolve_chunk, (<char *>&args)[:sizeof(args)] + tail,
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.bias - <char *>&args, bias, False), (<char *>&args.y - <char *>&args, y, True)),
                units * args.bands * args.panel_blocks, scratch=scratch,
                cost=microseconds(2.0 * args.pixels * taps * depth * columns * groups) + args.pixels * columns / 1e4)


# ---- the gradient of the kernel

cdef struct BackwardKernelArgs:
    const float *x
    const float *dy
    float *dkernel
    int64_t images, height, width, channels, x_image, x_row
    int64_t out_height, out_width
    int64_t step_h, step_w, dilation_h, dilation_w, top, left, taps_h, taps_w
    int64_t groups, depth, columns
    int64_t copy, copy_row, strip, dy_scratch
    int64_t box_images, box_rows, image_blocks, row_blocks     # the boxes
    int64_t parts, tap_blocks, panels, panel_block, panel_blocks
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


cdef void backward_kernel_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const BackwardKernelArgs *args = <const BackwardKernelArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef int64_t panel_block = chunk % args.panel_blocks
    cdef int64_t tap_block = chunk // args.panel_blocks % args.tap_blocks
    cdef int64_t part = chunk // (args.panel_blocks * args.tap_blocks)
    cdef int64_t th_first = tap_block * args.taps_h // args.tap_blocks
    cdef int64_t th_end = (tap_block + 1) * args.taps_h // args.tap_blocks
    cdef int64_t boxes = args.image_blocks * args.row_blocks, total = args.groups * args.columns
    cdef int64_t first = part * boxes // args.parts, end = (part + 1) * boxes // args.parts
    cdef int64_t tiles = (args.depth + k.mr - 1) // k.mr, image_pixels = args.out_height * args.out_width
    cdef int64_t panel_first = panel_block * args.panel_block
    cdef int64_t panel_end = min(args.panels * args.groups, panel_first + args.panel_block)
    cdef int64_t box, image, row, row_end, in_first, in_end, panel, panel_last, group, column, tile, m, n
    cdef int64_t pixels, strip_pixel = (k.mr + k.vector_length - 1) // k.vector_length * k.vector_length
    cdef float *dkernel = args.dkernel + part * args.taps_h * args.taps_w * args.depth * total
    cdef float *dy_strips = <float *>scratch
    cdef float *x_strip = <float *>(scratch + args.dy_scratch)
    cdef const float *x
    cdef const float *dy
    cdef int64_t x_bytes, dy_bytes, calls
    cdef fc_outer t
    cdef Ahead ahead

    t.dy_pixel, t.dy_row, t.dw_row = k.nr, args.out_width * k.nr, total
    for box in range(first, end):
        image, row = box // args.row_blocks * args.box_images, box % args.row_blocks * args.box_rows
        t.images = min(args.box_images, args.images - image)
        t.accumulate = box > first
        row_end = min(row + args.box_rows, args.out_height)
        # The rows of x that this chunk's taps see from the box.
        in_first = row * args.step_h + th_first * args.dilation_h - args.top
        in_end = (row_end - 1) * args.step_h + (th_end - 1) * args.dilation_h - args.top + 1
        x = args.x + image * args.x_image
        dy = args.dy + (image * image_pixels + row * args.out_width) * total
        pixels = (row_end - row) * args.out_width
        # The next box follows in memory (of dy only some channels, if the chunk owns only some panels).
        x_bytes = 4 * t.images * (row_end - row) * args.step_h * args.x_row
        dy_bytes = 4 * t.images * pixels * total if args.panel_blocks == 1 else 0
        if box + 1 == end:
            x_bytes = dy_bytes = 0
        ahead.x = <const char *>x + 4 * ((t.images - 1) * args.x_image + in_end * args.x_row)
        ahead.x_end = ahead.x + x_bytes
        ahead.dy = <const char *>(dy + (t.images - 1) * image_pixels * total + pixels * total)
        ahead.dy_end = ahead.dy + dy_bytes
        calls = tiles * (panel_end - panel_first) * (th_end - th_first) * args.taps_w
        ahead.lines = (x_bytes + dy_bytes) // (64 * calls) + 1
        for panel in range(panel_first, panel_end):
            column = panel // args.panels * args.columns + panel % args.panels * k.nr
            for n in range(t.images):
                k.strip(dy + n * image_pixels * total + column, total, pixels,
                        min(k.nr, args.columns - panel % args.panels * k.nr),
                        dy_strips + ((panel - panel_first) * t.images + n) * pixels * k.nr, k.nr)
        t.dy_image = pixels * k.nr
        t.x_image, t.x_row, t.x_pixel = args.x_image, args.x_row, args.channels
        if args.copy:
            copy_padded(x, x_strip, in_first, in_end - in_first, args.height, args.x_row, args.left * args.channels,
                        args.copy_row)
            t.x_row = args.copy_row
        elif args.strip:
            in_first, in_end = max(in_first, 0), min(in_end, args.height)
            t.x_image = max(in_end - in_first, 0) * args.width * strip_pixel
            t.x_row, t.x_pixel = args.width * strip_pixel, strip_pixel
        panel = panel_first
        while panel < panel_end:
            group = panel // args.panels
            panel_last = min(panel_end, (group + 1) * args.panels)
            m = 0
            for tile in range(tiles):
                t.rows = args.depth // tiles + (tile < args.depth % tiles)
                if args.copy:
                    t.x = x_strip - in_first * t.x_row + m
                elif args.strip:
                    for n in range(t.images):
                        k.strip(x + n * args.x_image + in_first * args.x_row + group * args.depth + m, args.channels,
                                (in_end - in_first) * args.width, t.rows, x_strip + n * t.x_image, strip_pixel)
                    t.x = x_strip - in_first * t.x_row
                else:
                    t.x = x + group * args.depth + m
                backward_kernel_taps(args, t, &ahead, dkernel,
                                     dy_strips + (panel - panel_first) * t.images * t.dy_image, panel, panel_last,
                                     m, row, row_end, th_first, th_end)
                m += t.rows
            panel = panel_last


cdef void backward_kernel_taps(const BackwardKernelArgs *args, fc_outer t, Ahead *ahead, float *dkernel,
                               const float *dy, int64_t panel_first, int64_t panel_end, int64_t m, int64_t row,
                               int64_t row_end, int64_t th_first, int64_t th_end) noexcept nogil:
    """One tile of input channels against some panels, for every tap: `t.x` is where row 0, column 0 would be."""
    cdef const fc_kernels *k = args.k
    cdef const float *x = t.x
    cdef int64_t x_row = t.x_row, x_pixel = t.x_pixel, panel, column, th, tw, h, w, low, high, left, right
    t.x_row, t.x_pixel = x_row * args.step_h, x_pixel * args.step_w
    for panel in range(panel_first, panel_end):
        column = panel % args.panels * k.nr
        t.columns = min(k.nr, args.columns - column)
        column += panel // args.panels * args.columns
        for th in range(th_first, th_end):
            h = th * args.dilation_h - args.top
            low, high = row, row_end
            if not args.copy:
                inside(h, args.step_h, args.height, &low, &high)
            for tw in range(args.taps_w):
                w, left, right = 0, 0, args.out_width
                if not args.copy:
                    w = tw * args.dilation_w - args.left
                    inside(w, args.step_w, args.width, &left, &right)
                t.x = x + (low * args.step_h + h) * x_row + (left * args.step_w + w) * x_pixel
                t.dy = dy + (low - row) * t.dy_row + left * t.dy_pixel
                t.height, t.width = high - low, right - left
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
        dy += t.images * t.dy_image


def backward_kernel(str x, str dy, str dkernel, *, images, x_size, out_size, padding, strides, dilations, kernel_size,
                    groups, depth, columns):
    """Return (phases, workspace) of the gradient of a kernel (KH, KW, depth, groups * columns).

    Small gradients are summed over parts of the pixels, added in order at the end; of a large one every chunk owns a
    kernel row and a few panels. How many parts there are is a function of the shapes.
    """
    cdef BackwardKernelArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    (height, width), (rows, cols), (kh, kw) = x_size, out_size, kernel_size
    channels, outputs = groups * depth, groups * columns
    args.x, args.dy, args.dkernel, args.k = NULL, NULL, NULL, k
    args.images, args.height, args.width, args.channels = images, height, width, channels
    args.x_image, args.x_row = height * width * channels, width * channels
    args.out_height, args.out_width = rows, cols
    (args.step_h, args.step_w), (args.dilation_h, args.dilation_w) = strides, dilations
    (args.top, _), (args.left, _) = padding
    size = kh * kw * depth * outputs
    args.copy = groups == 1 and dilations[1] == 1 and kw > 1 and depth < FEW_CHANNELS
    args.copy_row = ((cols - 1) * strides[1] + kw) * channels
    if args.copy:
        depth, kw = kw * depth, 1
    args.taps_h, args.taps_w, args.groups, args.depth, args.columns = kh, kw, groups, depth, columns
    args.box_images = 1 if args.copy else max(1, BOX // max(rows * cols, 1))
    args.row_blocks, args.box_rows = split(rows, max(1, BOX // max(cols, 1)))
    args.image_blocks = -(-images // args.box_images)
    args.panels = -(-columns // k.nr)
    boxes = args.image_blocks * args.row_blocks
    if boxes == 0 or size == 0:
        return ((runtime.zero(dkernel, 4 * size),),), {}
    flops = 2.0 * images * rows * cols * size
    # A large gradient: split it by kernel rows and panels; a small one is all in each part.
    args.tap_blocks = args.panel_blocks = 1
    if size * 4 > SPLIT_BYTES:
        args.tap_blocks = kh
        args.panel_blocks = groups * args.panels
    args.panel_blocks, args.panel_block = split(groups * args.panels, -(-groups * args.panels // args.panel_blocks))
    units = args.tap_blocks * args.panel_blocks
    args.parts = max(1, min(-(-16 // units), boxes, int(flops / 1e6)))
    args.dy_scratch = scratch = align(4 * args.panel_block * args.box_images * args.box_rows * cols * k.nr)
    span = (args.box_rows - 1) * strides[0] + (-(-kh // args.tap_blocks) - 1) * dilations[0] + 1
    # Tiles of x are made contiguous too, where they are used often enough.
    args.strip = not args.copy and kh * kw * args.panel_block >= 4 * strides[0] * strides[1] * args.tap_blocks
    if args.copy:
        scratch += 4 * span * args.copy_row
    elif args.strip:
        scratch += 4 * args.box_images * span * width * (k.mr + k.vector_length)
    partial = "dkernel_parts" if args.parts > 1 else dkernel
    step = Step("backward_kernel", <size_t>&backward_kernel_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.dy - <char *>&args, dy, False),
                 (<char *>&args.dkernel - <char *>&args, partial, True)),
                args.parts * units, scratch=scratch, cost=microseconds(flops))
    if args.parts == 1:
        return ((step,),), {}
    return ((step,), (sum_parts(partial, dkernel, args.parts, size),)), {partial: 4 * args.parts * size}
