"""What a layer takes on the tile unit (AMX) and on AVX-512: an estimate from its shape, by which the faster one is chosen.

Nanoseconds of one core for a row: an output pixel, a row of a matrix product. Three things are counted: multiplications;
what is done once for each channel that is read or written; and bytes, of which the slower of arithmetic and memory counts.
Neither time nor the batch has a say: the same shape runs by the same algorithm everywhere.

Figures are of a core with AVX-512 at 246 GFLOP/s and AMX at 3,800 (bfloat16), 2 MiB of second-level cache. Each is one of

- measured on the unit: by a trial of csrc/kernels/amx.h's scheme on such a machine, not by these kernels;
- measured on AVX-512: with these kernels on Zen 5 (253 GFLOP/s), taken over by the share of the peak;
- assumed: nobody measured it.

tests/amx/test_cost.py holds them against the trial; docs/amx.md says how to measure them anew, docs/adr/0008-amx.md why.
"""

from typing import NamedTuple

from .._kernels import bfloat16

# ---- the tile unit, by the number of terms; figures for six, three and one products of bfloat16

# GFLOP/s of whole tiles: measured on the unit, fitted to the layers of 32 to 128 channels. Six products can have 633 at most.
RATE = {3: 580.0, 2: 1010.0, 1: 1660.0}
# The same where the terms of the weights do not stay in the second-level cache beside the rest: measured on the unit.
RATE_LARGE = {3: 400.0, 2: 750.0, 1: 1660.0}
LARGE = 1 << 20
# For each element of x: taken apart in a walk over rows (measured on the unit for three terms, the others assumed in
# proportion); and in a phase of its own, with tiles copied at the ends of rows (measured on the unit).
SPLIT = {3: 0.27, 2: 0.18, 1: 0.09}
SPLIT_PIXELS = {3: 0.88, 2: 0.63, 1: 0.13}
# An element transposed while it is taken apart, for the gradient of the kernel: assumed.
SPLIT_TRANSPOSED = {3: 0.54, 2: 0.36, 1: 0.18}
# For each element of y: measured on the unit.
STORE = 0.06
# Rows, columns and depth of what the unit multiplies. Rows may be fewer: it takes a cycle for each.
TILE_ROWS, BLOCK = 16, 32

# ---- AVX-512: measured on AVX-512

# GFLOP/s for each output that is wanted, transforms aside; nanoseconds for each element of x and y.
VECTORS = {
    "direct": (228.0, 0.0, 0.06),
    "shallow": (228.0, 0.0, 0.06),
    "winograd_2x2": (532.0, 0.24, 0.24),
    "winograd_2x4": (654.0, 0.28, 0.28),
    "winograd_4x4": (943.0, 0.26, 0.26),
}
# Transformed weights, over plain ones.
LARGER_WEIGHTS = {"winograd_2x2": 16 / 9, "winograd_2x4": 24 / 9, "winograd_4x4": 36 / 9}
# Gradients of the kernel: the share of the speed of the forward pass. Assumed.
GRADIENT_SHARE = 0.85
# Products of bfloat16 pairs in the place of float32's: measured on AVX-512 (Zen 5); assumed where there is AMX.
PAIRS = 2.0
# Columns that a vector holds; fewer cost as much.
VECTOR = 16

# ---- memory: measured on the machine with the unit, one core copying, what is read and written counted

STREAM = 26.0  # bytes in a nanosecond
CACHE = 2 << 20
# How many rows share the weights has to do with the batch, which has no say: so many images are taken. Assumed; a dense
# layer ends a network and sees few rows, a matrix product many.
IMAGES, DENSE_ROWS, MATRIX_ROWS = 4, 16, 128

# Estimates are off by 10 to 20 %: AVX-512, which is proved, stays unless tiles take so much of its time at most.
MARGIN = 0.9


class Work(NamedTuple):
    """What an algorithm has to do: for each of `rows` outputs, which share the weights, a sum over taps x depth."""

    rows: int
    depth: int
    columns: int
    taps: int = 1
    groups: int = 1
    reads: float = 1.0  # pixels of x for each output pixel
    in_walk: bool = True  # x is taken apart as in the walk over rows, not into pixels from which tiles are copied
    blocks: int = 0  # of the depth of all taps; 0: each tap has its own
    taken: int = 0  # elements of a pixel that are taken apart, where they are more than the depth


def _whole(n, block):
    return -(-n // block) * block


def _memory(work, weight_bytes):
    activations = 4 * work.groups * (work.reads * work.depth + work.columns)
    return (activations + (weight_bytes / work.rows if weight_bytes > CACHE else 0)) / STREAM


def on_tiles(work, terms):
    """Return the nanoseconds of a row on the tile unit, operands split into so many terms."""
    blocks = work.blocks or work.taps * -(-work.depth // BLOCK)
    multiplied = work.groups * blocks * BLOCK * _whole(work.columns, BLOCK)
    weight_bytes = 2 * terms * multiplied
    rate = (RATE_LARGE if weight_bytes > LARGE else RATE)[terms]
    split = (SPLIT if work.in_walk else SPLIT_PIXELS)[terms]
    each = work.groups * (work.reads * max(work.depth, work.taken) * split + work.columns * STORE)
    return max(2 * multiplied / rate + each, _memory(work, weight_bytes))


def on_vectors(work, algorithm, waste=1.0, pairs=False):
    """Return the nanoseconds of a row by an algorithm of AVX-512 whose tiles compute `waste` times what is wanted."""
    rate, read, write = VECTORS[algorithm]
    multiplied = work.groups * work.taps * work.depth * _whole(work.columns, VECTOR)
    each = work.groups * (work.reads * work.depth * read + work.columns * write)
    weight_bytes = 4 * multiplied * LARGER_WEIGHTS.get(algorithm, 1)
    return max(waste * (2 * multiplied / (rate * (PAIRS if pairs else 1)) + each), _memory(work, weight_bytes))


def is_faster(work, terms, algorithm="direct", waste=1.0):
    """Tell whether the tile unit, with so many terms, shall take what else would run by `algorithm`."""
    pairs = terms == 1 and bfloat16.available() and algorithm in ("direct", "shallow")
    return on_tiles(work, terms) <= MARGIN * on_vectors(work, algorithm, waste, pairs)


def gives_gradient_faster(work, blocks, terms, algorithm="direct"):
    """Tell whether the tile unit shall give the gradient of the kernel, of `work` in all images.

    Its sums run over `blocks` blocks of pixels and gaps; x and dy are transposed and taken apart first.
    """
    pixels = blocks * BLOCK
    tap_rows, columns = _whole(work.depth, TILE_ROWS), _whole(work.columns, BLOCK)
    products = 2 * pixels * work.taps * tap_rows * columns / RATE[terms]
    split = pixels * (work.reads * tap_rows + columns) * SPLIT_TRANSPOSED[terms]
    vectors = work.rows * on_vectors(work, algorithm) / GRADIENT_SHARE
    return work.groups * (products + split) <= MARGIN * vectors
