"""Depthwise convolution: every channel by its own kernel.

The same pointers a[tap][pixel] as in `conv` make one kernel serve forward and backward data. More than one output per
input channel is rare: then x is repeated, and its gradient folded, in steps of their own.
"""
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from fastconv._kernels import runtime
from fastconv._kernels.eltwise import ACTIVATIONS
from fastconv._kernels.gemm import microseconds, split, sum_parts
from fastconv._kernels.runtime import Step

from fastconv._kernels.table cimport FC_ACT_NONE, fc_activation, fc_gather

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_depthwise:
        const float *const *a
        int64_t a_tap, taps
        const float *w
        const float *bias
        float *dw
        const int64_t *w_taps
        float *y
        const int64_t *y_rows
        int64_t rows, channels
        int32_t accumulate
        fc_activation activation
        float alpha
    ctypedef struct fc_kernels:
        void (*gather)(const fc_gather *) noexcept nogil
        void (*depthwise)(const fc_depthwise *) noexcept nogil
        void (*depthwise_backward_kernel)(const fc_depthwise *) noexcept nogil
        void (*repeat)(const float *x, float *y, int64_t n, int64_t count) noexcept nogil
        void (*fold)(const float *x, float *y, int64_t n, int64_t count) noexcept nogil

# Output pixels of a block.
BAND = 96


cdef struct DepthwiseArgs:
    const float *x
    const float *kernel
    const float *bias
    float *y
    float *dkernel
    int64_t pixels, channels
    int64_t height, width, step_h, step_w, taps_h, taps_w, out_height, out_width, y_offset, y_image, y_row, y_pixel
    int64_t band, bands, parts
    fc_activation activation
    float alpha
    const fc_kernels *k
    # followed by tap_h, tap_w and the offset of each tap in the kernel


cdef void gather_band(const DepthwiseArgs *args, int64_t band, fc_depthwise *t, char *scratch) noexcept nogil:
    """Fill the pointers of one band of outputs."""
    cdef int64_t taps = args.taps_h * args.taps_w
    cdef fc_gather g
    g.a, g.a_tap = <const float **>scratch, args.band
    g.y_rows = <int64_t *>scratch + taps * args.band
    g.zero = <const float *>(g.y_rows + args.band)
    memset(<void *>g.zero, 0, 4 * args.channels)
    g.x, g.x_first_row, g.height, g.width = args.x, 0, args.height, args.width
    g.x_image, g.x_row = args.height * args.width * args.channels, args.width * args.channels
    g.x_pixel = args.channels
    g.step_h, g.step_w, g.taps_h, g.taps_w = args.step_h, args.step_w, args.taps_h, args.taps_w
    g.tap_h = <const int64_t *>(args + 1)
    g.tap_w = g.tap_h + args.taps_h
    g.out_height, g.out_width = args.out_height, args.out_width
    g.y_image, g.y_row, g.y_pixel = args.y_image, args.y_row, args.y_pixel
    g.first = band * args.band
    g.count = min(args.band, args.pixels - g.first)
    args.k.gather(&g)
    t.a, t.a_tap, t.taps = <const float *const *>g.a, args.band, taps
    t.w_taps = g.tap_w + args.taps_w
    t.y_rows, t.rows, t.channels = g.y_rows, g.count, args.channels


cdef void depthwise_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const DepthwiseArgs *args = <const DepthwiseArgs *>raw
    cdef fc_depthwise t
    gather_band(args, chunk, &t, scratch)
    t.w, t.bias, t.y = args.kernel, args.bias, args.y + args.y_offset
    t.activation, t.alpha = args.activation, args.alpha
    args.k.depthwise(&t)


cdef void depthwise_backward_kernel_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const DepthwiseArgs *args = <const DepthwiseArgs *>raw
    cdef int64_t first = chunk * args.bands // args.parts, band
    cdef fc_depthwise t
    for band in range(first, (chunk + 1) * args.bands // args.parts):
        gather_band(args, band, &t, scratch)
        t.dw, t.y = args.dkernel + chunk * args.taps_h * args.taps_w * args.channels, args.y
        t.accumulate = band > first
        args.k.depthwise_backward_kernel(&t)


cdef _fill(DepthwiseArgs *args, images, channels, x_size, steps, taps, out_size, y_strides, y_offset):
    """Set the geometry; returns (bytes after the struct, scratch)."""
    tap_h, tap_w, offsets = taps
    args.x, args.kernel, args.bias, args.y, args.dkernel = NULL, NULL, NULL, NULL, NULL
    args.k = <const fc_kernels *><size_t>runtime.table()
    args.pixels, args.channels = images * out_size[0] * out_size[1], channels
    args.height, args.width = x_size
    args.step_h, args.step_w = steps
    args.taps_h, args.taps_w = len(tap_h), len(tap_w)
    args.out_height, args.out_width = out_size
    args.y_image, args.y_row, args.y_pixel = y_strides
    args.y_offset = y_offset
    args.bands, args.band = split(args.pixels, BAND, 4)
    args.parts = 1
    tail = b"".join(int(n).to_bytes(8, "little", signed=True) for n in (*tap_h, *tap_w, *offsets))
    return tail, 8 * (len(offsets) + 1) * args.band + 4 * channels


def _cost(pixels, taps, channels):
    return 4 * microseconds(2.0 * pixels * taps * channels) + pixels * channels / 1e4


def depthwise(str x, str kernel, bias, str y, *, images, channels, x_size, steps, taps, out_size, y_strides, y_offset=0,
              activation=None, alpha=0.0):
    """Return the step of a depthwise convolution.

    `taps` is (tap_h, tap_w, offsets): where the taps of output 0 read, and where each lies in the kernel.
    The rest is as in `conv.convolve`.
    """
    cdef DepthwiseArgs args
    tail, scratch = _fill(&args, images, channels, x_size, steps, taps, out_size, y_strides, y_offset)
    args.activation, args.alpha = ACTIVATIONS[activation], alpha
    return Step("depthwise", <size_t>&depthwise_chunk, (<char *>&args)[:sizeof(args)] + tail,
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.kernel - <char *>&args, kernel, False),
                 (<char *>&args.bias - <char *>&args, bias, False), (<char *>&args.y - <char *>&args, y, True)),
                args.bands, scratch=scratch, cost=_cost(args.pixels, len(taps[2]), channels))


def backward_kernel(str x, str dy, str dkernel, *, images, channels, x_size, steps, taps, out_size, y_strides):
    """Return (phases, workspace) of the gradient of a depthwise kernel."""
    cdef DepthwiseArgs args
    tail, scratch = _fill(&args, images, channels, x_size, steps, taps, out_size, y_strides, 0)
    args.parts = min(args.bands, 16)
    size = len(taps[2]) * channels
    partial = "dkernel_parts" if args.parts > 1 else dkernel
    args.activation, args.alpha = FC_ACT_NONE, 0
    step = Step("depthwise_backward_kernel", <size_t>&depthwise_backward_kernel_chunk,
                (<char *>&args)[:sizeof(args)] + tail,
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, dy, False),
                 (<char *>&args.dkernel - <char *>&args, partial, True)),
                args.parts, scratch=scratch, cost=_cost(args.pixels, len(taps[2]), channels))
    if args.parts == 1:
        return ((step,),), {}
    return ((step,), (sum_parts(partial, dkernel, args.parts, size),)), {partial: 4 * args.parts * size}


# ---- more than one output per channel

cdef struct RepeatArgs:
    const float *x
    float *y
    int64_t size, count, chunk_size
    bint fold
    const fc_kernels *k


cdef void repeat_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const RepeatArgs *args = <const RepeatArgs *>raw
    cdef int64_t start = chunk * args.chunk_size, n = min(args.size - start, args.chunk_size)
    if args.fold:
        args.k.fold(args.x + start * args.count, args.y + start, n, args.count)
    else:
        args.k.repeat(args.x + start, args.y + start * args.count, n, args.count)


cdef _repeat(name, str x, str y, size, count, fold):
    cdef RepeatArgs args
    args.x, args.y, args.size, args.count, args.fold = NULL, NULL, size, count, fold
    args.k = <const fc_kernels *><size_t>runtime.table()
    chunks, args.chunk_size = split(size, 8192)
    return Step(name, <size_t>&repeat_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                chunks, cost=size * count / 1e3)


def repeat(str x, str y, size, count):
    """Return the step that writes each of `size` elements `count` times."""
    return _repeat("repeat", x, y, size, count, False)


def fold(str x, str y, size, count):
    """Return the step that sums `count` neighbours to each of `size` elements."""
    return _repeat("fold", x, y, size, count, True)
