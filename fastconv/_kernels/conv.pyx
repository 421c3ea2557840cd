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
"""
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastconv._kernels import runtime
from fastconv._kernels.eltwise import ACTIVATIONS
from fastconv._kernels.gemm import CHUNK_FLOPS, DEPTH_BLOCK, microseconds, split
from fastconv._kernels.runtime import Step

from fastconv._kernels.image cimport align, copy_padded
from fastconv._kernels.table cimport fc_activation, fc_gather, fc_tile

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t vector_length, mr, nr
        void (*tile)(const fc_tile *) noexcept nogil
        void (*gather)(const fc_gather *) noexcept nogil

# Output pixels of a chunk.
BAND = 96
# Below this many input channels a kernel row is read from a padded copy.
FEW_CHANNELS = 12


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
