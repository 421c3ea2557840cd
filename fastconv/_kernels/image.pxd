# What the walks over images share: sizes of scratch memory.
from libc.stdint cimport int64_t


cdef inline int64_t align(int64_t nbytes) noexcept nogil:
    return (nbytes + 63) & ~<int64_t>63
