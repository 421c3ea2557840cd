"""Steps of softmax and of the losses: rows are cut into chunks, sums over samples go through one float64 per chunk."""
from libc.stdint cimport int32_t, int64_t

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_softmax_loss:
        const float *x
        const int32_t *labels
        const float *targets
        const float *weight
        const float *dy
        const float *dloss
        float *y
        int64_t rows, columns
        double samples
        float smoothing
    ctypedef enum fc_loss_kind:
        FC_LOSS_SQUARED
        FC_LOSS_BINARY
        FC_LOSS_BINARY_LOGITS
    ctypedef struct fc_loss:
        const float *x
        const float *targets
        const float *weight
        const float *dloss
        float *dx
        int64_t rows, columns
        double factor
        float smoothing
        fc_loss_kind kind
    ctypedef struct fc_kernels:
        void (*softmax)(const float *x, float *y, int64_t rows, int64_t columns, int log_result) noexcept nogil
        void (*softmax_backward)(const float *y, const float *dy, float *dx, int64_t rows, int64_t columns,
                                 int log_result) noexcept nogil
        double (*softmax_loss)(const fc_softmax_loss *) noexcept nogil
        void (*softmax_loss_backward)(const fc_softmax_loss *) noexcept nogil
        double (*loss)(const fc_loss *) noexcept nogil
        void (*loss_backward)(const fc_loss *) noexcept nogil
        void (*loss_mean)(const double *partial, int64_t count, double samples, float *loss) noexcept nogil

cdef enum:
    CHUNK = 4096   # elements of whole rows

LOSSES = {"squared": FC_LOSS_SQUARED, "binary": FC_LOSS_BINARY, "binary_logits": FC_LOSS_BINARY_LOGITS}


cdef const fc_kernels *table():
    return <const fc_kernels *><size_t>runtime.table()


cdef int64_t rows_per_chunk(int64_t columns):
    return max(<int64_t>1, CHUNK // max(columns, <int64_t>1))


def loss_chunks(int64_t rows, int64_t columns):
    """Return into how many chunks a loss over rows is cut: its workspace holds a float64 for each."""
    cdef int64_t block = rows_per_chunk(columns)
    return ceil_div(rows, block)


# ---- softmax

cdef struct SoftmaxArgs:
    const float *x
    const float *dy
    float *y
    const fc_kernels *k
    int64_t rows, columns, block
    int log_result


cdef void softmax_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const SoftmaxArgs *args = <const SoftmaxArgs *>raw
    cdef int64_t row = chunk * args.block, start = row * args.columns
    args.k.softmax(args.x + start, args.y + start, min(args.rows - row, args.block), args.columns, args.log_result)


cdef void softmax_backward_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const SoftmaxArgs *args = <const SoftmaxArgs *>raw
    cdef int64_t row = chunk * args.block, start = row * args.columns
    args.k.softmax_backward(args.x + start, args.dy + start, args.y + start, min(args.rows - row, args.block),
                            args.columns, args.log_result)


def softmax(str x, str y, int64_t rows, int64_t columns, bint log_result):
    """Return the step y = softmax(x) over rows, or its logarithm; y may be x."""
    cdef SoftmaxArgs args
    args.x, args.dy, args.y, args.k = NULL, NULL, NULL, table()
    args.rows, args.columns, args.block, args.log_result = rows, columns, rows_per_chunk(columns), log_result
    return Step("log_softmax" if log_result else "softmax", <size_t>&softmax_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                loss_chunks(rows, columns), cost=rows * columns * 1.2e-3 + rows * 0.02)


def softmax_backward(str y, str dy, str dx, int64_t rows, int64_t columns, bint log_result):
    """Return the step of softmax's gradient from its value y; dx may be y or dy."""
    cdef SoftmaxArgs args
    args.x, args.dy, args.y, args.k = NULL, NULL, NULL, table()
    args.rows, args.columns, args.block, args.log_result = rows, columns, rows_per_chunk(columns), log_result
    return Step("log_softmax_backward" if log_result else "softmax_backward", <size_t>&softmax_backward_chunk,
                (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, y, False), (<char *>&args.dy - <char *>&args, dy, False),
                 (<char *>&args.y - <char *>&args, dx, True)),
                loss_chunks(rows, columns), cost=rows * columns * 1e-3 + rows * 0.01)


# ---- softmax and cross-entropy

cdef struct SoftmaxLossArgs:
    fc_softmax_loss whole
    double *partial
    const fc_kernels *k
    int64_t block


cdef inline void take_rows(fc_softmax_loss *part, int64_t row, int64_t block) noexcept nogil:
    part.x += row * part.columns
    part.y += row * part.columns
    if part.labels != NULL:
        part.labels += row
    if part.targets != NULL:
        part.targets += row * part.columns
    if part.weight != NULL:
        part.weight += row
    if part.dy != NULL:
        part.dy += row * part.columns
    part.rows = min(part.rows - row, block)


cdef void softmax_loss_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const SoftmaxLossArgs *args = <const SoftmaxLossArgs *>raw
    cdef fc_softmax_loss part = args.whole
    take_rows(&part, chunk * args.block, args.block)
    args.partial[chunk] = args.k.softmax_loss(&part)


cdef void softmax_loss_backward_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const SoftmaxLossArgs *args = <const SoftmaxLossArgs *>raw
    cdef fc_softmax_loss part = args.whole
    take_rows(&part, chunk * args.block, args.block)
    args.k.softmax_loss_backward(&part)


cdef softmax_loss_step(str name, size_t function, names, int64_t rows, int64_t columns, double smoothing):
    cdef SoftmaxLossArgs args
    cdef fc_softmax_loss *w = &args.whole
    cdef char *base = <char *>&args
    w.x, w.labels, w.targets, w.weight, w.dy, w.dloss, w.y = NULL, NULL, NULL, NULL, NULL, NULL, NULL
    w.rows, w.columns, w.samples, w.smoothing = rows, columns, rows, smoothing
    args.partial, args.k, args.block = NULL, table(), rows_per_chunk(columns)
    operands = (
        (<char *>&w.x - base, names.get("x"), False), (<char *>&w.labels - base, names.get("labels"), False),
        (<char *>&w.targets - base, names.get("targets"), False),
        (<char *>&w.weight - base, names.get("weight"), False), (<char *>&w.dy - base, names.get("dy"), False),
        (<char *>&w.dloss - base, names.get("dloss"), False), (<char *>&w.y - base, names.get("y"), True),
        (<char *>&args.partial - base, names.get("partial"), True))
    return Step(name, function, (<char *>&args)[:sizeof(args)], operands, loss_chunks(rows, columns),
                cost=rows * columns * 1.5e-3 + rows * 0.03)


def softmax_loss(str x, labels, targets, weight, str y, str partial, int64_t rows, int64_t columns,
                 double smoothing):
    """Return the step of y = softmax(x) with each chunk's sum of losses; y may be x; one of labels, targets is None."""
    return softmax_loss_step("softmax_cross_entropy", <size_t>&softmax_loss_chunk,
                             dict(x=x, labels=labels, targets=targets, weight=weight, y=y, partial=partial), rows,
                             columns, smoothing)


def softmax_loss_backward(str p, labels, targets, weight, str dp, str dloss, str dx, int64_t rows, int64_t columns,
                          double smoothing):
    """Return the step of the logits' gradient from the probabilities p; dx may be p or dp."""
    return softmax_loss_step("softmax_cross_entropy_backward", <size_t>&softmax_loss_backward_chunk,
                             dict(x=p, labels=labels, targets=targets, weight=weight, dy=dp, dloss=dloss, y=dx), rows,
                             columns, smoothing)


# ---- losses that are a sum over elements

cdef struct LossArgs:
    fc_loss whole
    double *partial
    const fc_kernels *k
    int64_t block


cdef inline void take_loss_rows(fc_loss *part, int64_t row, int64_t block) noexcept nogil:
    part.x += row * part.columns
    part.targets += row * part.columns
    if part.weight != NULL:
        part.weight += row
    if part.dx != NULL:
        part.dx += row * part.columns
    part.rows = min(part.rows - row, block)


cdef void loss_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const LossArgs *args = <const LossArgs *>raw
    cdef fc_loss part = args.whole
    take_loss_rows(&part, chunk * args.block, args.block)
    args.partial[chunk] = args.k.loss(&part)


cdef void loss_backward_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const LossArgs *args = <const LossArgs *>raw
    cdef fc_loss part = args.whole
    take_loss_rows(&part, chunk * args.block, args.block)
    args.k.loss_backward(&part)


cdef loss_step(str name, size_t function, str kind, names, int64_t rows, int64_t columns, double factor,
               double smoothing):
    cdef LossArgs args
    cdef fc_loss *w = &args.whole
    cdef char *base = <char *>&args
    w.x, w.targets, w.weight, w.dloss, w.dx = NULL, NULL, NULL, NULL, NULL
    w.rows, w.columns, w.factor, w.smoothing, w.kind = rows, columns, factor, smoothing, LOSSES[kind]
    args.partial, args.k, args.block = NULL, table(), rows_per_chunk(columns)
    operands = (
        (<char *>&w.x - base, names.get("x"), False), (<char *>&w.targets - base, names.get("targets"), False),
        (<char *>&w.weight - base, names.get("weight"), False), (<char *>&w.dloss - base, names.get("dloss"), False),
        (<char *>&w.dx - base, names.get("dx"), True), (<char *>&args.partial - base, names.get("partial"), True))
    return Step(name, function, (<char *>&args)[:sizeof(args)], operands, loss_chunks(rows, columns),
                cost=rows * columns * (4e-4 if kind == "squared" else 3e-3))


def loss(str kind, str x, str targets, weight, str partial, int64_t rows, int64_t columns, double smoothing):
    """Return the step that leaves each chunk's sum of weight[row] * loss(x, target) in `partial`."""
    return loss_step(kind + "_loss", <size_t>&loss_chunk, kind,
                     dict(x=x, targets=targets, weight=weight, partial=partial), rows, columns, 0.0, smoothing)


def loss_backward(str kind, str x, str targets, weight, str dloss, str dx, int64_t rows, int64_t columns,
                  double factor, double smoothing):
    """Return the step dx = dloss * factor * weight[row] * loss'(x, target); dx may be x or targets."""
    return loss_step(kind + "_loss_backward", <size_t>&loss_backward_chunk, kind,
                     dict(x=x, targets=targets, weight=weight, dloss=dloss, dx=dx), rows, columns, factor, smoothing)


cdef struct MeanArgs:
    const double *partial
    float *loss
    const fc_kernels *k
    int64_t count
    double samples


cdef void mean_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const MeanArgs *args = <const MeanArgs *>raw
    args.k.loss_mean(args.partial, args.count, args.samples, args.loss)


def loss_mean(str partial, str loss, int64_t count, double samples):
    """Return the step loss = sum(partial) / samples, in order."""
    cdef MeanArgs args
    args.partial, args.loss, args.k, args.count, args.samples = NULL, NULL, table(), count, samples
    return Step("loss_mean", <size_t>&mean_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.partial - <char *>&args, partial, False),
                 (<char *>&args.loss - <char *>&args, loss, True)), 1, cost=0.1 + count * 1e-3)
