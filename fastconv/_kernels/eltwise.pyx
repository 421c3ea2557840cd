"""Steps over flat arrays: activations, sums of arrays, copies of rows.

A chunk is a fixed number of elements; it only says who computes, an element's value does not depend on it.
"""
from libc.stdint cimport int64_t

from fastconv._kernels.table cimport (FC_ACT_LEAKY_RELU, FC_ACT_NONE, FC_ACT_RELU, FC_ACT_RELU6, FC_ACT_SIGMOID,
                                      FC_ACT_TANH, fc_activation)

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        void (*activate)(const float *x, float *y, int64_t n, fc_activation activation, float alpha) noexcept nogil
        void (*activate_backward)(const float *y, const float *dy, float *dx, int64_t n, fc_activation activation,
                                  float alpha) noexcept nogil
        void (*add_n)(const float *const *x, int64_t count, float *y, int64_t start, int64_t n) noexcept nogil
        void (*copy_rows)(const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows,
                          int64_t n) noexcept nogil

cdef enum:
    CHUNK = 16384       # elements: 64 KiB, about 10 us at memory speed
    SLOW_CHUNK = 4096   # where an element takes an exponential

# For every family that fuses one.
ACTIVATIONS = {"relu": FC_ACT_RELU, "leaky_relu": FC_ACT_LEAKY_RELU, "sigmoid": FC_ACT_SIGMOID, "tanh": FC_ACT_TANH,
               "relu6": FC_ACT_RELU6, None: FC_ACT_NONE}


cdef const fc_kernels *table():
    return <const fc_kernels *><size_t>runtime.table()


cdef struct ActivateArgs:
    const float *x
    const float *dy
    float *y
    const fc_kernels *k
    int64_t size, chunk_size
    fc_activation activation
    float alpha


cdef void activate_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ActivateArgs *args = <const ActivateArgs *>raw
    cdef int64_t start = chunk * args.chunk_size
    args.k.activate(args.x + start, args.y + start, min(args.size - start, args.chunk_size), args.activation,
                    args.alpha)


cdef void activate_backward_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ActivateArgs *args = <const ActivateArgs *>raw
    cdef int64_t start = chunk * args.chunk_size
    args.k.activate_backward(args.x + start, args.dy + start, args.y + start,
                             min(args.size - start, args.chunk_size), args.activation, args.alpha)


def activate(activation, double alpha, str x, str y, int64_t size):
    """Return the step y = activation(x); y may be x."""
    cdef bint slow = activation in ("sigmoid", "tanh")
    cdef ActivateArgs args
    args.x, args.dy, args.y, args.k = NULL, NULL, NULL, table()
    args.size, args.chunk_size = size, SLOW_CHUNK if slow else CHUNK
    args.activation, args.alpha = ACTIVATIONS[activation], alpha
    return Step(activation, <size_t>&activate_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                (size + args.chunk_size - 1) // args.chunk_size, cost=size * (1.2e-3 if slow else 4e-4))


def activate_backward(activation, double alpha, str y, str dy, str dx, int64_t size):
    """Return the step dx = dy * activation'(x), the derivative taken from y; dx may be y or dy."""
    cdef ActivateArgs args
    args.x, args.dy, args.y, args.k = NULL, NULL, NULL, table()
    args.size, args.chunk_size = size, CHUNK
    args.activation, args.alpha = ACTIVATIONS[activation], alpha
    return Step(activation + "_backward", <size_t>&activate_backward_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, y, False), (<char *>&args.dy - <char *>&args, dy, False),
                 (<char *>&args.y - <char *>&args, dx, True)),
                (size + CHUNK - 1) // CHUNK, cost=size * 5e-4)


cdef struct AddArgs:
    float *y
    const fc_kernels *k
    int64_t size, count
    # `count` pointers follow


cdef void add_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const AddArgs *args = <const AddArgs *>raw
    cdef int64_t start = chunk * CHUNK
    args.k.add_n(<const float *const *>(args + 1), args.count, args.y, start, min(args.size - start, CHUNK))


def add_n(xs, str y, int64_t size):
    """Return the step y = xs[0] + xs[1] + ..., from left to right; y may be any of them."""
    cdef AddArgs args
    cdef int64_t count = len(xs)
    args.y, args.k, args.size, args.count = NULL, table(), size, count
    operands = [(sizeof(AddArgs) + sizeof(void *) * i, x, False) for i, x in enumerate(xs)]
    return Step("add_n", <size_t>&add_chunk, (<char *>&args)[:sizeof(args)] + bytes(sizeof(void *) * count),
                (*operands, (<char *>&args.y - <char *>&args, y, True)), (size + CHUNK - 1) // CHUNK,
                cost=size * (count + 1) * 2e-4)


cdef struct RowsArgs:
    const float *x
    float *y
    const fc_kernels *k
    int64_t x_start, x_row, y_start, y_row
    int64_t rows, columns
    int64_t block_rows, block_columns, blocks   # a chunk; chunks beside each other in a row


cdef void copy_rows_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const RowsArgs *args = <const RowsArgs *>raw
    cdef int64_t row = chunk // args.blocks * args.block_rows, column = chunk % args.blocks * args.block_columns
    args.k.copy_rows(args.x + args.x_start + row * args.x_row + column, args.x_row,
                     args.y + args.y_start + row * args.y_row + column, args.y_row,
                     min(args.rows - row, args.block_rows), min(args.columns - column, args.block_columns))


def copy_rows(str x, int64_t x_start, int64_t x_row, str y, int64_t y_start, int64_t y_row, int64_t rows,
              int64_t columns):
    """Return the step that copies a matrix of four-byte elements out of x into y.

    Parameters
    ----------
    x_start, y_start : int
        Where the matrix starts, in elements.
    x_row, y_row : int
        From one row to the next, in elements.
    """
    cdef RowsArgs args
    args.x, args.y, args.k = NULL, NULL, table()
    args.x_start, args.x_row, args.y_start, args.y_row = x_start, x_row, y_start, y_row
    args.rows, args.columns = rows, columns
    args.block_columns = max(1, min(columns, <int64_t>CHUNK))
    args.block_rows = CHUNK // args.block_columns
    args.blocks = (columns + args.block_columns - 1) // args.block_columns
    return Step("copy_rows", <size_t>&copy_rows_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                (rows + args.block_rows - 1) // args.block_rows * args.blocks,
                cost=rows * columns * 4e-4 + rows * 5e-3)
