"""What this machine can do at best, for benchmarks to compare with."""
import time

from libc.stdint cimport int64_t

from fastconv._kernels import runtime

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        double (*fma_peak)(int64_t rounds, int64_t *operations) noexcept nogil


def fma_peak_gflops(double seconds=0.2):
    """Return the float32 GFLOP/s of one core in multiply-adds that stay in registers, in the instruction set in use.

    The best of bursts of about a millisecond, so that short disturbances do not count.
    """
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    cdef int64_t rounds = 200_000, operations
    cdef double result, best = 0
    end = time.perf_counter() + seconds
    while True:
        begin = time.perf_counter()
        with nogil:
            result = k.fma_peak(rounds, &operations)
        now = time.perf_counter()
        if result != 2:
            raise RuntimeError(f"the multiply-adds of {runtime.isa()} gave {result}, not 2")
        best = max(best, 1e-9 * operations / (now - begin))
        if now > end:
            return best
