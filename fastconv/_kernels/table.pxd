# The part of csrc/fastconv.h that is the same for every kernel family. A family declares the functions it calls itself.
from libc.stdint cimport int64_t

cdef extern from "fastconv.h" nogil:
    ctypedef enum fc_activation:
        FC_ACT_NONE
        FC_ACT_RELU
        FC_ACT_LEAKY_RELU
        FC_ACT_SIGMOID
        FC_ACT_TANH

ctypedef void (*chunk_fn)(const void *args, int64_t chunk, char *scratch) noexcept nogil
