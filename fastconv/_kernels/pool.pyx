"""Steps of max, average and sum pooling: chunks are runs of rows, or parts of the channels where rows are few."""
from libc.stdint cimport int64_t, uint16_t

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_pool:
        int64_t height, width, channels, out_height, out_width
        int64_t pool_h, pool_w, stride_h, stride_w, pad_top, pad_left
        int average, wide_index
    ctypedef struct fc_bfloat16:
        void (*max_pool)(const fc_pool *, const uint16_t *x, uint16_t *y, void *index, int64_t oh, int64_t c0,
                         int64_t c1) noexcept nogil
        void (*sum_pool)(const fc_pool *, const uint16_t *x, uint16_t *y, int64_t oh, int64_t c0,
                         int64_t c1) noexcept nogil
    ctypedef struct fc_kernels:
        const fc_bfloat16 *bfloat16
        void (*pool_prepare)(fc_pool *) noexcept nogil
        void (*max_pool)(const fc_pool *, const float *x, float *y, void *index, int64_t oh, int64_t c0,
                         int64_t c1) noexcept nogil
        void (*max_pool_backward)(const fc_pool *, const float *dy, const void *index, float *dx,
                                  int64_t ih) noexcept nogil
        void (*sum_pool)(const fc_pool *, const float *x, float *y, int64_t oh, int64_t c0, int64_t c1) noexcept nogil
        void (*sum_pool_backward)(const fc_pool *, const float *dy, float *dx, int64_t ih) noexcept nogil

cdef enum:
    CHUNK_BYTES = 131072    # read or written by one chunk
    CHANNEL_BLOCK = 64      # whole cache lines, so that two threads never write into one

cdef struct PoolArgs:
    const float *x          # forward: x; backward: dy
    float *y                # forward: y; backward: dx
    char *index             # NULL for average and sum, and where nobody reads it
    int64_t maximum
    fc_pool pool
    int64_t rows            # of the result, over all images
    int64_t rows_per_chunk
    int64_t parts           # parts of the channels
    int64_t channels_per_part
    bint half               # x and y are bfloat16
    const fc_kernels *k


cdef void forward_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const PoolArgs *args = <const PoolArgs *>raw
    cdef const fc_pool *p = &args.pool
    cdef int64_t first = chunk // args.parts * args.rows_per_chunk
    cdef int64_t c0 = chunk % args.parts * args.channels_per_part
    cdef int64_t c1 = min(c0 + args.channels_per_part, p.channels)
    cdef int64_t width = p.out_width * p.channels, row, oh, image
    cdef const float *x
    for row in range(first, min(first + args.rows_per_chunk, args.rows)):
        oh, image = row % p.out_height, row // p.out_height * p.height * p.width * p.channels
        x = args.x + image
        if args.half and args.maximum:
            args.k.bfloat16.max_pool(p, <const uint16_t *>args.x + image, <uint16_t *>args.y + row * width, NULL, oh,
                                     c0, c1)
        elif args.half:
            args.k.bfloat16.sum_pool(p, <const uint16_t *>args.x + image, <uint16_t *>args.y + row * width, oh, c0, c1)
        elif not args.maximum:
            args.k.sum_pool(p, x, args.y + row * width, oh, c0, c1)
        elif args.index == NULL:
            args.k.max_pool(p, x, args.y + row * width, NULL, oh, c0, c1)
        else:
            args.k.max_pool(p, x, args.y + row * width, args.index + row * width * (4 if p.wide_index else 1), oh,
                            c0, c1)


cdef void backward_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const PoolArgs *args = <const PoolArgs *>raw
    cdef const fc_pool *p = &args.pool
    cdef int64_t first = chunk * args.rows_per_chunk
    cdef int64_t image = p.out_height * p.out_width * p.channels, width = p.width * p.channels, row, n
    for row in range(first, min(first + args.rows_per_chunk, args.rows)):
        n = row // p.height
        if not args.maximum:
            args.k.sum_pool_backward(p, args.x + n * image, args.y + row * width, row % p.height)
        else:
            args.k.max_pool_backward(p, args.x + n * image, args.index + n * image * (4 if p.wide_index else 1),
                                     args.y + row * width, row % p.height)


cdef PoolArgs arguments(str kind, x_shape, y_shape, pool_size, strides, pads, bint wide_index):
    cdef PoolArgs args
    args.x, args.y, args.index, args.maximum, args.half = NULL, NULL, NULL, kind == "max", False
    _, args.pool.height, args.pool.width, args.pool.channels = x_shape
    _, args.pool.out_height, args.pool.out_width, _ = y_shape
    args.pool.pool_h, args.pool.pool_w = pool_size
    args.pool.stride_h, args.pool.stride_w = strides
    args.pool.pad_top, args.pool.pad_left = pads[0][0], pads[1][0]
    args.pool.average, args.pool.wide_index = kind == "average", wide_index
    args.k = <const fc_kernels *><size_t>runtime.table()
    args.k.pool_prepare(&args.pool)
    return args


def pool(str kind, str x, str y, str index, x_shape, y_shape, pool_size, strides, pads, bint wide_index=False,
         dtype="float32"):
    """Return the step that pools.

    Parameters
    ----------
    kind : {"max", "average", "sum"}
    x, y, index : str
        Buffers; `index` is "" unless `kind` is "max" and a backward pass will read it.
    x_shape, y_shape : tuple of int
        (N, H, W, C) and (N, OH, OW, C).
    pads : ((top, bottom), (left, right))
    wide_index : bool
        `index` is int32 instead of uint8.
    dtype : {"float32", "bfloat16"}
        Of x and y; no index is made of bfloat16.
    """
    cdef PoolArgs args = arguments(kind, x_shape, y_shape, pool_size, strides, pads, wide_index)
    cdef fc_pool *p = &args.pool
    args.half = dtype == "bfloat16"
    # What one row of y reads; where that is a lot (global pooling), its channels are shared out.
    cdef int64_t row_bytes = 4 * p.channels * min(p.out_width * p.pool_w * p.pool_h, p.width * p.pool_h)
    cdef int64_t blocks = max(1, ceil_div(p.channels, CHANNEL_BLOCK))
    cdef int64_t parts = max(1, min(row_bytes // CHUNK_BYTES, blocks))
    args.channels_per_part = ceil_div(blocks, parts) * CHANNEL_BLOCK
    args.parts = max(1, ceil_div(p.channels, args.channels_per_part))
    args.rows = y_shape[0] * p.out_height
    args.rows_per_chunk = max(1, CHUNK_BYTES // max(1, row_bytes))
    chunks = ceil_div(args.rows, args.rows_per_chunk) * args.parts
    operands = ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True),
                (<char *>&args.index - <char *>&args, index, True))
    return Step(f"{kind}_pool", <size_t>&forward_chunk, (<char *>&args)[:sizeof(args)], operands, chunks,
                cost=args.rows * row_bytes / 2.5e4)


def pool_backward(str kind, str dy, str dx, str index, x_shape, y_shape, pool_size, strides, pads,
                  bint wide_index=False):
    """Return the step that computes `dx` from `dy` (and `index`, where `kind` is "max"); arguments as for `pool`."""
    cdef PoolArgs args = arguments(kind, x_shape, y_shape, pool_size, strides, pads, wide_index)
    cdef fc_pool *p = &args.pool
    cdef int64_t row_bytes = 4 * p.width * p.channels
    args.rows = x_shape[0] * p.height
    args.rows_per_chunk = max(1, CHUNK_BYTES // max(1, row_bytes))
    args.parts, args.channels_per_part = 1, p.channels
    chunks = ceil_div(args.rows, args.rows_per_chunk)
    operands = ((<char *>&args.x - <char *>&args, dy, False), (<char *>&args.y - <char *>&args, dx, True),
                (<char *>&args.index - <char *>&args, index, False))
    # Each window that covers a pixel is one more read.
    reads = p.pool_h * p.pool_w / <double>(p.stride_h * p.stride_w)
    return Step(f"{kind}_pool_backward", <size_t>&backward_chunk, (<char *>&args)[:sizeof(args)], operands, chunks,
                cost=args.rows * row_bytes * (1 + reads) / 4e4)
