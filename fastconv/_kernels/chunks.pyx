"""How steps are cut into chunks, what their arithmetic costs, and how the sums of their parts come together."""
from libc.stdint cimport int64_t

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step
from fastconv.op import Plan

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t vector_length
        void (*sum_parts)(const float *parts, int64_t count, int64_t stride, int64_t size, float *out) noexcept nogil

# Arithmetic of a chunk, about 40 microseconds on AVX2. Where the whole is little it is less, so that there are about so
# many chunks for several threads to share, down to where claiming a chunk and filling its tables would show.
CHUNK_FLOPS = 4_000_000
LEAST_CHUNK_FLOPS = 200_000
LEAST_CHUNKS = 8


cdef const fc_kernels *kernels() except NULL:
    return <const fc_kernels *><size_t>runtime.table()


def microseconds(flops):
    """Estimate the time of so much arithmetic in the tiles of the active instruction set."""
    return flops / (kernels().vector_length * 1e4)


def split(total, target, multiple=1):
    """Return (parts, size): `total` in about equal parts of at most about `target`, the size a multiple."""
    parts = max(1, ceil_div(total, target))
    size = ceil_div(max(total, 1), parts)
    size = ceil_div(size, multiple) * multiple
    return max(1, ceil_div(total, size)), size


def int64_bytes(*sequences):
    """Return integers as they lie in memory behind the arguments of a chunk."""
    return b"".join(int(number).to_bytes(8, "little", signed=True) for numbers in sequences for number in numbers)


def chunk_flops(total):
    """Return the arithmetic of a chunk, of so much in all."""
    return int(min(max(total // LEAST_CHUNKS, LEAST_CHUNK_FLOPS), CHUNK_FLOPS))


cdef struct SumArgs:
    const float *parts
    float *out
    int64_t count, stride, size
    const fc_kernels *k


cdef void sum_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const SumArgs *args = <const SumArgs *>raw
    cdef int64_t start = chunk * 4096
    args.k.sum_parts(args.parts + start, args.count, args.stride, min(args.size - start, 4096), args.out + start)


def sum_parts(str parts, str out, int64_t count, int64_t size):
    """Return the step that adds `count` partial results of `size` floats, in order."""
    cdef SumArgs args
    if count == 0:
        return runtime.zero(out, 4 * size)
    args.parts, args.out, args.count, args.stride, args.size, args.k = NULL, NULL, count, size, size, kernels()
    return Step("sum_parts", <size_t>&sum_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.parts - <char *>&args, parts, False), (<char *>&args.out - <char *>&args, out, True)),
                ceil_div(size, 4096), cost=count * size / 4e3)


def partial(name, parts):
    """Return the buffer into which a step writes its parts of a sum: the result itself, where there is one part."""
    return f"{name}_parts" if parts > 1 and name is not None else name


def in_parts(step, parts, sizes):
    """Return the plan of a step that writes so many `partial` sums, and of their sums: buffers of {name: floats}."""
    if parts == 1:
        return Plan(phases=((step,),))
    sums = tuple(sum_parts(partial(name, parts), name, parts, size) for name, size in sizes.items())
    return Plan(phases=((step,), sums), workspace={partial(name, parts): 4 * parts * n for name, n in sizes.items()})
