"""Steps of pointwise functions with NumPy's broadcasting.

The axes of y are collapsed: neighbours along which every operand goes on with one stride become one. What is left has
rows of `columns` elements, in which an operand steps by 1 or 0. A chunk is a block of rows, or a part of long ones.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t

from fastconv._kernels import runtime
from fastconv._kernels.move import collapse
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div

cdef extern from "fastconv.h" nogil:
    ctypedef enum fc_unary_kind:
        FC_EXP, FC_LOG, FC_SQRT, FC_SQUARE, FC_ABS, FC_NEGATIVE, FC_RECIPROCAL, FC_FLOOR, FC_CEIL, FC_ROUND, FC_SIGN
        FC_ERF, FC_SIN, FC_COS, FC_TAN, FC_ASIN, FC_ACOS, FC_ATAN, FC_SINH, FC_COSH, FC_ASINH, FC_ACOSH, FC_ATANH
    ctypedef enum fc_binary_kind:
        FC_ADD, FC_SUBTRACT, FC_MULTIPLY, FC_DIVIDE, FC_MAXIMUM, FC_MINIMUM, FC_POWER, FC_PRELU
    ctypedef struct fc_binary:
        const float *a
        const float *b
        float *y
        int64_t rows, columns, a_row, b_row, y_row, a_step, b_step
        fc_binary_kind kind
    ctypedef struct fc_kernels:
        void (*unary)(fc_unary_kind kind, const float *x, float *y, int64_t n) noexcept nogil
        void (*binary)(const fc_binary *) noexcept nogil
        void (*where)(const uint8_t *condition, int64_t step, const float *a, int64_t a_step, const float *b,
                      int64_t b_step, float *y, int64_t n) noexcept nogil

cdef enum:
    CHUNK = 16384       # elements: 64 KiB, about 10 us at memory speed
    SLOW_CHUNK = 2048   # where an element is a call of the C library
    MAX_RANK = 8        # axes left after collapsing
    OPERANDS = 3

UNARY = {"exp": FC_EXP, "log": FC_LOG, "sqrt": FC_SQRT, "square": FC_SQUARE, "abs": FC_ABS, "negative": FC_NEGATIVE,
         "reciprocal": FC_RECIPROCAL, "floor": FC_FLOOR, "ceil": FC_CEIL, "round": FC_ROUND, "sign": FC_SIGN,
         "erf": FC_ERF, "sin": FC_SIN, "cos": FC_COS, "tan": FC_TAN, "arcsin": FC_ASIN, "arccos": FC_ACOS,
         "arctan": FC_ATAN, "sinh": FC_SINH, "cosh": FC_COSH, "arcsinh": FC_ASINH, "arccosh": FC_ACOSH,
         "arctanh": FC_ATANH}
BINARY = {"add": FC_ADD, "subtract": FC_SUBTRACT, "multiply": FC_MULTIPLY, "divide": FC_DIVIDE, "maximum": FC_MAXIMUM,
          "minimum": FC_MINIMUM, "power": FC_POWER, "prelu": FC_PRELU}


cdef const fc_kernels *table():
    return <const fc_kernels *><size_t>runtime.table()


cdef struct UnaryArgs:
    const float *x
    float *y
    const fc_kernels *k
    int64_t size, chunk_size
    int32_t kind


cdef void unary_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const UnaryArgs *args = <const UnaryArgs *>raw
    cdef int64_t start = chunk * args.chunk_size
    args.k.unary(<fc_unary_kind>args.kind, args.x + start, args.y + start, min(args.size - start, args.chunk_size))


def unary(str kind, str x, str y, int64_t size):
    """Return the step y = kind(x), a function that `UNARY` lists; y may be x."""
    cdef UnaryArgs args
    args.x, args.y, args.k, args.size, args.kind = NULL, NULL, table(), size, UNARY[kind]
    cdef bint slow = args.kind >= FC_ERF
    args.chunk_size = SLOW_CHUNK if slow else CHUNK
    return Step(kind, <size_t>&unary_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                ceil_div(size, args.chunk_size), cost=size * (1e-2 if slow else 4e-4))


def broadcast_strides(shape, rank):
    """Return the strides along `rank` axes of a contiguous array of `shape`, 0 where it is repeated."""
    strides, stride = [], 1
    for size in reversed(shape):
        strides.append(stride if size != 1 else 0)
        stride *= size
    return ([*strides, *[0] * (rank - len(strides))])[::-1]


cdef struct BroadcastArgs:
    const char *operands[OPERANDS]          # of a condition one byte, else four bytes an element
    float *y
    const fc_kernels *k
    int64_t rank, rows, columns             # axes before the rows' elements; rows in all
    int64_t sizes[MAX_RANK]
    int64_t strides[OPERANDS][MAX_RANK]
    int64_t steps[OPERANDS]
    int64_t block_rows, block_columns, blocks
    int32_t kind


cdef int64_t locate(const BroadcastArgs *args, int64_t row, int64_t *offsets) noexcept nogil:
    """Write the offset of a row in each operand; returns how many rows follow at the last axis's stride, itself one."""
    cdef int64_t axis, operand, left = 1, position
    for operand in range(OPERANDS):
        offsets[operand] = 0
    for axis in range(args.rank - 1, -1, -1):
        position = row % args.sizes[axis]
        row //= args.sizes[axis]
        if axis == args.rank - 1:
            left = args.sizes[axis] - position
        for operand in range(OPERANDS):
            offsets[operand] += position * args.strides[operand][axis]
    return left


cdef void binary_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const BroadcastArgs *args = <const BroadcastArgs *>raw
    cdef int64_t row = chunk // args.blocks * args.block_rows, column = chunk % args.blocks * args.block_columns
    cdef int64_t end = min(row + args.block_rows, args.rows), last = args.rank - 1
    cdef int64_t offsets[OPERANDS]
    cdef fc_binary call
    call.columns, call.y_row = min(args.columns - column, args.block_columns), args.columns
    call.a_row, call.b_row = args.strides[0][last], args.strides[1][last]
    call.a_step, call.b_step, call.kind = args.steps[0], args.steps[1], <fc_binary_kind>args.kind
    while row < end:
        call.rows = min(locate(args, row, offsets), end - row)
        call.a = <const float *>args.operands[0] + offsets[0] + column * args.steps[0]
        call.b = <const float *>args.operands[1] + offsets[1] + column * args.steps[1]
        call.y = args.y + row * args.columns + column
        args.k.binary(&call)
        row += call.rows


cdef void where_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const BroadcastArgs *args = <const BroadcastArgs *>raw
    cdef int64_t row = chunk // args.blocks * args.block_rows, column = chunk % args.blocks * args.block_columns
    cdef int64_t end = min(row + args.block_rows, args.rows), n = min(args.columns - column, args.block_columns)
    cdef int64_t offsets[OPERANDS]
    while row < end:
        locate(args, row, offsets)
        args.k.where(<const uint8_t *>args.operands[2] + offsets[2] + column * args.steps[2], args.steps[2],
                     <const float *>args.operands[0] + offsets[0] + column * args.steps[0], args.steps[0],
                     <const float *>args.operands[1] + offsets[1] + column * args.steps[1], args.steps[1],
                     args.y + row * args.columns + column, n)
        row += 1


cdef _broadcast(str name, size_t function, int32_t kind, operands, str y, shapes, shape, int64_t chunk, double cost):
    """Return the step, or None where more axes are left than the loops have."""
    cdef BroadcastArgs args
    cdef int64_t i, axis
    sizes, strides = collapse(shape, [broadcast_strides(s, len(shape)) for s in shapes])
    if len(sizes) > MAX_RANK:
        return None
    missing = max(0, 2 - len(sizes))    # there are rows, and elements in a row
    sizes, strides = [1] * missing + sizes, [[0] * missing + given for given in strides]
    args.y, args.k, args.kind = NULL, table(), kind
    args.rank, args.rows = len(sizes) - 1, 1
    args.columns = sizes[args.rank]
    for axis in range(args.rank):
        args.sizes[axis] = sizes[axis]
        args.rows *= sizes[axis]
    for i in range(OPERANDS):
        given = strides[i] if i < len(strides) else [0] * len(sizes)
        args.operands[i], args.steps[i] = NULL, given[args.rank]
        for axis in range(args.rank):
            args.strides[i][axis] = given[axis]
    args.block_columns = max(1, min(args.columns, chunk))
    args.block_rows = max(1, chunk // args.block_columns)
    args.blocks = ceil_div(args.columns, args.block_columns)
    base = <char *>&args
    bound = [(<char *>&args.operands[i] - base, buffer, False) for i, buffer in enumerate(operands)]
    return Step(name, function, base[:sizeof(args)], (*bound, (<char *>&args.y - base, y, True)),
                ceil_div(args.rows, args.block_rows) * args.blocks,
                cost=args.rows * (args.columns * cost + 5e-3))


def binary(str kind, str a, str b, str y, a_shape, b_shape, y_shape):
    """Return the step y = kind(a, b), a function that `BINARY` lists, or None; y may be an operand of its shape."""
    cdef bint slow = kind == "power"
    return _broadcast(kind, <size_t>&binary_chunk, BINARY[kind], (a, b), y, (a_shape, b_shape), y_shape,
                      SLOW_CHUNK if slow else CHUNK, 2e-2 if slow else 5e-4)


def where(str condition, str a, str b, str y, condition_shape, a_shape, b_shape, y_shape):
    """Return the step y = a where the condition (of bytes) is true, else b, of four-byte elements, or None."""
    return _broadcast("where", <size_t>&where_chunk, 0, (a, b, condition), y, (a_shape, b_shape, condition_shape),
                      y_shape, CHUNK, 6e-4)
