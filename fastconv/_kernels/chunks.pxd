# Sizes, as every family of kernels counts them.
from libc.stdint cimport int64_t


cdef inline int64_t align(int64_t nbytes) noexcept nogil:
    """Return the size of a buffer in scratch memory: whole cache lines."""
    return (nbytes + 63) & ~<int64_t>63


cdef inline int64_t ceil_div(int64_t a, int64_t b) noexcept nogil:
    """Return a / b, rounded up. `-(-a // b)` does so in Python only: on C integers `//` truncates (cdivision)."""
    return (a + b - 1) // b
