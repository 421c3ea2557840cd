"""Steps of batch normalisation: partial sums of runs of pixels, statistics per channel, one pass over the elements.

An array of P pixels and C channels is seen as lines of `columns` floats; a line holds columns / C pixels (see `fold`).
"""
from math import gcd

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastconv._kernels import runtime

Step = runtime.Step

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_norm:
        const double *partial
        const float *gamma
        const float *beta
        const float *moving_mean
        const float *moving_variance
        const float *dnew_moving_mean
        const float *dnew_moving_variance
        float *mean
        float *inv_std
        float *new_moving_mean
        float *new_moving_variance
        float *dgamma
        float *dbeta
        float *coefficients
        int64_t parts, columns, width, channels, count
        double momentum, epsilon
    ctypedef struct fc_kernels:
        void (*norm_sums)(const float *x, int64_t size, int64_t columns, double *sums) noexcept nogil
        void (*norm_backward_sums)(const float *x, const float *dy, const float *mean, int64_t size, int64_t columns,
                                   double *sums) noexcept nogil
        void (*norm_finish)(const fc_norm *, int64_t c0) noexcept nogil
        void (*norm_inference)(const fc_norm *, int64_t c0) noexcept nogil
        void (*norm_backward_finish)(const fc_norm *, int64_t c0) noexcept nogil
        void (*norm_apply)(const float *x, const float *coefficients, float *y, int64_t size,
                           int64_t columns) noexcept nogil
        void (*norm_backward_apply)(const float *x, const float *dy, const float *coefficients, float *dx, int64_t size,
                                    int64_t columns) noexcept nogil

cdef enum:
    CHUNK_BYTES = 131072    # read by one chunk
    CHANNEL_BLOCK = 64      # channels that one chunk of a finishing step does: NORM_BLOCK in norm.h
    MAX_PARTS = 64          # partial sums
    LINES = 64              # per partial sum at least, so that the sums are short beside what they were made of
    MAX_FOLDED = 1024       # floats: lines stay in the first-level cache with their coefficients


cdef int64_t fold(int64_t channels, int64_t vectors):
    """Return a multiple of `channels` that fills at least so many whole vectors, unless that makes a line too long."""
    cdef int64_t vector = runtime.tile()[0]
    cdef int64_t columns
    channels = max(channels, 1)
    columns = channels * vector // gcd(channels, vector)
    while columns < vectors * vector:
        columns *= 2
    return columns if columns <= MAX_FOLDED else channels


cdef int64_t sum_columns(int64_t channels):
    """Return the floats of a line while summing: one block of columns, so that memory is read in order."""
    return fold(channels, 4)


cdef int64_t apply_columns(int64_t channels):
    """Return the floats of a line in the pass over the elements, where longer loops are better."""
    return fold(channels, 16)


cdef struct SumArgs:
    const float *x
    const float *dy         # NULL in the forward pass
    const float *mean       # of `channels` floats
    double *partial
    int64_t size, size_per_chunk, columns, channels
    const fc_kernels *k


cdef void sums_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const SumArgs *args = <const SumArgs *>raw
    cdef int64_t start = chunk * args.size_per_chunk, at = 0
    cdef int64_t size = min(args.size_per_chunk, args.size - start)
    if args.dy == NULL:
        args.k.norm_sums(args.x + start, size, args.columns, args.partial + chunk * 2 * args.columns)
        return
    while at < args.columns:
        memcpy(<float *>scratch + at, args.mean, args.channels * sizeof(float))
        at += args.channels
    args.k.norm_backward_sums(args.x + start, args.dy + start, <float *>scratch, size, args.columns,
                              args.partial + chunk * 3 * args.columns)


cdef int64_t sum_chunk_size(int64_t size, int64_t columns):
    cdef int64_t lines = max(1, CHUNK_BYTES // (4 * columns), (size + columns * MAX_PARTS - 1) // (columns * MAX_PARTS))
    return (lines + LINES - 1) // LINES * LINES * columns


cdef int64_t parts(int64_t size, int64_t channels):
    """Return how many partial sums an array of `size` floats gets."""
    cdef int64_t chunk = sum_chunk_size(size, sum_columns(channels))
    return (size + chunk - 1) // chunk


def partial_bytes(int64_t size, int64_t channels, int64_t quantities):
    """Return the bytes of all partial sums: 2 quantities forward, 3 backward."""
    return 8 * quantities * parts(size, channels) * sum_columns(channels)


def coefficient_bytes(int64_t channels, int64_t lines):
    """Return the bytes of the coefficients: 3 lines forward, 4 backward."""
    return 4 * lines * apply_columns(channels)


def sums(str x, str dy, str mean, str partial, int64_t size, int64_t channels):
    """Return the step that leaves `parts` partial sums in `partial`, float64.

    With ``dy=""`` they are (x, x * x), else (dy, dy * (x - mean), x - mean).
    """
    cdef SumArgs args
    args.x, args.dy, args.mean, args.partial = NULL, NULL, NULL, NULL
    args.columns, args.channels, args.size = sum_columns(channels), channels, size
    args.size_per_chunk = sum_chunk_size(size, args.columns)
    args.k = <const fc_kernels *><size_t>runtime.table()
    operands = ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.dy - <char *>&args, dy, False),
                (<char *>&args.mean - <char *>&args, mean, False),
                (<char *>&args.partial - <char *>&args, partial, True))
    return Step("batch_norm_backward_sums" if dy else "batch_norm_sums", <size_t>&sums_chunk,
                (<char *>&args)[:sizeof(args)], operands, parts(size, channels), scratch=4 * args.columns,
                cost=size * (8 if dy else 4) / 3e4)


cdef struct FinishArgs:
    fc_norm norm
    int64_t kind
    const fc_kernels *k

cdef enum:
    FINISH, INFERENCE, BACKWARD


cdef void finish_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const FinishArgs *args = <const FinishArgs *>raw
    if args.kind == FINISH:
        args.k.norm_finish(&args.norm, chunk * CHANNEL_BLOCK)
    elif args.kind == INFERENCE:
        args.k.norm_inference(&args.norm, chunk * CHANNEL_BLOCK)
    else:
        args.k.norm_backward_finish(&args.norm, chunk * CHANNEL_BLOCK)


cdef finish_step(name, int64_t kind, reads, writes, int64_t size, int64_t channels, double momentum, double epsilon,
                 bint partial):
    """Return a per-channel step; `reads` and `writes` are {field of fc_norm: buffer}."""
    cdef FinishArgs args
    cdef fc_norm *n = &args.norm
    cdef char *base = <char *>&args
    n.partial = NULL
    n.gamma, n.beta, n.moving_mean, n.moving_variance = NULL, NULL, NULL, NULL
    n.dnew_moving_mean, n.dnew_moving_variance = NULL, NULL
    n.mean, n.inv_std, n.new_moving_mean, n.new_moving_variance = NULL, NULL, NULL, NULL
    n.dgamma, n.dbeta, n.coefficients = NULL, NULL, NULL
    n.parts, n.columns, n.width = parts(size, channels), sum_columns(channels), apply_columns(channels)
    n.channels, n.count = channels, size // max(channels, <int64_t>1)
    n.momentum, n.epsilon = momentum, epsilon
    args.kind, args.k = kind, <const fc_kernels *><size_t>runtime.table()
    offsets = {
        "partial": <char *>&n.partial - base, "gamma": <char *>&n.gamma - base, "beta": <char *>&n.beta - base,
        "moving_mean": <char *>&n.moving_mean - base, "moving_variance": <char *>&n.moving_variance - base,
        "dnew_moving_mean": <char *>&n.dnew_moving_mean - base,
        "dnew_moving_variance": <char *>&n.dnew_moving_variance - base,
        "mean": <char *>&n.mean - base, "inv_std": <char *>&n.inv_std - base,
        "new_moving_mean": <char *>&n.new_moving_mean - base,
        "new_moving_variance": <char *>&n.new_moving_variance - base,
        "dgamma": <char *>&n.dgamma - base, "dbeta": <char *>&n.dbeta - base,
        "coefficients": <char *>&n.coefficients - base,
    }
    operands = [(offsets[field], buffer, written)
                for fields, written in ((reads, False), (writes, True)) for field, buffer in fields.items()]
    cost = (n.columns * n.parts if partial else 0) / 1e3 + n.width / 1e2
    return Step(name, <size_t>&finish_chunk, base[:sizeof(args)], operands,
                (channels + CHANNEL_BLOCK - 1) // CHANNEL_BLOCK, cost=cost)


def finish(reads, writes, int64_t size, int64_t channels, double momentum, double epsilon):
    """Return the step from the partial sums to mean, inv_std, the new moving statistics and 3 lines of coefficients."""
    return finish_step("batch_norm_finish", FINISH, reads, writes, size, channels, momentum, epsilon, True)


def inference_coefficients(reads, writes, int64_t size, int64_t channels, double epsilon):
    """Return the step from moving statistics to 3 lines of coefficients.

    What `reads` leaves out counts as 0 (gamma as 1).
    """
    return finish_step("batch_norm_coefficients", INFERENCE, reads, writes, size, channels, 0.0, epsilon, False)


def backward_finish(reads, writes, int64_t size, int64_t channels, double momentum, double epsilon):
    """Return the step from the partial sums to dgamma, dbeta and 4 lines of coefficients, those that `writes` names."""
    return finish_step("batch_norm_backward_finish", BACKWARD, reads, writes, size, channels, momentum, epsilon, True)


cdef struct ApplyArgs:
    const float *x
    const float *dy         # NULL in the forward pass
    const float *coefficients
    float *y
    int64_t size, size_per_chunk, columns
    const fc_kernels *k


cdef void apply_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ApplyArgs *args = <const ApplyArgs *>raw
    cdef int64_t start = chunk * args.size_per_chunk
    cdef int64_t size = min(args.size_per_chunk, args.size - start)
    if args.dy == NULL:
        args.k.norm_apply(args.x + start, args.coefficients, args.y + start, size, args.columns)
    else:
        args.k.norm_backward_apply(args.x + start, args.dy + start, args.coefficients, args.y + start, size,
                                   args.columns)


def apply(str x, str dy, str coefficients, str y, int64_t size, int64_t channels):
    """Return the step ``y = (x - mean) * scale + shift``, or with `dy` ``y = a dy + b (x - mean) + d``.

    `coefficients` holds a line each of mean, scale, shift, or mean, a, b, d. `y` may be `x` or `dy`.
    """
    cdef ApplyArgs args
    args.x, args.dy, args.coefficients, args.y = NULL, NULL, NULL, NULL
    args.size, args.columns = size, apply_columns(channels)
    args.size_per_chunk = max(1, CHUNK_BYTES // (4 * args.columns)) * args.columns
    args.k = <const fc_kernels *><size_t>runtime.table()
    operands = ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.dy - <char *>&args, dy, False),
                (<char *>&args.coefficients - <char *>&args, coefficients, False),
                (<char *>&args.y - <char *>&args, y, True))
    return Step("batch_norm_backward_apply" if dy else "batch_norm_apply", <size_t>&apply_chunk,
                (<char *>&args)[:sizeof(args)], operands,
                (size + args.size_per_chunk - 1) // args.size_per_chunk,
                cost=size * (12 if dy else 8) / 4e4)
