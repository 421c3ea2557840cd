"""Steps of batch normalisation: partial sums of runs of pixels, statistics per channel, one pass over the elements.

An array of P pixels and C channels is seen as lines of `columns` floats; a line holds columns / C pixels (see `fold`).
"""
from math import gcd

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div
from fastconv._kernels.table cimport fc_norm_pass

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
        float *scale
        float *shift
        float *coefficients
        int64_t parts, columns, width, channels, count
        double momentum, epsilon
    ctypedef struct fc_kernels:
        void (*norm_sums)(const float *x, int64_t size, int64_t columns, double *sums) noexcept nogil
        void (*norm_backward_sums)(const fc_norm_pass *, double *sums) noexcept nogil
        void (*norm_finish)(const fc_norm *, int64_t c0) noexcept nogil
        void (*norm_inference)(const fc_norm *, int64_t c0) noexcept nogil
        void (*norm_backward_finish)(const fc_norm *, int64_t c0) noexcept nogil
        void (*norm_apply)(const fc_norm_pass *) noexcept nogil
        void (*norm_backward_apply)(const fc_norm_pass *) noexcept nogil

# Where the activation that follows cuts off: NaN is nowhere. These can be part of a pass.
LIMITS = {"relu": float("nan"), "relu6": 6.0}

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


cdef void set_activation(fc_norm_pass *p, activation):
    p.clip = activation is not None
    p.limit = LIMITS[activation] if activation is not None else 0.0


cdef struct SumArgs:
    fc_norm_pass whole      # coefficients, of `channels` floats each, are in `vectors`
    const float *vectors[3]
    double *partial
    int64_t size_per_chunk, channels
    const fc_kernels *k


cdef void sums_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const SumArgs *args = <const SumArgs *>raw
    cdef fc_norm_pass p = args.whole
    cdef int64_t start = chunk * args.size_per_chunk, line, at
    p.size = min(args.size_per_chunk, p.size - start)
    p.x += start
    if p.dy == NULL:
        args.k.norm_sums(p.x, p.size, p.columns, args.partial + chunk * 2 * p.columns)
        return
    p.dy += start
    if p.dy_rest != NULL:
        p.dy_rest += start
    if p.y != NULL:
        p.y += start
    if p.out != NULL:
        p.out += start
    p.coefficients = <float *>scratch
    for line in range(3):
        at = 0
        while args.vectors[line] != NULL and at < p.columns:
            memcpy(<float *>scratch + line * p.columns + at, args.vectors[line], args.channels * sizeof(float))
            at += args.channels
    args.k.norm_backward_sums(&p, args.partial + chunk * 3 * p.columns)


cdef int64_t sum_chunk_size(int64_t size, int64_t columns):
    cdef int64_t lines = max(1, CHUNK_BYTES // (4 * columns), (size + columns * MAX_PARTS - 1) // (columns * MAX_PARTS))
    return ceil_div(lines, LINES) * LINES * columns


cdef int64_t parts(int64_t size, int64_t channels):
    """Return how many partial sums an array of `size` floats gets."""
    cdef int64_t chunk = sum_chunk_size(size, sum_columns(channels))
    return ceil_div(size, chunk)


def partial_bytes(int64_t size, int64_t channels, int64_t quantities):
    """Return the bytes of all partial sums: 2 quantities forward, 3 backward."""
    return 8 * quantities * parts(size, channels) * sum_columns(channels)


def coefficient_bytes(int64_t channels, int64_t lines):
    """Return the bytes of the coefficients: see `fc_norm_pass`."""
    return 4 * lines * apply_columns(channels)


cdef sums_step(name, fields, str partial, int64_t size, int64_t channels, activation):
    """Return a step over partial sums; `fields` is {operand: buffer}."""
    cdef SumArgs args
    cdef char *base = <char *>&args
    cdef bint forward = "dy" not in fields
    args.whole.x, args.whole.residual, args.whole.dy, args.whole.y = NULL, NULL, NULL, NULL
    args.whole.dy_rest, args.whole.coefficients, args.whole.out, args.partial = NULL, NULL, NULL, NULL
    args.vectors[0], args.vectors[1], args.vectors[2] = NULL, NULL, NULL
    args.whole.size, args.whole.columns, args.channels = size, sum_columns(channels), channels
    set_activation(&args.whole, activation)
    args.size_per_chunk = sum_chunk_size(size, args.whole.columns)
    args.k = <const fc_kernels *><size_t>runtime.table()
    offsets = {
        "x": <char *>&args.whole.x - base, "dy": <char *>&args.whole.dy - base, "y": <char *>&args.whole.y - base,
        "dy_rest": <char *>&args.whole.dy_rest - base,
        "mean": <char *>&args.vectors[0] - base, "scale": <char *>&args.vectors[1] - base,
        "shift": <char *>&args.vectors[2] - base, "dz": <char *>&args.whole.out - base,
    }
    operands = [(offsets[field], buffer, field == "dz") for field, buffer in fields.items()]
    operands.append((<char *>&args.partial - base, partial, True))
    return Step(name, <size_t>&sums_chunk, base[:sizeof(args)], operands, parts(size, channels),
                scratch=0 if forward else 12 * args.whole.columns,
                cost=size * 4 * (1 if forward else len(fields)) / 3e4)


def sums(str x, str partial, int64_t size, int64_t channels):
    """Return the step that leaves `parts` partial sums of x and x * x in `partial`, float64."""
    return sums_step("batch_norm_sums", {"x": x}, partial, size, channels, None)


def backward_sums(fields, str partial, int64_t size, int64_t channels, activation=None):
    """Return the step that leaves partial sums of dz, dz * (x - mean) and x - mean, dz the gradient before activation.

    `fields` names the buffers of "x", "dy" and "mean"; with an activation also "scale" and "shift", from which y is
    made again, or "y", and then perhaps "dy_rest", which is added to dy, and "dz", which is written.
    """
    return sums_step("batch_norm_backward_sums", fields, partial, size, channels, activation)


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
    n.dgamma, n.dbeta, n.scale, n.shift, n.coefficients = NULL, NULL, NULL, NULL, NULL
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
        "scale": <char *>&n.scale - base, "shift": <char *>&n.shift - base,
        "coefficients": <char *>&n.coefficients - base,
    }
    operands = [(offsets[field], buffer, written)
                for fields, written in ((reads, False), (writes, True)) for field, buffer in fields.items()]
    cost = (n.columns * n.parts if partial else 0) / 1e3 + n.width / 1e2
    return Step(name, <size_t>&finish_chunk, base[:sizeof(args)], operands,
                ceil_div(channels, CHANNEL_BLOCK), cost=cost)


def finish(reads, writes, int64_t size, int64_t channels, double momentum, double epsilon):
    """Return the step from the partial sums to mean, inv_std, scale, shift, moving statistics and coefficients."""
    return finish_step("batch_norm_finish", FINISH, reads, writes, size, channels, momentum, epsilon, True)


def inference_coefficients(reads, writes, int64_t size, int64_t channels, double epsilon):
    """Return the step from moving statistics to what `writes` names: 3 lines of coefficients, scale, shift.

    What `reads` leaves out counts as 0 (gamma as 1).
    """
    return finish_step("batch_norm_coefficients", INFERENCE, reads, writes, size, channels, 0.0, epsilon, False)


def backward_finish(reads, writes, int64_t size, int64_t channels, double momentum, double epsilon):
    """Return the step from the partial sums to dgamma, dbeta and coefficients, those that `writes` names.

    The coefficients are 4 lines, with scale and shift among `reads` 6.
    """
    return finish_step("batch_norm_backward_finish", BACKWARD, reads, writes, size, channels, momentum, epsilon, True)


cdef struct ApplyArgs:
    fc_norm_pass whole
    int64_t size_per_chunk
    const fc_kernels *k


cdef void apply_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ApplyArgs *args = <const ApplyArgs *>raw
    cdef fc_norm_pass p = args.whole
    cdef int64_t start = chunk * args.size_per_chunk
    p.size = min(args.size_per_chunk, p.size - start)
    p.x += start
    p.out += start
    if p.residual != NULL:
        p.residual += start
    if p.dy == NULL:
        args.k.norm_apply(&p)
    else:
        p.dy += start
        args.k.norm_backward_apply(&p)


cdef apply_step(name, fields, int64_t size, int64_t channels, activation):
    """Return a pass over all elements; `fields` is {operand: buffer}."""
    cdef ApplyArgs args
    cdef char *base = <char *>&args
    args.whole.x, args.whole.residual, args.whole.dy, args.whole.y = NULL, NULL, NULL, NULL
    args.whole.dy_rest, args.whole.coefficients, args.whole.out = NULL, NULL, NULL
    args.whole.size, args.whole.columns = size, apply_columns(channels)
    set_activation(&args.whole, activation)
    args.size_per_chunk = max(1, CHUNK_BYTES // (4 * args.whole.columns)) * args.whole.columns
    args.k = <const fc_kernels *><size_t>runtime.table()
    offsets = {
        "x": <char *>&args.whole.x - base, "residual": <char *>&args.whole.residual - base,
        "dy": <char *>&args.whole.dy - base, "coefficients": <char *>&args.whole.coefficients - base,
        "out": <char *>&args.whole.out - base,
    }
    operands = [(offsets[field], buffer, field == "out") for field, buffer in fields.items()]
    return Step(name, <size_t>&apply_chunk, base[:sizeof(args)], operands,
                ceil_div(size, args.size_per_chunk), cost=size * 4 * (len(fields) - 1) / 4e4)


def apply(fields, int64_t size, int64_t channels, activation=None):
    """Return the step out = activation((x - mean) * scale + shift + residual), for the buffers in `fields`.

    "coefficients" holds a line each of mean, scale, shift; "residual" may be left out; "out" may be any of the others.
    """
    return apply_step("batch_norm_apply", fields, size, channels, activation)


def backward_apply(fields, int64_t size, int64_t channels, activation=None):
    """Return the step out = a dz + b (x - mean) + d, for the buffers in `fields`; "out" may be "x" or "dy".

    "coefficients" holds a line each of mean, a, b, d. Without an activation dz is dy; with one, scale and shift follow.
    """
    return apply_step("batch_norm_backward_apply", fields, size, channels, activation)
