"""What this machine can do at best, measured in the run that is compared with it.

Every question measures again, briefly, and the best so far is the answer: what disturbs a measurement only slows it.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fastconv._kernels import measure, runtime

MEGABYTE = 1 << 20
BURST = 8 * MEGABYTE  # bytes that one timing copies at least
_best = {}


def _improve(key, rate):
    _best[key] = max(rate, _best.get(key, 0.0))
    return _best[key]


def fma_peak(threads):
    """Return the GFLOP/s of multiply-adds in registers: one core's, times `threads`."""
    return threads * _improve("fma", measure.fma_peak_gflops(0.02))


def _copy_rate(nbytes):
    """Return GB/s of the best of several copies that touch `nbytes`: one half is read, the other written."""
    source, target = (runtime.empty((nbytes // 8,)) for _ in range(2))
    source.fill(1)
    target.fill(0)
    repeats, best = max(BURST // nbytes, 1), float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(repeats):
            np.copyto(target, source)
        best = min(best, (time.perf_counter() - begin) / repeats)
    return nbytes / best / 1e9


def copy_bandwidth(nbytes, threads):
    """Return the GB/s, read and written, at which `threads` threads copy arrays that fill as much cache as `nbytes` do.

    Sizes are rounded up to a power of two from 64 kB to 32 MB: a smaller copy is all overhead, a larger one all memory.
    """
    size = min(max(1 << (nbytes - 1).bit_length(), MEGABYTE // 16), 32 * MEGABYTE)
    with ThreadPoolExecutor(threads) as pool:
        return _improve((size, threads), sum(pool.map(_copy_rate, [size // threads] * threads)))


def describe(threads):
    """Return one line for the head of a report."""
    return (
        f"{runtime.isa()}, threads: {threads}; {fma_peak(threads):.0f} GFLOP/s in registers; copies at "
        f"{copy_bandwidth(MEGABYTE, threads):.0f} GB/s within 1 MB, "
        f"{copy_bandwidth(32 * MEGABYTE, threads):.0f} GB/s within 32 MB"
    )
