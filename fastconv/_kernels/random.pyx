"""Steps that draw random numbers by counter: the bits depend on the state and the element's index alone."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        void (*dropout)(const float *x, float *y, uint8_t *mask, int64_t n, uint64_t key, uint64_t block,
                        uint32_t threshold, float scale) noexcept nogil
        void (*dropout_backward)(const float *dy, const uint8_t *mask, float *dx, int64_t n, float scale) noexcept nogil
        void (*normal)(float *y, int64_t n, uint64_t key, uint64_t block) noexcept nogil

cdef enum:
    CHUNK = 16384   # elements: whole groups of 64 words, and whole bytes of the mask
    WORDS = 4       # of a block


cdef const fc_kernels *table():
    return <const fc_kernels *><size_t>runtime.table()


cdef struct DropoutArgs:
    const float *x
    const uint64_t *state
    float *y
    uint8_t *mask
    const fc_kernels *k
    int64_t size
    uint32_t threshold
    float scale


cdef void dropout_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const DropoutArgs *args = <const DropoutArgs *>raw
    cdef int64_t start = chunk * CHUNK
    args.k.dropout(args.x + start, args.y + start, args.mask + start // 8, min(args.size - start, CHUNK), args.state[0],
                   args.state[1] // WORDS + <uint64_t>(start // WORDS), args.threshold, args.scale)


cdef void dropout_backward_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const DropoutArgs *args = <const DropoutArgs *>raw
    cdef int64_t start = chunk * CHUNK
    args.k.dropout_backward(args.x + start, args.mask + start // 8, args.y + start, min(args.size - start, CHUNK),
                            args.scale)


cdef dropout_step(str name, size_t function, str x, state, str y, str mask, bint mask_written, int64_t size,
                  uint32_t threshold, double scale, double cost):
    cdef DropoutArgs args
    cdef char *base = <char *>&args
    args.x, args.state, args.y, args.mask, args.k = NULL, NULL, NULL, NULL, table()
    args.size, args.threshold, args.scale = size, threshold, scale
    return Step(name, function, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - base, x, False), (<char *>&args.state - base, state, False),
                 (<char *>&args.y - base, y, True), (<char *>&args.mask - base, mask, mask_written)),
                ceil_div(size, CHUNK), cost=size * cost)


def dropout(str x, str state, str y, str mask, int64_t size, uint32_t threshold, double scale):
    """Return the step bit of mask = word >= threshold, y = bit ? x * scale : 0; y may be x."""
    return dropout_step("dropout", <size_t>&dropout_chunk, x, state, y, mask, True, size, threshold, scale, 1.4e-3)


def dropout_backward(str dy, str mask, str dx, int64_t size, double scale):
    """Return the step dx = bit of mask ? dy * scale : 0; dx may be dy."""
    return dropout_step("dropout_backward", <size_t>&dropout_backward_chunk, dy, None, dx, mask, False, size, 0,
                        scale, 5e-4)


cdef struct NormalArgs:
    const uint64_t *state
    float *y
    const fc_kernels *k
    int64_t size


cdef void normal_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const NormalArgs *args = <const NormalArgs *>raw
    cdef int64_t start = chunk * CHUNK
    args.k.normal(args.y + start, min(args.size - start, CHUNK), args.state[0],
                  args.state[1] // WORDS + <uint64_t>(start // WORDS))


def normal(str state, str y, int64_t size):
    """Return the step y = normal numbers."""
    cdef NormalArgs args
    args.state, args.y, args.k, args.size = NULL, NULL, table(), size
    return Step("normal", <size_t>&normal_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.state - <char *>&args, state, False), (<char *>&args.y - <char *>&args, y, True)),
                (size + CHUNK - 1) // CHUNK, cost=size * 2.5e-3)


cdef struct AdvanceArgs:
    const uint64_t *state
    uint64_t *new_state
    uint64_t words


cdef void advance_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const AdvanceArgs *args = <const AdvanceArgs *>raw
    args.new_state[0] = args.state[0]
    args.new_state[1] = args.state[1] + args.words


def advance(str state, str new_state, uint64_t words):
    """Return the step new_state = (key, counter + words); new_state may be state."""
    cdef AdvanceArgs args
    args.state, args.new_state, args.words = NULL, NULL, words
    return Step("advance", <size_t>&advance_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.state - <char *>&args, state, False),
                 (<char *>&args.new_state - <char *>&args, new_state, True)), 1, cost=0.05)
