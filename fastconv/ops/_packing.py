"""Plans that pack the right operand of a product into panels: of a constant once, else in every run."""

from .._kernels import gemm
from ..op import Plan


def pack(b, name, taps, *, groups, depth, columns, pairs=False, **strides):
    """Return the plan of the packed buffer `name` of a constant b; the arguments are those of `gemm.pack`."""
    step = gemm.pack(b, name, taps, groups=groups, depth=depth, columns=columns, pairs=pairs, **strides)
    return Plan(packed={name: gemm.packed_bytes(groups, len(taps), depth, columns, pairs)}, prologue=((step,),))


def matrix_strides(k, n, transpose):
    """Return how `gemm.pack` finds the elements of contiguous matrices (k, n), or (n, k) where transposed."""
    b_k, b_n = (1, k) if transpose else (n, 1)
    return {"b_group": k * n, "b_tap": 0, "b_k": b_k, "b_n": b_n}


def in_every_run(packing):
    """Return a plan that packs what is no constant."""
    return Plan(phases=packing.prologue, workspace=packing.packed)
