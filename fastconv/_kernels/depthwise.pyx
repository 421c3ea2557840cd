"""Depthwise convolution: every channel by its own kernel; and grouped convolution with few channels per group.

A chunk is a band of rows of one image and a block of its channels, few enough that their weights stay in the
first-level cache. More than one output per input channel is rare: then the chunk works on a copy of its rows of x with
each channel repeated, or adds neighbouring channels of the gradient that it made.
"""
from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import in_parts, microseconds, partial, split
from fastconv._kernels.eltwise import activation_of
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport align
from fastconv._kernels.table cimport fc_activation, fc_window

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_depthwise:
        fc_window window
        const float *w
        const float *bias
        const float *residual
        float *means
        float *dw
        float *dbias
        int64_t w_row, w_tap, w_depth, means_row, channels, depth
        fc_activation activation
    ctypedef struct fc_bfloat16:
        void (*depthwise)(const fc_depthwise *) noexcept nogil
    ctypedef struct fc_kernels:
        int64_t vector_length
        const fc_bfloat16 *bfloat16
        void (*depthwise)(const fc_depthwise *) noexcept nogil
        void (*depthwise_backward_kernel)(const fc_depthwise *) noexcept nogil
        void (*repeat)(const float *x, float *y, int64_t n, int64_t count) noexcept nogil
        void (*fold)(const float *x, float *y, int64_t n, int64_t count) noexcept nogil

# Multiply-adds of a chunk: some ten microseconds; less where the whole is little, so that several threads have enough.
CHUNK_PRODUCTS = 1 << 20
LEAST_CHUNK_PRODUCTS = 1 << 17
LEAST_CHUNKS = 8
# Weights of a block of channels; those of groups are used more often once loaded, and may come from the second level.
BLOCK_BYTES = 16384
GROUPED_BLOCK_BYTES = 131072
# Partial gradients of a kernel.
PARTS = 32


cdef struct DepthwiseArgs:
    const float *x
    const float *kernel
    const float *bias
    const float *residual
    float *y
    float *means
    float *dkernel
    float *dbias
    fc_depthwise t              # of the whole image; the chunk narrows it to its rows and channels
    int64_t w_offset, y_offset, x_image, y_image
    int64_t rows_total, band, bands, block, blocks, parts
    int64_t repeat, fold        # x has so many times fewer channels, or y
    bint half                   # x, y and the residual are bfloat16; neither repeated nor folded then
    const fc_kernels *k


cdef void narrow(const DepthwiseArgs *args, fc_depthwise *t, int64_t image, int64_t row, int64_t rows, int64_t block,
                 char *scratch) noexcept nogil:
    """Make t the rows row ... row + rows of an image and a block of channels; x is repeated into scratch."""
    cdef int64_t channel = block * args.block, first, last
    cdef fc_window *g = &t.window
    t[0] = args.t
    t.channels = args.block if block + 1 < args.blocks else args.t.channels - channel
    g.first_h += row * g.step_h
    g.rows = rows
    first = (image * args.t.window.rows + row) * args.t.channels + channel
    t.means = args.means + first if args.means != NULL else NULL
    first = args.y_offset + image * args.y_image + row * g.y_row + channel
    if args.half:
        g.x = <const float *>(<const uint16_t *>args.x + image * args.x_image + channel)
        g.y = <float *>(<uint16_t *>args.y + first)
        t.residual = <const float *>(<const uint16_t *>args.residual + first) if args.residual != NULL else NULL
        return
    g.x = args.x + image * args.x_image + channel
    g.y, t.residual = args.y + first, args.residual + first if args.residual != NULL else NULL
    if args.repeat > 1:
        first = max(g.first_h, 0)
        last = min(g.first_h + (rows - 1) * g.step_h + (g.taps_h - 1) * g.spread_h + 1, g.height)
        if last > first:
            args.k.repeat(g.x + first * g.x_row // args.repeat, <float *>scratch,
                          (last - first) * g.x_row // args.repeat, args.repeat)
        g.x = <float *>scratch
        g.first_h -= first
        g.height = max(0, last - first)


cdef void depthwise_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const DepthwiseArgs *args = <const DepthwiseArgs *>raw
    cdef int64_t block = chunk % args.blocks, band = chunk // args.blocks % args.bands, row = band * args.band
    cdef int64_t i, j
    cdef float *y
    cdef float *sums
    cdef fc_depthwise t
    narrow(args, &t, chunk // (args.blocks * args.bands), row, min(args.band, args.rows_total - row), block, scratch)
    t.w = args.kernel + args.w_offset + block * args.block
    t.bias = args.bias + block * args.block if args.bias != NULL else NULL
    if args.half:
        args.k.bfloat16.depthwise(&t)
        return
    if args.fold == 1:
        args.k.depthwise(&t)
        return
    y, t.window.y = t.window.y, <float *>scratch
    t.window.y_pixel, t.window.y_row = t.channels, t.window.columns * t.channels
    args.k.depthwise(&t)
    for i in range(t.window.rows):
        for j in range(t.window.columns):
            sums = <float *>scratch + i * t.window.y_row + j * t.channels
            args.k.fold(sums, y + i * args.t.window.y_row + j * args.t.window.y_pixel, t.channels // args.fold,
                        args.fold)


cdef void depthwise_backward_kernel_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const DepthwiseArgs *args = <const DepthwiseArgs *>raw
    cdef int64_t block = chunk % args.blocks, part = chunk // args.blocks, channels = args.t.channels, line
    cdef int64_t row = part * args.rows_total // args.parts, end = (part + 1) * args.rows_total // args.parts, rows
    cdef int64_t per_image = args.t.window.rows
    cdef int64_t lines = args.t.window.taps_h * args.t.window.taps_w * args.t.depth
    cdef fc_depthwise t
    cdef float *dw = args.dkernel + part * lines * channels + block * args.block
    cdef float *dbias = args.dbias + part * channels + block * args.block if args.dbias != NULL else NULL
    t.channels = args.block if block + 1 < args.blocks else channels - block * args.block
    for line in range(lines):
        memset(dw + line * channels, 0, 4 * t.channels)
    if dbias != NULL:
        memset(dbias, 0, 4 * t.channels)
    while row < end:
        rows = min(args.band, min(end - row, per_image - row % per_image))
        narrow(args, &t, row // per_image, row % per_image, rows, block, scratch)
        t.dw, t.dbias = dw, dbias
        args.k.depthwise_backward_kernel(&t)
        row += rows


cdef _progression(reads, weights):
    """Return (first, spread, first weight, stride of the weights) of taps along one axis, from left to right."""
    if len(reads) == 1:
        return reads[0], 1, weights[0], 0
    if reads[1] < reads[0]:
        reads, weights = reads[::-1], weights[::-1]
    return reads[0], reads[1] - reads[0], weights[0], weights[1] - weights[0]


cdef _fill(DepthwiseArgs *args, channels, x_size, steps, taps, out_size, y_strides, y_offset, repeat, fold, depth,
           least_chunks, images):
    """Set the geometry; returns the scratch bytes of a chunk. There shall be about `least_chunks`, or more."""
    tap_h, tap_w, positions = taps
    cdef fc_window *g = &args.t.window
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    args.k = k
    args.x, args.kernel, args.bias, args.residual, args.y = NULL, NULL, NULL, NULL, NULL
    args.means, args.dkernel, args.dbias = NULL, NULL, NULL
    args.t.channels, args.t.depth, args.t.w_depth, args.t.means_row = channels, depth, channels, channels
    args.repeat, args.fold, args.half = repeat, fold, False
    g.height, g.width = x_size
    g.x_row, g.x_pixel = g.width * channels, channels
    args.x_image = g.height * g.x_row // repeat
    g.step_h, g.step_w = steps
    if not positions:   # a phase of backward data that no tap reaches
        tap_h, tap_w, positions = (0,), (0,), (0,)
        g.height = 0
    g.taps_h, g.taps_w = len(tap_h), len(tap_w)
    g.first_h, g.spread_h, first_h, w_row = _progression(tap_h, positions[::len(tap_w)])
    g.first_w, g.spread_w, first_w, w_tap = _progression(tap_w, positions[:len(tap_w)])
    args.w_offset = (first_h + first_w - positions[0]) * depth * channels
    args.t.w_row, args.t.w_tap = w_row * depth * channels, w_tap * depth * channels
    g.rows, g.columns = out_size
    args.y_image, g.y_row, g.y_pixel = y_strides
    args.y_offset = y_offset

    vectors = max(1, channels // k.vector_length)
    if repeat * fold > 1:
        args.blocks, args.block = 1, channels
    else:
        block_bytes = GROUPED_BLOCK_BYTES if depth > 1 else BLOCK_BYTES
        args.blocks, size = split(vectors, max(1, block_bytes // (4 * k.vector_length * len(positions) * depth)))
        args.block = size * k.vector_length
    products = g.columns * args.block * len(positions) * depth
    chunk = min(max(images * g.rows * args.blocks * products // least_chunks, LEAST_CHUNK_PRODUCTS), CHUNK_PRODUCTS)
    args.bands, args.band = split(g.rows, max(1, chunk // max(1, products)))
    if repeat > 1:
        rows = (args.band - 1) * g.step_h + (g.taps_h - 1) * g.spread_h + 1
        return align(4 * min(max(rows, 1), g.height) * g.x_row)
    return align(4 * args.band * g.columns * channels) if fold > 1 else 0


def _cost(pixels, taps, channels):
    return 2 * microseconds(2.0 * pixels * taps * channels) + pixels * channels / 1e4


def depthwise(str x, str kernel, bias, residual, str y, *, images, channels, x_size, steps, taps, out_size, y_strides,
              y_offset=0, epilogue=None, repeat=1, fold=1, depth=1, means=None):
    """Return the step of a depthwise convolution.

    Parameters
    ----------
    channels : int
        Those of the convolution itself: x has `repeat` times fewer, each of which is used so often; y has `fold` times
        fewer, each the sum of so many neighbours.
    depth : int
        Channels of x, and of y, in a group, as `holds_groups` allows them; 1: depthwise.
    taps : (tap_h, tap_w, positions)
        Where the taps of output 0 read, evenly spaced, and where each of tap_h x tap_w lies in the kernel.
    means : str, optional
        (images, rows, channels): of y over the pixels of each row, where y is not folded.

    The rest is as in `conv.convolve`; x is bfloat16 if y is, as `epilogue` says.
    """
    cdef DepthwiseArgs args
    scratch = _fill(&args, channels, x_size, steps, taps, out_size, y_strides, y_offset, repeat, fold, depth,
                    LEAST_CHUNKS, images)
    args.rows_total, args.parts = args.t.window.rows, 1
    args.t.activation, args.half = activation_of(epilogue), epilogue is not None and epilogue.bfloat16
    return Step("depthwise", <size_t>&depthwise_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.kernel - <char *>&args, kernel, False),
                 (<char *>&args.bias - <char *>&args, bias, False),
                 (<char *>&args.residual - <char *>&args, residual, False),
                 (<char *>&args.y - <char *>&args, y, True), (<char *>&args.means - <char *>&args, means, True)),
                images * args.bands * args.blocks, scratch=scratch,
                cost=_cost(images * out_size[0] * out_size[1], len(taps[2]) * depth, channels))


def backward_kernel(str x, str dy, str dkernel, dbias, *, images, channels, x_size, steps, taps, out_size, y_strides,
                    repeat=1, depth=1):
    """Return the plan of the gradient of a depthwise kernel, and of a bias unless `dbias` is None."""
    cdef DepthwiseArgs args
    scratch = _fill(&args, channels, x_size, steps, taps, out_size, y_strides, 0, repeat, 1, depth, 1, images)
    args.rows_total = images * args.t.window.rows
    args.parts = max(1, min(args.rows_total, PARTS // args.blocks, images * args.bands))
    args.t.activation = activation_of(None)
    sizes = {dkernel: len(taps[2]) * depth * channels} | ({dbias: channels} if dbias is not None else {})
    step = Step("depthwise_backward_kernel", <size_t>&depthwise_backward_kernel_chunk,
                (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, dy, False),
                 (<char *>&args.dkernel - <char *>&args, partial(dkernel, args.parts), True),
                 (<char *>&args.dbias - <char *>&args, partial(dbias, args.parts), True)),
                args.parts * args.blocks, scratch=scratch,
                cost=_cost(images * out_size[0] * out_size[1], len(taps[2]) * depth, channels))
    return in_parts(step, args.parts, sizes)


# ---- groups

def holds_groups(depth, columns, channels):
    """Tell whether the kernels do groups of `depth` channels of x, `columns` of y: they must fill vectors."""
    length = (<const fc_kernels *><size_t>runtime.table()).vector_length
    # Vectors of four have no permutation that is worth its name.
    return depth == columns and depth in (4, 8) and length >= 8 and length % depth == 0 and channels % length == 0


cdef struct TransposeArgs:
    const float *kernel
    float *out
    int64_t channels, depth


cdef void transpose_chunk(const void *raw, int64_t tap, char *scratch) noexcept nogil:
    cdef const TransposeArgs *args = <const TransposeArgs *>raw
    cdef int64_t depth = args.depth, d, c
    cdef const float *kernel = args.kernel + tap * depth * args.channels
    cdef float *out = args.out + tap * depth * args.channels
    for d in range(depth):
        for c in range(args.channels):
            out[d * args.channels + c] = kernel[c % depth * args.channels + c // depth * depth + d]


def transpose_groups(str kernel, str out, *, taps, channels, depth):
    """Return the step that swaps channels of x and y within each group: what backward data multiplies."""
    cdef TransposeArgs args
    args.kernel, args.out, args.channels, args.depth = NULL, NULL, channels, depth
    return Step("transpose_groups", <size_t>&transpose_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.kernel - <char *>&args, kernel, False), (<char *>&args.out - <char *>&args, out, True)),
                taps, cost=taps * depth * channels / 1e3)
