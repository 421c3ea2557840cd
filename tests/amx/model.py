"""The arithmetic of the tile unit, and of sums of float32 one product after another, in NumPy."""

import numpy as np


def flush(x):
    """Denormals are zero."""
    return np.where(abs(x) < np.finfo("f4").tiny, np.copysign(np.float32(0), x), x).astype("f4")


def fma(a, b, c):
    """a * b + c rounded once: the product of two bfloat16 is exact in float32's 24 bits, so only the sum can err twice.

    float64 holds any product; where the sum needs more than its 53 bits, rounding to odd makes the second rounding right.
    """
    a, b, c = (np.asarray(x, "f8") for x in np.broadcast_arrays(a, b, c))
    product = a * b
    total = product + c
    high = total - product
    lost = (product - (total - high)) + (c - high)
    bits = total.view("i8")
    inexact = np.isfinite(lost) & (lost != 0) & (bits & 1 == 0)
    to_odd = np.where((lost > 0) == (total > 0), bits | 1, bits - 1)
    total = np.where(inexact, to_odd, bits).view("f8")
    return flush(total.astype("f4"))


def model(a, b, c):
    """Return c + a b of pairs of bfloat16: a (M, K, 2), b (K, N, 2), as float32 values; c (M, N)."""
    a, b, c = flush(a), flush(b), flush(c)
    sums = np.zeros((2, *c.shape), "f4")
    for k in range(a.shape[1]):
        for half in range(2):
            sums[half] = fma(a[:, k, None, half], b[None, k, :, half], sums[half])
    return flush(c + flush(sums[0] + sums[1]))


def in_sequence(a, b):
    """Return a @ b in float32, multiplied and added one after another, with denormals flushed."""
    a, b = flush(a), flush(b)
    y = np.zeros((len(a), b.shape[1]), "f4")
    for k in range(a.shape[1]):
        y = fma(a[:, k : k + 1], b[k], y)
    return y
