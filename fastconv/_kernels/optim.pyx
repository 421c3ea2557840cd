"""Steps of the optimizers: one pass over the elements of a variable and its slots."""
from libc.stdint cimport int64_t

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

from fastconv._kernels.chunks cimport ceil_div

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_update:
        const float *w
        const float *g
        const float *slots[3]
        float *new_w
        float *new_slots[3]
        const double *hyper
        int64_t start, end
        int flag
    ctypedef struct fc_kernels:
        void (*sgd)(const fc_update *) noexcept nogil
        void (*adam)(const fc_update *) noexcept nogil
        void (*rmsprop)(const fc_update *) noexcept nogil

cdef enum:
    CHUNK = 8192   # elements


ctypedef void (*update_fn)(const fc_update *) noexcept nogil


cdef struct UpdateArgs:
    fc_update whole
    update_fn run


cdef void update_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const UpdateArgs *args = <const UpdateArgs *>raw
    cdef fc_update part = args.whole
    part.start = chunk * CHUNK
    part.end = min(part.end, part.start + CHUNK)
    args.run(&part)


def update(str rule, slots, int64_t size, bint flag=False):
    """Return the step that updates "w" from "g" and "hyper" into "new_w", and each slot s into "new_" + s.

    Parameters
    ----------
    rule : {"sgd", "adam", "rmsprop"}
    slots : sequence of (str or None)
        Up to three names, in the order of csrc/kernels/optim.h; None where a slot is not used.
    flag : bool
        Nesterov's variant of "sgd".
    """
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    cdef UpdateArgs args
    cdef fc_update *whole = &args.whole
    cdef char *base = <char *>&args
    cdef int i
    whole.w, whole.g, whole.new_w, whole.hyper = NULL, NULL, NULL, NULL
    whole.start, whole.end, whole.flag = 0, size, flag
    args.run = k.sgd if rule == "sgd" else k.adam if rule == "adam" else k.rmsprop
    operands = [(<char *>&whole.w - base, "w", False), (<char *>&whole.g - base, "g", False),
                (<char *>&whole.hyper - base, "hyper", False), (<char *>&whole.new_w - base, "new_w", True)]
    for i in range(3):
        whole.slots[i], whole.new_slots[i] = NULL, NULL
        if i < len(slots) and slots[i]:
            operands.append((<char *>&whole.slots[i] - base, slots[i], False))
            operands.append((<char *>&whole.new_slots[i] - base, "new_" + slots[i], True))
    return Step(rule + "_update", <size_t>&update_chunk, (<char *>&args)[:sizeof(args)], operands,
                ceil_div(size, CHUNK), cost=size * 2e-4 * (len(operands) - 1))
