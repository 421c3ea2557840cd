"""Steps that move elements from one arrangement to another: copies between strided arrays, fills, conversions.

The axes are put in the order of y's strides and collapsed. Two of them make matrices: the last one, along which y is
contiguous if it can be, and either the one along which x is, or the one before. A chunk is a block of such a matrix.
"""
from itertools import product
from math import prod

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step
from fastconv.op import STORED_SIZE

from fastconv._kernels.chunks cimport ceil_div

cdef extern from "fastconv.h" nogil:
    ctypedef enum fc_type:
        FC_FLOAT32, FC_INT32, FC_INT64, FC_UINT8, FC_BOOL
    ctypedef struct fc_move:
        const void *x
        void *y
        int64_t rows, columns, x_row, x_column, y_row, y_column, item
    ctypedef struct fc_kernels:
        void (*move)(const fc_move *) noexcept nogil
        void (*cast)(fc_type source, fc_type target, const void *x, void *y, int64_t n) noexcept nogil

cdef enum:
    CHUNK = 16384       # elements
    BLOCK = 64          # rows of a transposition: whole cache lines of x
    MAX_RANK = 8        # axes around the matrices

TYPES = {"float32": FC_FLOAT32, "int32": FC_INT32, "int64": FC_INT64, "uint8": FC_UINT8, "bool": FC_BOOL}


cdef const fc_kernels *table():
    return <const fc_kernels *><size_t>runtime.table()


def strides_of(shape):
    """Return the strides of a contiguous array of `shape`, in elements."""
    return tuple(prod(shape[axis + 1:]) for axis in range(len(shape)))


def collapse(shape, strides):
    """Return (shape, strides) with fewer axes: without those of size 1, and with neighbours merged where all allow it.

    Parameters
    ----------
    shape : sequence of int
    strides : sequence of sequences of int
        Of each operand.
    """
    axes = []   # of each: (size, stride of every operand)
    for size, *steps in zip(shape, *strides):
        if size == 1:
            continue
        if axes and all(before == size * step for before, step in zip(axes[len(axes) - 1][1], steps)):
            size *= axes.pop()[0]
        axes.append((size, steps))
    return [size for size, _ in axes], [[steps[i] for _, steps in axes] for i in range(len(strides))]


cdef struct MoveArgs:
    const char *x               # NULL: `value` is what y gets
    char *y
    const fc_kernels *k
    int64_t x_start, y_start
    int64_t rank
    int64_t sizes[MAX_RANK]
    int64_t x_strides[MAX_RANK]
    int64_t y_strides[MAX_RANK]
    fc_move matrix
    int64_t block_rows, block_columns, row_blocks, column_blocks
    int64_t value


cdef void move_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const MoveArgs *args = <const MoveArgs *>raw
    cdef fc_move block = args.matrix
    cdef int64_t column = chunk % args.column_blocks * args.block_columns, axis, x = args.x_start, y = args.y_start
    chunk = chunk // args.column_blocks
    cdef int64_t row = chunk % args.row_blocks * args.block_rows
    chunk = chunk // args.row_blocks
    for axis in range(args.rank - 1, -1, -1):
        x += chunk % args.sizes[axis] * args.x_strides[axis]
        y += chunk % args.sizes[axis] * args.y_strides[axis]
        chunk = chunk // args.sizes[axis]
    block.rows = min(block.rows - row, args.block_rows)
    block.columns = min(block.columns - column, args.block_columns)
    block.x = &args.value if args.x == NULL else <const void *>(
        args.x + (x + row * block.x_row + column * block.x_column) * block.item)
    block.y = args.y + (y + row * block.y_row + column * block.y_column) * block.item
    args.k.move(&block)


def copy(str x, str y, shape, x_strides, y_strides, int64_t x_start=0, int64_t y_start=0, str dtype="float32",
         value=None):
    """Return the step y[y_start + i . y_strides] = x[x_start + i . x_strides] for every index i of `shape`, or None.

    Parameters
    ----------
    x, y : str
        Buffers; x may be "", then every element gets `value`.
    shape : sequence of int
        Of what is moved; not empty.
    x_strides, y_strides : sequence of int
        In elements; those of x may be 0 or negative.
    value : array, optional
        One element.

    None means that more axes are left than the loops have.
    """
    cdef MoveArgs args
    cdef int64_t i, item = STORED_SIZE[dtype], outer = 1, last, together = 1
    order = sorted(range(len(shape)), key=lambda axis: -y_strides[axis])
    sizes, (xs, ys) = collapse([shape[i] for i in order], [[s[i] for i in order] for s in (x_strides, y_strides)])
    while len(sizes) < 2:
        sizes, xs, ys = [1, *sizes], [0, *xs], [0, *ys]
    if len(sizes) - 2 > MAX_RANK:
        return None
    last = len(sizes) - 1
    columns = sizes.pop(last), xs.pop(last), ys.pop(last)
    closest = last - 1
    if abs(columns[1]) > 1 and 1 in xs:
        closest = xs.index(1)
    rows = sizes.pop(closest), xs.pop(closest), ys.pop(closest)
    args.x, args.y, args.k, args.x_start, args.y_start = NULL, NULL, table(), x_start, y_start
    args.rank, args.value = len(sizes), 0
    for i in range(args.rank):
        args.sizes[i], args.x_strides[i], args.y_strides[i] = sizes[i], xs[i], ys[i]
        outer *= args.sizes[i]
    args.matrix.x, args.matrix.y, args.matrix.item = NULL, NULL, item
    args.matrix.rows, args.matrix.x_row, args.matrix.y_row = rows
    args.matrix.columns, args.matrix.x_column, args.matrix.y_column = columns
    if not x:
        content = value.tobytes()
        memcpy(&args.value, <const char *>content, item)
    # Of a transposition, whole cache lines of x; few channels stay together.
    if args.matrix.x_row == 1 and args.matrix.x_column != 1:
        together = max(1, min(args.matrix.rows, <int64_t>BLOCK))
    args.block_columns = max(1, min(args.matrix.columns, CHUNK // together))
    args.block_rows = max(1, min(args.matrix.rows, CHUNK // args.block_columns))
    args.row_blocks = ceil_div(args.matrix.rows, args.block_rows)
    args.column_blocks = ceil_div(args.matrix.columns, args.block_columns)
    count = prod(shape)
    return Step("move", <size_t>&move_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                outer * args.row_blocks * args.column_blocks, cost=count * 4e-4 + count // args.block_columns * 4e-3)


def fill(str y, shape, y_strides, int64_t y_start, value, str dtype):
    """Return the step y[y_start + i . y_strides] = value, an array of one element, or None; see `copy`."""
    return copy("", y, shape, (0,) * len(shape), y_strides, 0, y_start, dtype, value)


def runs(indices):
    """Cut a list of numbers into [(where it starts, first number, step, length)] of arithmetic progressions."""
    found, at = [], 0
    while at < len(indices):
        end, step = at + 1, 0
        if end < len(indices):
            step = indices[end] - indices[at]
            while end < len(indices) and indices[end] - indices[end - 1] == step:
                end += 1
        found.append((at, indices[at], step, end - at))
        at = end
    return found


def take(str x, str y, x_shape, indices, dtype, int64_t limit):
    """Return the steps y[i, j, ...] = x[indices[0][i], indices[1][j], ...], or None where they were more than `limit`.

    Parameters
    ----------
    indices : sequence of sequences of int
        One for each axis of x, none of them empty.
    """
    pieces = [runs(list(index)) for index in indices]
    if prod(map(len, pieces)) > limit:
        return None
    x_strides, y_strides = strides_of(x_shape), strides_of([len(index) for index in indices])
    steps = [
        copy(x, y, [piece[3] for piece in part], [piece[2] * s for piece, s in zip(part, x_strides)], y_strides,
             sum(piece[1] * s for piece, s in zip(part, x_strides)),
             sum(piece[0] * s for piece, s in zip(part, y_strides)), dtype)
        for part in product(*pieces)
    ]
    return None if None in steps else tuple(steps)


cdef struct CastArgs:
    const char *x
    char *y
    const fc_kernels *k
    int64_t size, source_item, target_item
    int32_t source, target


cdef void cast_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const CastArgs *args = <const CastArgs *>raw
    cdef int64_t start = chunk * CHUNK
    args.k.cast(<fc_type>args.source, <fc_type>args.target, args.x + start * args.source_item,
                args.y + start * args.target_item, min(args.size - start, <int64_t>CHUNK))


def cast(str x, str y, int64_t size, str source, str target):
    """Return the step that converts `size` elements of dtype `source` to dtype `target`, both in `TYPES`."""
    cdef CastArgs args
    args.x, args.y, args.k, args.size = NULL, NULL, table(), size
    args.source, args.target = TYPES[source], TYPES[target]
    args.source_item, args.target_item = STORED_SIZE[source], STORED_SIZE[target]
    return Step("cast", <size_t>&cast_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                ceil_div(size, CHUNK), cost=size * 5e-4)
