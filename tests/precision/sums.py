"""What errors are measured by: exact sums, sums in float32 one product after another, sums over bfloat16 operands.

Every result that these tests look at is a sum of products, a matrix product of rows of one operand by columns of another:
`a` (groups, rows, K) by `b` (groups, K, columns). `problems.py` writes convolutions and their gradients so.
"""

import numpy as np

TINY = np.finfo(np.float32).tiny  # 2**-126


def flushed(values):
    """Return float32 values with zeros in the place of denormals, as every kernel reads them (DAZ)."""
    return np.where(np.abs(values) < TINY, np.float32(0), values)


def exact(a, b):
    """Return the product in float64."""
    with np.errstate(all="ignore"):
        return np.matmul(flushed(a).astype("f8"), flushed(b).astype("f8"))


def magnitude(a, b):
    """Return sum |a| |b|, what an error is compared with where the terms of a sum cancel."""
    return exact(np.abs(a), np.abs(b))


def in_sequence(a, b, fused=True):
    """Return the product summed in float32, one term after another, denormal sums flushed (FTZ).

    A product of two floats is exact in float64, so each step rounds once, as a fused multiply-add does (but for double
    roundings, one in 2**29). Not `fused`, the product is rounded, too: the arithmetic of a CPU without the instruction.
    """
    a, b = flushed(a).astype("f8"), flushed(b).astype("f8")
    # Sums of products above 2**-78, of 48 bits each, are zero or no less than 2**-126.
    may_be_denormal = _smallest(a) * _smallest(b) < 2.0**-78
    total = np.zeros((*a.shape[:2], b.shape[2]), np.float32)
    for k in range(a.shape[2]):
        term = a[:, :, k, None] * b[:, k, None, :]
        total = (total + (term if fused else term.astype("f4"))).astype("f4")
        if may_be_denormal:
            total = flushed(total)
    return total


def _smallest(values):
    return np.abs(values[values != 0]).min(initial=1.0)


def to_bfloat16(values):
    """Return values rounded to the 8 bits of bfloat16, ties to even, as float32; what would become infinite is cut."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)
    cut = np.where(np.isfinite(values), (bits & 0xFFFF0000).view(np.float32), values)
    return np.where(np.isfinite(rounded), rounded, cut)


class Error:
    """How far a result is from the exact one.

    Attributes
    ----------
    norm : float
        ||y - y64|| / ||y64||
    rms, worst : float
        Root mean square, and maximum, of (y - y64) / sum |a| |b|.
    """

    def __init__(self, y, y64, size, length):
        # Denormals are flushed on both sides: each of K products may lose that much.
        distance = np.abs(y.astype("f8") - y64)
        distance = np.where(distance <= length * float(TINY), 0.0, distance)
        share = np.divide(distance, size, out=np.where(distance > 0, np.inf, 0.0), where=size > 0)
        self.norm = np.linalg.norm(distance) / max(np.linalg.norm(y64), 1e-300)
        self.rms = float(np.sqrt(np.mean(share**2)))
        self.worst = float(share.max())

    def __repr__(self):
        return f"norm {self.norm:.3g}, rms {self.rms:.3g}, worst {self.worst:.3g}"
